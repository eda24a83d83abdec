/**
 * What a checkout remembers: ids, amounts and references, never a name, an address or a text.
 * Everything here survives JSON (no Date, bigint or undefined), because a snapshot is JSON.
 * Amounts are integers in the currency's minor unit; times are milliseconds since the epoch (UTC).
 */
import type { StepFailure } from "./errors.ts";

/** Limits fixed when the checkout begins, so that a replay of its journal never depends on today's configuration. */
export interface CheckoutPolicy {
  /** Further tries of one step after its first. */
  readonly stepRetryMax: number;
  /** Time within which a step may be tried again, counted from its first failure. */
  readonly stepRetryBudgetMs: number;
  /** Further tries of one undo before it is deferred, and of a confirmation or refund before an operator is asked. */
  readonly undoRetryMax: number;
  /** From the payment request until the provider is asked to cancel it. */
  readonly paymentDeadlineMs: number;
  readonly paymentAttemptsMax: number;
  /** While a payment is awaited, how often the provider is asked whether its event was lost. */
  readonly paymentPollMs: number;
}

export interface PinnedFlag {
  readonly value: string | number | boolean;
  readonly variant: string | null;
  /** Where the value came from: OpenFeature's resolution reason. */
  readonly reason: string;
}

export interface PaymentGroup {
  readonly paymentGroupId: string;
  readonly lineItemRefs: readonly string[];
  readonly sellerId: string;
  readonly paymentTiming: "NOW" | "LATER";
}

export interface CreatedPreference {
  readonly ref: string;
  readonly preferenceId: string;
  readonly lineItemRefs: readonly string[];
}

export interface InvoiceLine {
  /** The line item's or opt-in's own reference in the request. */
  readonly ref: string;
  readonly kind: "LINE_ITEM" | "OPT_IN";
  readonly sku: string;
  readonly quantity: number;
  readonly unitPrice: number;
  readonly discount: number;
  /** Included in the total. */
  readonly tax: number;
  readonly fee: number;
  readonly total: number;
  readonly paymentGroupId: string;
}

/** The pinned price (STEP_2). `total`s sum to `payable` exactly. */
export interface Invoice {
  readonly invoiceId: string;
  readonly version: number;
  readonly hash: string;
  readonly payable: number;
  readonly currency: string;
  readonly expiresAt: number;
  readonly lines: readonly InvoiceLine[];
}

export interface CheckoutOrder {
  readonly checkoutOrderId: string;
  readonly orderNumber: string;
}

export interface CreatedOptIn {
  readonly ref: string;
  readonly optInId: string;
}

export interface UpsertedLineItem {
  readonly ref: string;
  readonly lineItemId: string;
}

export interface NextAction {
  readonly type: string;
  readonly expiresAt: number;
  readonly url?: string;
}

/** One capture at the provider. `pspReference` is the provider's own name for it. */
export interface Capture {
  readonly pspReference: string;
  readonly amount: number;
  readonly currency: string;
}

/** What the provider said about an attempt, through whichever door it came. */
export type PaymentOutcome =
  | ({ readonly kind: "captured" } & Capture)
  | { readonly kind: "pending"; readonly nextAction: NextAction }
  | { readonly kind: "declined"; readonly code: string };

export interface PaymentAttempt {
  readonly pcrId: string;
  readonly attemptId: string;
  readonly outcome: PaymentOutcome;
  /** This is an earlier attempt, which was captured after all: no new one was made. */
  readonly isEarlier?: true;
}

/** What the provider turns out to hold when the payment is settled: a second capture may be among it. */
export interface Settlement {
  readonly captures: readonly Capture[];
}

/** The provider's own word on a PCR, when asked. `captures` lists all that it ever took, refunded ones too. */
export interface PaymentReport {
  readonly attemptId: string;
  readonly outcome: PaymentOutcome | { readonly kind: "cancelled" };
  readonly captures: readonly Capture[];
}

export type RefundReason = "LATE" | "DUPLICATE" | "ROLLBACK" | "AMOUNT_MISMATCH";

/** Money that was captured and must go back. */
export interface OwedRefund extends Capture {
  readonly reason: RefundReason;
  /** From 1. A refund that was accepted and failed later is made again under a new key. */
  readonly round: number;
  /** Its refunds that failed, by the provider's own ids: what their calls still answer, and news of them, says nothing new. */
  readonly failedRefundIds: readonly string[];
}

export interface Refund extends OwedRefund {
  readonly refundId: string;
  /** The provider's own id of it. Null: the provider made none. */
  readonly providerRefundId: string | null;
  /** An operator gave it back, not the provider. */
  readonly byHand?: true;
}

export type PaymentStatus = "NOT_REQUESTED" | "REQUIRES_ACTION" | "DECLINED" | "CAPTURED";

/** The payment collection requirement (PCR) as this checkout knows it. */
export interface Payment {
  readonly status: PaymentStatus;
  readonly pcrId: string | null;
  readonly attemptId: string | null;
  /** The attempt's number, from 1; part of the idempotency key, changed by a committed transition only. */
  readonly round: number;
  readonly dueAt: number | null;
  readonly nextAction: NextAction | null;
  readonly declineCode: string | null;
  /** What the customer chose for the next attempt; null = as in the request. */
  readonly choice: { readonly method: string; readonly instrumentId: string } | null;
  /** The one capture that pays for this checkout. */
  readonly settledBy: Capture | null;
  /** Attempts that are known to have failed, by id: a failure may arrive before the reply that names the attempt. */
  readonly failedAttemptIds: readonly string[];
  readonly owed: readonly OwedRefund[];
  readonly refunds: readonly Refund[];
}

/** Everything that an undo compensates, in the order in which things were done. */
export const UNDO_ORDER = [
  "paymentGroups",
  "preferences",
  "invoice",
  "order",
  "optIns",
  "lineItems",
  "paymentRequest",
  "paymentHydration",
  "preferencesMapping",
  "lineItemsUpdatedEvent",
] as const;
export type UndoName = (typeof UNDO_ORDER)[number];

/** The step that is backing off. Kept for the current step only: kept for all, the state space explodes. */
export interface Retry {
  /** Failures so far. */
  readonly failures: number;
  readonly firstFailedAt: number | null;
  readonly delayMs: number;
}

export interface LastError extends StepFailure {
  readonly step: string;
}

export interface CheckoutContext {
  readonly executionContextId: string;
  readonly userId: string;
  readonly cartId: string;
  readonly cartVersion: number;
  readonly policy: CheckoutPolicy;
  readonly flags: Readonly<Record<string, PinnedFlag>>;
  readonly paymentGroups: readonly PaymentGroup[];
  readonly preferences: readonly CreatedPreference[];
  readonly invoice: Invoice | null;
  readonly order: CheckoutOrder | null;
  readonly optIns: readonly CreatedOptIn[];
  readonly lineItems: readonly UpsertedLineItem[];
  readonly payment: Payment;
  readonly retry: Retry;
  readonly lastError: LastError | null;
  /** Undone so far, in order of completion. */
  readonly undone: readonly UndoName[];
  /** Undos that failed past their budget and are tried again after all the others. */
  readonly deferred: readonly UndoName[];
  /** Those of `undone` that an operator took care of. */
  readonly undoneByHand: readonly UndoName[];
}

export interface CheckoutInput {
  readonly executionContextId: string;
  readonly userId: string;
  readonly cartId: string;
  readonly cartVersion: number;
  readonly policy: CheckoutPolicy;
}

/**
 * Pure. An actor that only decides is made without an input, and nobody looks at its state.
 */
export function initialContext(input: CheckoutInput | undefined): CheckoutContext {
  return {
    ...(input ?? NO_INPUT),
    flags: {},
    paymentGroups: [],
    preferences: [],
    invoice: null,
    order: null,
    optIns: [],
    lineItems: [],
    payment: {
      status: "NOT_REQUESTED",
      pcrId: null,
      attemptId: null,
      round: 1,
      dueAt: null,
      nextAction: null,
      declineCode: null,
      choice: null,
      settledBy: null,
      failedAttemptIds: [],
      owed: [],
      refunds: [],
    },
    retry: NO_RETRY,
    lastError: null,
    undone: [],
    deferred: [],
    undoneByHand: [],
  };
}

const NO_INPUT: CheckoutInput = {
  executionContextId: "",
  userId: "",
  cartId: "",
  cartVersion: 0,
  policy: {
    stepRetryMax: 0,
    stepRetryBudgetMs: 0,
    undoRetryMax: 0,
    paymentDeadlineMs: 0,
    paymentAttemptsMax: 0,
    paymentPollMs: 0,
  },
};

export const NO_RETRY: Retry = { failures: 0, firstFailedAt: null, delayMs: 0 };
