/** A checkout that waits for its payment, and what is heard and told of one there. */
import type { CheckoutPolicy } from "../../machines/context.ts";
import { captureOf, failure, success } from "../support/checkout-context.ts";
import { DUE, MachineRun } from "./machine-run.ts";

export const SETTLING = "PROCESSING.STEP_8.settling";
export const WAITING = `${SETTLING}.awaitingPayment`;
export const CONFIRMING = "PROCESSING.STEP_8.confirming.running";
export const UNDOING = "PROCESSING.undoing.lineItemsUpdatedEvent.running";

/** The capture that pays, the news of it, and what the next attempt is asked for with. */
export const PAID = captureOf("psr_1", DUE);
export const PAYS = success("psr_1", { amount: DUE });
export const ANOTHER_ATTEMPT = { type: "ATTEMPT_PAYMENT", method: "CARD", instrumentId: "ins_2" };
export const DECLINED_FOR_GOOD = {
  class: "TERMINAL",
  step: "STEP_8",
  code: "PAYMENT_DECLINED",
  message: "The last payment attempt was declined.",
};

export function waiting(policy: Partial<CheckoutPolicy> = {}): MachineRun {
  return MachineRun.at("awaitingPayment", policy);
}

/** The first attempt failed, the second is under way. */
export function requesting(policy: Partial<CheckoutPolicy> = {}): MachineRun {
  return waiting(policy).send(failure("att_1")).send(ANOTHER_ATTEMPT);
}

export function failedFor(code: string, attemptId = "att_1", attempt = 1, attemptsLeft = 2) {
  return { type: "payment_failed", data: { pcrId: "pcr_1", attemptId, attempt, code, attemptsLeft } };
}

/** What the provider says of the payment request when it is asked. */
export function report(outcome: object, captures: readonly object[] = []) {
  return { attemptId: "att_1", outcome, captures };
}
