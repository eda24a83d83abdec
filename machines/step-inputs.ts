/**
 * What each actor of the machine is given: ids, amounts and the key, picked from the context; and what
 * it gives back. Input is part of a persisted snapshot, so it stays small.
 */
import type {
  CheckoutContext,
  CheckoutOrder,
  CreatedOptIn,
  CreatedPreference,
  Invoice,
  OwedRefund,
  PaymentAttempt,
  PaymentGroup,
  PaymentReport,
  PinnedFlag,
  Refund,
  Settlement,
  UndoName,
  UpsertedLineItem,
} from "./context.ts";
import { InvariantError } from "./errors.ts";
import { amountDue, heldCaptures } from "./payment.ts";
import { refundKey, stepKey, type StepName } from "./keys.ts";

export interface StepInput {
  readonly executionContextId: string;
  readonly key: string;
}

/** Every actor, by the specification's name for the operation: its input and its output. */
export interface Actors {
  resolveFeatureFlags: { input: StepInput; output: { flags: Readonly<Record<string, PinnedFlag>> } };
  createPaymentGroup: { input: StepInput; output: { paymentGroups: readonly PaymentGroup[] } };
  acquireLocks: {
    input: StepInput & { paymentGroupIds: readonly string[] };
    output: { tokens: Readonly<Record<string, number>> };
  };
  createPostSellingPreferences: { input: StepInput; output: { preferences: readonly CreatedPreference[] } };
  getLineItemSummary: { input: StepInput & { paymentGroups: readonly PaymentGroup[] }; output: Invoice };
  createCheckoutOrder: {
    input: StepInput & { invoiceId: string; payable: number; currency: string };
    output: CheckoutOrder;
  };
  handleOptinCreationAndModification: { input: StepInput; output: { optIns: readonly CreatedOptIn[] } };
  upsertLineItemsAndCreatePaymentRequest: {
    input: StepInput & {
      paymentKey: string;
      checkoutOrderId: string;
      invoice: Invoice;
      amount: number;
      preferences: readonly CreatedPreference[];
      paymentDeadlineMs: number;
    };
    output: { lineItems: readonly UpsertedLineItem[]; dueAt: number; payment: PaymentAttempt };
  };
  hydratePaymentAndUpdateLineItems: {
    input: StepInput & { lineItemIds: readonly string[]; pcrId: string; attemptId: string; paymentStatus: string };
    output: { lineItemIds: readonly string[] };
  };
  createPreferencesToLineItemsMapping: {
    input: StepInput & { pairs: readonly { preferenceId: string; lineItemId: string }[] };
    output: { mapped: number };
  };
  produceLineItemsUpdatedEvent: { input: StepInput & LineItemsFacts; output: Readonly<Record<string, unknown>> };
  createPaymentAttempt: {
    input: StepInput & {
      pcrId: string;
      checkoutOrderId: string;
      amount: number;
      currency: string;
      dueAt: number;
      round: number;
      method: string;
      instrumentId: string;
    };
    output: PaymentAttempt;
  };
  getPaymentStatus: { input: StepInput & { pcrId: string }; output: PaymentReport };
  cancelIfPending: { input: StepInput & { pcrId: string }; output: PaymentReport };
  executePCRSuccessSteps: { input: StepInput & { pcrId: string; pspReference: string | null }; output: Settlement };
  produceLineItemsConfirmedEvent: { input: StepInput & LineItemsFacts; output: Readonly<Record<string, unknown>> };
  handleRollback: { input: RollbackInput; output: RollbackOutput };
  refundCapture: { input: StepInput & { pcrId: string; owed: OwedRefund }; output: Refund };
}
export type ActorName = keyof Actors;

/** What subscribers learn about the line items; built from the context alone. */
export interface LineItemsFacts {
  readonly checkoutOrderId: string;
  readonly lineItems: readonly UpsertedLineItem[];
  readonly invoice: Invoice;
  readonly paymentStatus: string;
}

/** Which undo to run. `key` is the key of the call to undo; the undo never needs more than that to be safe. */
export interface RollbackInput extends StepInput {
  readonly undo: UndoName;
  readonly reason: string;
  /** Captures that we know of, and that the reversal must give back whatever the provider shows by then. */
  readonly owed: readonly OwedRefund[];
  /** Captures, by `pspReference`, that an operator gave back by hand: the provider still shows them, and must keep them. */
  readonly byHand: readonly string[];
}

/** `conflicts`: rows that somebody changed since and that were left as they are; for people, in the journal. */
export interface RollbackOutput {
  /** The payment requirement that was reversed: the undo may be the first to learn its id. Null: there is none, or another undo. */
  readonly pcrId: string | null;
  readonly refunds: readonly Refund[];
  readonly conflicts: readonly { readonly entity: string; readonly id: string; readonly reason: string }[];
}

const UNDO_KEYS: Readonly<Record<UndoName, StepName>> = {
  paymentGroups: "createPaymentGroup",
  preferences: "STEP_1",
  invoice: "STEP_2",
  order: "STEP_3",
  optIns: "STEP_4",
  lineItems: "STEP_5",
  paymentRequest: "STEP_5",
  paymentHydration: "STEP_6",
  preferencesMapping: "STEP_7",
  lineItemsUpdatedEvent: "STEP_8",
};

export function rollbackInput(context: CheckoutContext, undo: UndoName): RollbackInput {
  const isReversal = undo === "paymentRequest";
  const refundsByHand = context.payment.refunds.filter(({ byHand }) => byHand === true);
  return {
    executionContextId: context.executionContextId,
    key: stepKey(context.executionContextId, UNDO_KEYS[undo], isReversal ? 1 : undefined),
    undo,
    reason: context.lastError?.code ?? "CANCELLED",
    owed: isReversal ? heldCaptures(context.payment) : [],
    byHand: isReversal ? refundsByHand.map(({ pspReference }) => pspReference) : [],
  };
}

export function stepInput(context: CheckoutContext, step: StepName): StepInput {
  return { executionContextId: context.executionContextId, key: stepKey(context.executionContextId, step) };
}

/** Input of each actor but the undo's, named as the actor. A missing id here is our bug: the steps before gave it. */
export const inputs = {
  acquireLocks: (context: CheckoutContext) => ({
    ...stepInput(context, "acquireLocks"),
    paymentGroupIds: context.paymentGroups.map((group) => group.paymentGroupId),
  }),
  getLineItemSummary: (context: CheckoutContext) => ({ ...stepInput(context, "STEP_2"), paymentGroups: context.paymentGroups }),
  createCheckoutOrder: (context: CheckoutContext) => {
    const { invoiceId, payable, currency } = known(context.invoice, "invoice");
    return { ...stepInput(context, "STEP_3"), invoiceId, payable, currency };
  },
  upsertLineItemsAndCreatePaymentRequest: (context: CheckoutContext) => ({
    ...stepInput(context, "STEP_5"),
    paymentKey: stepKey(context.executionContextId, "STEP_5", context.payment.round),
    checkoutOrderId: known(context.order, "order").checkoutOrderId,
    invoice: known(context.invoice, "invoice"),
    amount: amountDue(known(context.invoice, "invoice"), context.paymentGroups),
    preferences: context.preferences,
    paymentDeadlineMs: context.policy.paymentDeadlineMs,
  }),
  hydratePaymentAndUpdateLineItems: (context: CheckoutContext) => ({
    ...stepInput(context, "STEP_6"),
    lineItemIds: context.lineItems.map((item) => item.lineItemId),
    pcrId: known(context.payment.pcrId, "pcrId"),
    attemptId: known(context.payment.attemptId, "attemptId"),
    paymentStatus: context.payment.status,
  }),
  createPreferencesToLineItemsMapping: (context: CheckoutContext) => ({
    ...stepInput(context, "STEP_7"),
    pairs: context.preferences.flatMap((preference) =>
      preference.lineItemRefs.flatMap((ref) =>
        context.lineItems
          .filter((item) => item.ref === ref)
          .map((item) => ({ preferenceId: preference.preferenceId, lineItemId: item.lineItemId })),
      ),
    ),
  }),
  produceLineItemsUpdatedEvent: (context: CheckoutContext) => ({ ...stepInput(context, "STEP_8"), ...facts(context) }),
  createPaymentAttempt: (context: CheckoutContext) => {
    const invoice = known(context.invoice, "invoice");
    const choice = known(context.payment.choice, "choice");
    return {
      executionContextId: context.executionContextId,
      key: stepKey(context.executionContextId, "STEP_5", context.payment.round),
      pcrId: known(context.payment.pcrId, "pcrId"),
      checkoutOrderId: known(context.order, "order").checkoutOrderId,
      amount: amountDue(invoice, context.paymentGroups),
      currency: invoice.currency,
      dueAt: known(context.payment.dueAt, "dueAt"),
      round: context.payment.round,
      ...choice,
    };
  },
  getPaymentStatus: (context: CheckoutContext) => ({
    ...stepInput(context, "STEP_5"),
    pcrId: known(context.payment.pcrId, "pcrId"),
  }),
  executePCRSuccessSteps: (context: CheckoutContext) => ({
    ...stepInput(context, "STEP_9"),
    pcrId: known(context.payment.pcrId, "pcrId"),
    pspReference: context.payment.settledBy?.pspReference ?? null,
  }),
  produceLineItemsConfirmedEvent: (context: CheckoutContext) => ({ ...stepInput(context, "STEP_10"), ...facts(context) }),
  refundCapture: (context: CheckoutContext) => {
    const owed = known(context.payment.owed[0], "owed refund");
    return {
      executionContextId: context.executionContextId,
      key: refundKey(context.executionContextId, owed.pspReference, owed.round),
      pcrId: known(context.payment.pcrId, "pcrId"),
      owed,
    };
  },
} as const;

function facts(context: CheckoutContext): LineItemsFacts {
  return {
    checkoutOrderId: known(context.order, "order").checkoutOrderId,
    lineItems: context.lineItems,
    invoice: known(context.invoice, "invoice"),
    paymentStatus: context.payment.status,
  };
}

function known<Value>(value: Value | null | undefined, name: string): Value {
  if (value === null || value === undefined) throw new InvariantError(`The checkout has no ${name} where its machine needs one.`);
  return value;
}
