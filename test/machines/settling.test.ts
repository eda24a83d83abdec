/** While the payment is awaited: every kind of news, a cancel, and another attempt. */
import { expect, test } from "vitest";
import { expiry, failure, success } from "../support/checkout-context.ts";
import { DUE, DUE_AT, OPEN } from "./machine-run.ts";
import {
  ANOTHER_ATTEMPT,
  CONFIRMING,
  DECLINED_FOR_GOOD,
  failedFor,
  PAID,
  PAYS,
  requesting,
  SETTLING,
  UNDOING,
  waiting,
  WAITING,
} from "./settlement-run.ts";

test("the deadline is the payment's own, and the provider is asked now and then", () => {
  const run = waiting();
  expect(run.path).toBe(WAITING);
  expect(run.view).toMatchObject({ state: "STEP_8", status: "AWAITING_PAYMENT" });
  expect(run.timers).toEqual({
    [`xstate.after.paymentDeadline.checkout.${SETTLING}`]: DUE_AT,
    [`xstate.after.paymentPoll.checkout.${WAITING}`]: 31_000,
  });
});

test("a success of the due amount confirms: only what is due now counts", () => {
  const run = waiting().send(PAYS);
  expect(run.path).toBe(CONFIRMING);
  expect(run.context.payment).toMatchObject({ status: "CAPTURED", settledBy: PAID, nextAction: null });
  expect(run.told).toEqual([]);
  expect(run.running).toEqual({
    id: "STEP_9",
    src: "executePCRSuccessSteps",
    input: { executionContextId: "ctx_1", key: "ctx_1:STEP_9", pcrId: "pcr_1", pspReference: "psr_1" },
  });
});

test.each([
  ["a decline", failure("att_1"), "DECLINED"],
  ["an expiry", expiry("att_1"), "EXPIRED"],
  ["a capture of another amount", success("psr_x", { amount: 1 }), "AMOUNT_MISMATCH"],
])("%s is told with the attempts that are left, and another attempt is waited for", (_, event, code) => {
  const run = waiting().send(event);
  expect(run.path).toBe(WAITING);
  expect(run.told).toEqual([failedFor(code)]);
  expect(run.context.payment).toMatchObject({ status: "DECLINED", declineCode: code, nextAction: null });
  // The same news is told once.
  expect(run.send(event).told).toEqual([]);
});

test.each([
  ["a decline", failure("att_1"), "DECLINED"],
  ["an expiry", expiry("att_1"), "EXPIRED"],
])("%s of the last attempt undoes everything", (_, event, code) => {
  const run = waiting({ paymentAttemptsMax: 1 }).send(event);
  expect(run.path).toBe(UNDOING);
  expect(run.told).toEqual([failedFor(code, "att_1", 1, 0)]);
  expect(run.context.lastError).toEqual(DECLINED_FOR_GOOD);
});

test("a failure that names no attempt is applied to the only one, and asked about when there were several", () => {
  expect(waiting().send(failure()).told).toEqual([failedFor("DECLINED")]);
  const second = requesting().done({ ...OPEN, attemptId: "att_2" });
  expect(second.path).toBe(WAITING);
  expect(second.send(failure()).path).toBe(`${SETTLING}.polling`);
  const named = requesting()
    .done({ ...OPEN, attemptId: "att_2" })
    .send(failure("att_2"));
  expect(named.path).toBe(WAITING);
  expect(named.told).toEqual([failedFor("DECLINED", "att_2", 2, 1)]);
  const unnamed = expiry("att_1");
  const { attemptId: _, ...data } = unnamed.data;
  const again = requesting().done({ ...OPEN, attemptId: "att_2" });
  expect(again.send({ ...unnamed, data }).path).toBe(`${SETTLING}.polling`);
});

test("a cancel undoes everything, the published event first", () => {
  for (const run of [waiting(), waiting().ring("paymentPoll"), requesting()]) {
    run.send({ type: "CANCEL" });
    expect(run.path).toBe(UNDOING);
    expect(run.context.lastError).toMatchObject({ class: "TERMINAL", step: "STEP_8", code: "CANCELLED" });
  }
});

test("another attempt is made under the next round's key, and none beyond the last", () => {
  const run = requesting();
  expect(run.path).toBe(`${SETTLING}.requestingAttempt.running`);
  expect(run.context.payment).toMatchObject({
    status: "REQUIRES_ACTION",
    round: 2,
    choice: { method: "CARD", instrumentId: "ins_2" },
    attemptId: null,
    nextAction: null,
    declineCode: null,
  });
  expect(run.running).toEqual({
    id: "requestingAttempt",
    src: "createPaymentAttempt",
    input: {
      executionContextId: "ctx_1",
      key: "ctx_1:STEP_5:2",
      pcrId: "pcr_1",
      checkoutOrderId: "co_1",
      amount: DUE,
      currency: "INR",
      dueAt: DUE_AT,
      round: 2,
      method: "CARD",
      instrumentId: "ins_2",
    },
  });
  const last = waiting({ paymentAttemptsMax: 2 })
    .send(ANOTHER_ATTEMPT)
    .done({ ...OPEN, attemptId: "att_2" });
  expect(last.send(ANOTHER_ATTEMPT).path).toBe(WAITING);
  expect(last.ring("paymentPoll").send(ANOTHER_ATTEMPT).path).toBe(`${SETTLING}.polling`);
  expect(waiting().ring("paymentPoll").send(ANOTHER_ATTEMPT).path).toBe(`${SETTLING}.requestingAttempt.running`);
});
