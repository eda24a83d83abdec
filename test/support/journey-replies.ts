/** What each actor of the machine answers on a journey. */
import type { CheckoutContext, OwedRefund, PaymentOutcome } from "../../machines/context.ts";
import type { RollbackInput } from "../../machines/step-inputs.ts";
import type { StepStart } from "../../runtime/engine.ts";
import { contextWith } from "./checkout-context.ts";
import type { JourneyBank } from "./journey-bank.ts";

const PCR_ID = "pcr_1";
/** Later than any journey. */
const DUE_AT = 4_000_000_000_000;
const { invoice } = contextWith();

/** `which` picks among the answers that are possible now; 0 is the one that leads on. */
export function replyOf(step: StepStart, which: number, context: CheckoutContext, bank: JourneyBank): unknown {
  switch (step.id) {
    case "pinningFlags":
      return { flags: which % 3 === 2 ? TWO_ATTEMPTS : {} };
    case "creatingPaymentGroups":
      return { paymentGroups: [{ paymentGroupId: "pg_1", lineItemRefs: ["l1"], sellerId: "slr_1", paymentTiming: "NOW" }] };
    case "STEP_1":
      return { preferences: [{ ref: "p1", preferenceId: "psp_1", lineItemRefs: ["l1"] }] };
    case "STEP_2":
      return invoice;
    case "STEP_3":
      return { checkoutOrderId: "co_1", orderNumber: "BLR-000001" };
    case "STEP_4":
      return { optIns: [{ ref: "o1", optInId: "opt_1" }] };
    case "STEP_5":
      return { lineItems: [{ ref: "l1", lineItemId: "li_1" }], dueAt: DUE_AT, payment: attempt(1, outcomeOf(which, bank)) };
    case "requestingAttempt":
      return which % 5 === 4 ? earlierAttempt(bank) : attempt(context.payment.round, outcomeOf(which, bank));
    case "polling":
      return reportOf(context, bank, which % 2 === 0 ? PENDING : { kind: "declined", code: "DECLINED" });
    case "asking":
      return reportOf(context, bank, which % 2 === 0 ? { kind: "cancelled" } : { kind: "declined", code: "DECLINED" });
    case "STEP_9":
      return { captures: which % 2 === 0 ? [] : [...bank.captures.values()] };
    case "refunding":
      return bank.giveBack((step.input as { readonly owed: OwedRefund }).owed);
    default:
      return step.id.startsWith("undo:") ? undone(step.input as RollbackInput, bank) : {};
  }
}

const TWO_ATTEMPTS = { payment_attempts_max: { value: 2, variant: null, reason: "STATIC" } };
const PENDING: PaymentOutcome = { kind: "pending", nextAction: { type: "UPI_COLLECT", expiresAt: DUE_AT } };

function attempt(round: number, outcome: PaymentOutcome) {
  return { pcrId: PCR_ID, attemptId: `att_${round}`, outcome };
}

function outcomeOf(which: number, bank: JourneyBank): PaymentOutcome {
  if (which % 3 === 0) return PENDING;
  return which % 3 === 1 ? { kind: "declined", code: "DECLINED" } : { kind: "captured", ...bank.capture(which) };
}

function earlierAttempt(bank: JourneyBank) {
  return { ...attempt(1, { kind: "captured", ...bank.capture(0) }), isEarlier: true };
}

/** The provider's own word: a capture that pays, if it holds one, and all that it ever took. */
function reportOf({ payment }: CheckoutContext, bank: JourneyBank, otherwise: object) {
  const paying = bank.paying();
  const outcome = paying === null ? otherwise : { kind: "captured", ...paying };
  return { ...attempt(payment.round, PENDING), outcome, captures: [...bank.captures.values()] };
}

function undone({ undo, owed, byHand }: RollbackInput, bank: JourneyBank) {
  if (undo !== "paymentRequest") return { pcrId: null, refunds: [], conflicts: [] };
  return { pcrId: PCR_ID, refunds: bank.reverse(owed, byHand), conflicts: [] };
}
