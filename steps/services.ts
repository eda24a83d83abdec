/**
 * The contracts of the participants that the specification's sequence diagram names. Built-in
 * implementations are in services/; a team replaces any of them with its own.
 *
 * Every call with an effect carries an idempotency key. The same key gives the same result, however
 * often it is called and whatever crashed in between. `undo…` takes the key of the original call: it
 * is fine when nothing was done, running it twice changes nothing, and after it the delayed original
 * is refused (a tombstone) with TerminalError `UNDONE`.
 *
 * Failures: TransientError for what may work later, TerminalError for what never will; `classify`
 * sorts everything else. Amounts are integers in minor units, times are milliseconds since the epoch.
 */
import type {
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
  UpsertedLineItem,
} from "../machines/context.ts";
import type { Violation } from "../machines/errors.ts";
import type { RollbackInput } from "../machines/step-inputs.ts";
import type { CheckoutRequest, RequestedLineItem, RequestedOptIn, RequestedPreference } from "./request.ts";

/** One call with an effect: `<contextId>:<step>[:<round>]` names it, never the attempt. */
export interface Call {
  readonly executionContextId: string;
  readonly key: string;
  /** Aborted when the checkout no longer waits for this call. The effect then counts as perhaps done. */
  readonly signal?: AbortSignal;
}

/** What an undo reports back: rows that somebody changed since were left as they are (never overwritten blindly). */
export interface UndoReport {
  readonly conflicts: readonly UndoConflict[];
}

export interface UndoConflict {
  readonly entity: string;
  readonly id: string;
  readonly reason: string;
}

/** "Validate user, line items, and business rules": reads only, every violation at once. */
export interface CheckoutRules {
  check(request: CheckoutRequest): Promise<readonly Violation[]>;
}

/** "Feature Flag Resolution … based on user, device, and city": resolved once per checkout, then pinned. */
export interface FeatureFlags {
  resolve(subject: FlagSubject): Promise<Readonly<Record<string, PinnedFlag>>>;
}

export interface FlagSubject {
  readonly userId: string;
  readonly cityId: string;
  readonly deviceId?: string;
  readonly platform?: string;
  readonly appVersion?: string;
}

export interface PaymentGroups {
  /** Partitions the line items by seller, currency and timing. OPEN. */
  createPaymentGroup(
    call: Call & { readonly payerId: string; readonly cityId: string; readonly lineItems: readonly RequestedLineItem[] },
  ): Promise<{ readonly paymentGroups: readonly PaymentGroup[] }>;
  /** RELEASED. */
  undoCreatePaymentGroup(call: Call): Promise<UndoReport>;
  /** OPEN → LOCKED with the amount that each group pays; the amounts sum to payable. */
  lockPaymentGroups(call: Call & { readonly amounts: Readonly<Record<string, number>> }): Promise<void>;
  /** LOCKED → SETTLED. */
  settlePaymentGroups(call: Call): Promise<void>;
}

export interface PostSellingPreferences {
  /** Takes slots; a slot that is sold out is TerminalError `BUSINESS_RULE`. */
  createPostSellingPreferences(
    call: Call & { readonly preferences: readonly RequestedPreference[] },
  ): Promise<{ readonly preferences: readonly CreatedPreference[] }>;
  /** VOID; slots are free again. */
  undoCreatePostSellingPreferences(call: Call): Promise<UndoReport>;
}

export interface InvoiceEngine {
  /** Prices now, from the catalogue; holds the coupons' uses. The price is pinned until `expiresAt`. */
  getLineItemSummary(
    call: Call & {
      readonly userId: string;
      readonly cityId: string;
      readonly lineItems: readonly RequestedLineItem[];
      readonly optIns: readonly RequestedOptIn[];
      readonly couponCodes: readonly string[];
      readonly paymentGroups: readonly PaymentGroup[];
    },
  ): Promise<Invoice>;
  /** Releases the coupons' uses. */
  undoGetLineItemSummary(call: Call): Promise<UndoReport>;
}

export interface CheckoutOrders {
  /** PENDING. */
  createCheckoutOrder(
    call: Call & {
      readonly userId: string;
      readonly cityId: string;
      readonly cartId: string;
      readonly invoiceId: string;
      readonly payable: number;
      readonly currency: string;
    },
  ): Promise<CheckoutOrder>;
  /** CANCELLED with the reason; the row stays. */
  undoCreateCheckoutOrder(call: Call & { readonly reason: string }): Promise<UndoReport>;
  /** PENDING → CONFIRMED. */
  confirmCheckoutOrder(call: Call): Promise<void>;
}

export interface OptInService {
  /** PENDING until the checkout is confirmed. */
  handleOptinCreationAndModification(
    call: Call & { readonly userId: string; readonly optIns: readonly RequestedOptIn[] },
  ): Promise<{ readonly optIns: readonly CreatedOptIn[] }>;
  /** Revokes what was created, sets back what was modified unless somebody changed it since. */
  undoHandleOptinCreationAndModification(call: Call): Promise<UndoReport>;
  /** PENDING → ACTIVE (or CANCELLED, for an opt-in to be cancelled). */
  activateOptIns(call: Call): Promise<void>;
}

export interface LineItems {
  /** Created, or updated where (order, ref) exists; the before-image is stored with the effect. */
  upsertLineItems(
    call: Call & {
      readonly checkoutOrderId: string;
      readonly lineItems: readonly (RequestedLineItem & {
        readonly unitPrice: number;
        readonly total: number;
        readonly currency: string;
        readonly paymentGroupId: string;
        readonly preferenceIds: readonly string[];
      })[];
    },
  ): Promise<{ readonly lineItems: readonly UpsertedLineItem[] }>;
  /** Created rows → REVERTED, updated rows → their before-image. */
  undoUpsertLineItems(call: Call): Promise<UndoReport>;
  /** DRAFT → UPDATED, tied to the payment. */
  hydratePaymentAndUpdateLineItems(
    call: Call & {
      readonly lineItemIds: readonly string[];
      readonly pcrId: string;
      readonly attemptId: string;
      readonly paymentStatus: string;
    },
  ): Promise<{ readonly lineItemIds: readonly string[] }>;
  undoHydratePaymentAndUpdateLineItems(call: Call): Promise<UndoReport>;
  createPreferencesToLineItemsMapping(
    call: Call & { readonly pairs: readonly { readonly preferenceId: string; readonly lineItemId: string }[] },
  ): Promise<{ readonly mapped: number }>;
  undoCreatePreferencesToLineItemsMapping(call: Call): Promise<UndoReport>;
  /** Writes the settled payment into the items of this context. */
  settleLineItems(call: Call & { readonly pspReference: string | null }): Promise<void>;
  /** UPDATED → CONFIRMED. */
  confirmLineItems(call: Call): Promise<void>;
}

export interface PaymentRequest {
  readonly payerId: string;
  readonly checkoutOrderId: string;
  readonly amount: number;
  readonly currency: string;
  readonly method: string;
  readonly instrumentId: string;
  readonly returnUrl?: string;
  readonly dueAt: number;
  /** 1-based; each attempt has its own key. */
  readonly round: number;
}

export interface Reversal {
  /** Null: there never was a payment request, and now there can't be one. */
  readonly pcrId: string | null;
  /** The refund that stands for each capture: one that failed later is left out. */
  readonly refunds: readonly Refund[];
}

export interface Payments {
  /** Creates the PCR and its first attempt. Amount 0 is captured without a provider. A decline is an outcome, not an error. `dueAt` is the first call's. */
  createPaymentRequest(call: Call & PaymentRequest): Promise<PaymentAttempt & { readonly dueAt: number }>;
  /**
   * Another attempt on the same PCR. First cancels the open attempt at the provider; if that one was
   * captured meanwhile, the outcome is that capture, marked `isEarlier`, and no new attempt is made.
   */
  createPaymentAttempt(call: Call & PaymentRequest & { readonly pcrId: string }): Promise<PaymentAttempt>;
  /** Asks the provider. A read. */
  getPaymentStatus(query: { readonly executionContextId: string; readonly pcrId: string }): Promise<PaymentReport>;
  /**
   * After the pivot: cancels what another attempt still has pending, so that nobody pays twice, and brings the
   * participant's own record of the attempts in line with the provider's. Says all that is known to be held, the same
   * when it is repeated.
   */
  recordSettlement(call: Call & { readonly pcrId: string }): Promise<Settlement>;
  /** Cancels every attempt that isn't captured, then says what is: nobody may decide on silence. */
  cancelIfPending(call: Call & { readonly pcrId: string }): Promise<PaymentReport>;
  /**
   * The undo of a payment request, known or unknown outcome: cancels what is not captured, refunds
   * each capture under `<contextId>:refund[-<round>]:<pspReference>`, until nothing is held. `key` is the key of round 1.
   * What stands in `byHand` is left alone.
   */
  reversePaymentRequest(call: Call & Pick<RollbackInput, "owed" | "byHand">): Promise<Reversal>;
  /** Refunds one capture; refunded already is a success. `key` = `<contextId>:refund[-<round>]:<pspReference>`. */
  refundCapture(call: Call & { readonly pcrId: string; readonly owed: OwedRefund }): Promise<Refund>;
}

/** The request itself, kept in an erasable table; steps read it, the machine never sees it. */
export interface CheckoutRequests {
  load(executionContextId: string): Promise<CheckoutRequest>;
}

/** All participants. */
export interface CheckoutServices {
  readonly rules: CheckoutRules;
  readonly flags: FeatureFlags;
  readonly paymentGroups: PaymentGroups;
  readonly preferences: PostSellingPreferences;
  readonly invoices: InvoiceEngine;
  readonly orders: CheckoutOrders;
  readonly optIns: OptInService;
  readonly lineItems: LineItems;
  readonly payments: Payments;
}
