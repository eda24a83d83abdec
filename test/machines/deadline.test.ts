/** At the payment's deadline the provider is asked what it holds, and nobody decides on silence. */
import { expect, test } from "vitest";
import { expiry, failure, success } from "../support/checkout-context.ts";
import { DOWN, DUE_AT, MachineRun } from "./machine-run.ts";
import { CONFIRMING, PAID, PAYS, report, requesting, SETTLING, UNDOING, waiting } from "./settlement-run.ts";

const asking = () => waiting().ring("paymentDeadline");
const EXPIRED = {
  class: "TERMINAL",
  step: "STEP_8",
  code: "PAYMENT_EXPIRED",
  message: "The payment was not completed in time.",
};

test("at the deadline the provider cancels what is pending and says what it holds", () => {
  const run = asking();
  expect(run.view).toMatchObject({ path: "PROCESSING.STEP_8.asking.running", status: "AWAITING_PAYMENT" });
  expect(run.running).toEqual({
    id: "asking",
    src: "cancelIfPending",
    input: { executionContextId: "ctx_1", key: "ctx_1:STEP_5", pcrId: "pcr_1" },
  });
  expect(run.timers).toEqual({});
});

test("what the provider had captured confirms; what it cancelled, or had declined, undoes everything", () => {
  expect(asking().done(report({ kind: "captured", ...PAID }, [PAID])).path).toBe(CONFIRMING);
  const cancelled = asking().done(report({ kind: "cancelled" }));
  expect(cancelled.path).toBe(UNDOING);
  expect(cancelled.context).toMatchObject({ lastError: EXPIRED, payment: { declineCode: "CANCELLED" } });
});

test("an earlier failure stays the reason of the rollback", () => {
  const run = requesting({ stepRetryMax: 0 })
    .fail(DOWN)
    .done(report({ kind: "cancelled" }));
  expect(run.context.lastError).toEqual({ ...DOWN, step: "STEP_8" });
});

test("a success that arrives while the provider is asked is the provider's own word; another amount is only noted", () => {
  expect(asking().send(PAYS).path).toBe(CONFIRMING);
  const other = asking().send(success("psr_x", { amount: 1 }));
  expect(other.path).toBe("PROCESSING.STEP_8.asking.running");
  expect(other.context.payment.owed).toHaveLength(1);
  expect(asking().send(failure("att_1")).context.payment.status).toBe("DECLINED");
  expect(asking().send(expiry("att_1")).context.payment.status).toBe("DECLINED");
});

test("a cancel no longer waits for the answer", () => {
  const run = asking().send({ type: "CANCEL" });
  expect(run.path).toBe(UNDOING);
  expect(run.context.lastError?.code).toBe("CANCELLED");
});

test("the deadline counts from the payment request, however late the wait began", () => {
  const run = MachineRun.at("STEP_8");
  run.now = DUE_AT + 5;
  run.done({});
  expect(run.timers[`xstate.after.paymentDeadline.checkout.${SETTLING}`]).toBe(DUE_AT + 5);
});
