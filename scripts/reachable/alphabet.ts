/**
 * What can happen to a checkout in each of its states: every event that the state takes, with a payload of each kind
 * that makes a difference.
 */
import { getNextTransitions, type AnyMachineSnapshot } from "xstate";
import type { CheckoutContext, CheckoutPolicy, OwedRefund, Refund } from "../../machines/context.ts";
import { heldCaptures } from "../../machines/payment.ts";
import { nextDeferred } from "../../machines/rollback.ts";

export interface ModelEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** What the model's events may be: the more kinds, the larger the graph. */
export interface Alphabet {
  /** Tries of a step after its first; 0 leaves transient errors out. */
  readonly retries: number;
  /** Whether captures of an amount that does not pay occur. */
  readonly hasWrongAmounts: boolean;
}

const AMOUNT = 249_900;
const CURRENCY = "INR";

function policyOf(retries: number): CheckoutPolicy {
  return {
    stepRetryMax: retries,
    stepRetryBudgetMs: Number.MAX_SAFE_INTEGER,
    undoRetryMax: retries,
    paymentDeadlineMs: 900_000,
    paymentAttemptsMax: 2,
    paymentPollMs: 30_000,
  };
}

export const modelInput = (retries: number) => ({
  executionContextId: "ctx_model",
  userId: "usr_1",
  cartId: "cart_1",
  cartVersion: 1,
  policy: policyOf(retries),
});

const invoice = {
  invoiceId: "inv_1",
  version: 1,
  hash: "h",
  payable: AMOUNT,
  currency: CURRENCY,
  expiresAt: 4_000_000_000_000,
  lines: [
    {
      ref: "l1",
      kind: "LINE_ITEM",
      sku: "S",
      quantity: 1,
      unitPrice: AMOUNT,
      discount: 0,
      tax: 0,
      fee: 0,
      total: AMOUNT,
      paymentGroupId: "pg_1",
    },
  ],
};

/** The amount that pays, and one that never does. */
export const paying = { pspReference: "psp_paying", amount: AMOUNT, currency: CURRENCY };
export const mismatched = { pspReference: "psp_mismatched", amount: AMOUNT - 1, currency: CURRENCY };

const pending = { kind: "pending", nextAction: { type: "UPI_COLLECT", expiresAt: 4_000_000_000_000 } };
const captured = { kind: "captured", ...paying };
const declined = { kind: "declined", code: "DECLINED" };

/** What each actor may answer, by the actor's id. */
function outputsOf(actorId: string, context: CheckoutContext): readonly unknown[] {
  const attempt = (outcome: unknown) => ({ pcrId: "pcr_1", attemptId: `att_${context.payment.round}`, outcome });
  const report = (outcome: unknown, captures: readonly unknown[] = []) => ({ ...attempt(outcome), captures });
  switch (actorId) {
    case "pinningFlags":
      return [{ flags: {} }];
    case "creatingPaymentGroups":
      return [{ paymentGroups: [{ paymentGroupId: "pg_1", lineItemRefs: ["l1"], sellerId: "slr_1", paymentTiming: "NOW" }] }];
    case "acquiringLocks":
      return [{ tokens: {} }];
    case "STEP_1":
      return [{ preferences: [{ ref: "p1", preferenceId: "psp_1", lineItemRefs: ["l1"] }] }];
    case "STEP_2":
      return [invoice];
    case "STEP_3":
      return [{ checkoutOrderId: "co_1", orderNumber: "BLR-000001" }];
    case "STEP_4":
      return [{ optIns: [] }];
    case "STEP_5":
      return [pending, captured, declined].map((outcome) => ({
        lineItems: [{ ref: "l1", lineItemId: "li_1" }],
        dueAt: 4_000_000_000_000,
        payment: attempt(outcome),
      }));
    case "requestingAttempt":
      return [pending, captured, declined].map(attempt);
    case "polling":
      return [report(pending), report(captured, [paying]), report(declined)];
    case "asking":
      return [report({ kind: "cancelled" }), report(captured, [paying])];
    case "refunding":
      return context.payment.owed.slice(0, 1).map(refundOf);
    default:
      return actorId.startsWith("undo:") ? undone(actorId, context) : [{}];
  }
}

/** A reversal gives back all that it was told of; a capture that arrived while it ran is not in its reply. */
function undone(actorId: string, context: CheckoutContext): readonly unknown[] {
  const name = actorId === "undo:deferred" ? nextDeferred(context) : actorId.slice("undo:".length);
  if (name !== "paymentRequest") return [{ pcrId: null, refunds: [], conflicts: [] }];
  const pcrId = "pcr_1";
  const refunds = heldCaptures(context.payment).map(refundOf);
  const missing = refunds.filter(({ reason }) => reason !== "LATE");
  const all = { pcrId, refunds, conflicts: [], note: "all refunds" };
  return missing.length < refunds.length ? [all, { pcrId, refunds: missing, conflicts: [], note: "missing refunds" }] : [all];
}

function refundOf(owed: OwedRefund): Refund {
  const name = `${owed.pspReference}_${owed.round}`;
  return { ...owed, refundId: `rfd_${name}`, providerRefundId: `re_${name}` };
}

const INSISTING = new Set(["STEP_9", "STEP_10", "asking", "refunding", "undo:deferred", "polling"]);

function errorsOf(actorId: string, retries: number): readonly unknown[] {
  const transient = { class: "TRANSIENT", code: "UNAVAILABLE", message: "later" };
  const terminal = { class: "TERMINAL", code: "REFUSED", message: "never" };
  // A loop that never gives up treats both alike.
  if (INSISTING.has(actorId) || retries === 0) return [terminal];
  return [transient, terminal];
}

function noticeOf(capture: { readonly pspReference: string; readonly amount: number; readonly currency: string }) {
  return { eventId: `evt_${capture.pspReference}`, pcrId: "pcr_1", occurredAt: "2027-01-01T00:00:00Z", ...capture };
}

export function isUndoing(snapshot: AnyMachineSnapshot): boolean {
  return snapshot.hasTag("undoing") || snapshot.matches("ROLLEDBACK");
}

function payloadsOf(type: string, snapshot: AnyMachineSnapshot, { retries, hasWrongAmounts }: Alphabet): readonly ModelEvent[] {
  const context = snapshot.context as CheckoutContext;
  // Nobody can tell a checkout anything of a payment request that it doesn't know yet: the inbox keeps it.
  if (type.startsWith("payment_") && context.payment.pcrId === null) return [];
  if (type.startsWith("xstate.done.actor.")) {
    const actorId = type.slice("xstate.done.actor.".length);
    return outputsOf(actorId, context).map((output) => ({ type, actorId, output }));
  }
  if (type.startsWith("xstate.error.actor.")) {
    const actorId = type.slice("xstate.error.actor.".length);
    return errorsOf(actorId, retries).map((error) => ({ type, actorId, error }));
  }
  switch (type) {
    case "payment_collection_requirement_success":
      // Once we undo, every capture is alike: one is enough.
      return (isUndoing(snapshot) || !hasWrongAmounts ? [paying] : [paying, mismatched]).map((capture) => ({
        type,
        data: noticeOf(capture),
      }));
    case "payment_collection_requirement_failed":
      return [{ type, data: { ...noticeOf(paying), ...namedAttempt(context), code: "DECLINED" } }];
    case "payment_collection_requirement_expired":
      return [{ type, data: noticeOf(paying) }];
    case "payment_refund_failed":
      return refundedOnce(context).map(({ providerRefundId }) => ({
        type,
        data: { ...noticeOf(paying), code: "CLOSED", providerRefundId },
      }));
    case "ATTEMPT_PAYMENT":
      return [{ type, method: "CARD", instrumentId: "ins_async", supersedes: context.payment.attemptId }];
    case "RESOLVE":
      return resolutionsOf(snapshot).map((target) => ({
        type,
        resolutionId: "rsl_1",
        operator: "ops",
        reference: "T-1",
        undo: null,
        pspReference: null,
        ...target,
      }));
    default:
      return [{ type }];
  }
}

/** A failure names its attempt where there is one; an expiry here never does, which matters after the first attempt. */
function namedAttempt({ payment }: CheckoutContext) {
  return payment.attemptId === null ? {} : { attemptId: payment.attemptId };
}

/** A refund may fail after it was accepted: the first one of the capture that pays stands for all. */
function refundedOnce({ payment }: CheckoutContext): readonly Refund[] {
  const refund = payment.refunds.find(({ pspReference }) => pspReference === paying.pspReference);
  return refund === undefined || refund.round > 1 || refund.byHand === true ? [] : [refund];
}

function resolutionsOf(snapshot: AnyMachineSnapshot): readonly object[] {
  const context = snapshot.context as CheckoutContext;
  if (snapshot.hasTag("deferred")) return [{ undo: nextDeferred(context) }];
  return context.payment.owed.slice(0, 1).map(({ pspReference }) => ({ pspReference }));
}

/** Every event that a state takes, each once, with every payload that makes a difference. */
export function eventsOf(alphabet: Alphabet): (snapshot: AnyMachineSnapshot) => ModelEvent[] {
  return (snapshot) => {
    const types = new Set(getNextTransitions(snapshot).map(({ eventType }) => eventType));
    return [...types].flatMap((type) => payloadsOf(type, snapshot, alphabet)).map((event) => ({ ...event, at: 0 }));
  };
}
