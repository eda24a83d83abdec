/** Another attempt is under way: its reply, its failures, and what is heard meanwhile. */
import { expect, test } from "vitest";
import { success } from "../support/checkout-context.ts";
import { DOWN, NEXT_ACTION, OPEN, REFUSED } from "./machine-run.ts";
import {
  CONFIRMING,
  DECLINED_FOR_GOOD,
  failedFor,
  PAID,
  PAYS,
  requesting,
  SETTLING,
  UNDOING,
  WAITING,
} from "./settlement-run.ts";

test("the reply of another attempt says how it went on", () => {
  const open = requesting().done({ ...OPEN, attemptId: "att_2" });
  expect(open.path).toBe(WAITING);
  expect(open.context.payment).toMatchObject({ attemptId: "att_2", nextAction: NEXT_ACTION, status: "REQUIRES_ACTION" });
  const captured = requesting().done({ ...OPEN, attemptId: "att_2", outcome: { kind: "captured", ...PAID } });
  expect(captured.path).toBe(CONFIRMING);
  const declined = { ...OPEN, attemptId: "att_2", outcome: { kind: "declined", code: "NO_FUNDS" } };
  expect(requesting().done(declined).told).toEqual([failedFor("NO_FUNDS", "att_2", 2, 1)]);
  expect(requesting({ paymentAttemptsMax: 2 }).done(declined).path).toBe(UNDOING);
});

test("a success of an earlier attempt waits for the reply, and pays then", () => {
  const run = requesting().send({ ...PAYS, data: { ...PAYS.data, attemptId: "att_1" } });
  expect(run.path).toBe(`${SETTLING}.requestingAttempt.running`);
  expect(run.context.payment.settledBy).toEqual(PAID);
  expect(run.done({ ...OPEN, attemptId: "att_2" }).path).toBe(CONFIRMING);
});

test("the decline of another attempt is told, although a capture of another amount had spent it before it had an id", () => {
  const run = requesting().send(success("psr_x", { amount: 1 }));
  expect(run.context.payment).toMatchObject({ status: "DECLINED", attemptId: null });
  const declined = run.done({ ...OPEN, attemptId: "att_2", outcome: { kind: "declined", code: "NO_FUNDS" } });
  expect(declined.told).toEqual([failedFor("NO_FUNDS", "att_2", 2, 1)]);
});

test("a request that failed and may work later is made again, under the same key", () => {
  const run = requesting().fail(DOWN);
  expect(run.path).toBe(`${SETTLING}.requestingAttempt.backingOff`);
  expect(run.context.lastError).toEqual({ ...DOWN, step: "STEP_8" });
  expect(run.context.retry.failures).toBe(1);
  expect(run.send(PAYS).path).toBe(`${SETTLING}.requestingAttempt.backingOff`);
  expect(run.ring("backoff").running.input).toMatchObject({ key: "ctx_1:STEP_5:2" });
});

test("a request that keeps failing past every limit asks the provider what it holds", () => {
  const run = requesting({ stepRetryMax: 0 }).fail(DOWN);
  expect(run.path).toBe("PROCESSING.STEP_8.asking.running");
  expect(run.context.lastError).toEqual({ ...DOWN, step: "STEP_8" });
  expect(run.context.retry.failures).toBe(0);
});

test("a refused request spends the attempt like a decline", () => {
  const run = requesting().fail(REFUSED);
  expect(run.path).toBe(WAITING);
  expect(run.told).toEqual([
    { type: "payment_failed", data: { pcrId: "pcr_1", attemptId: null, attempt: 2, code: "REFUSED", attemptsLeft: 1 } },
  ]);
  expect(run.context).toMatchObject({ lastError: null, payment: { status: "DECLINED", declineCode: "REFUSED" } });
  const last = requesting({ paymentAttemptsMax: 2 }).fail(REFUSED);
  expect(last.path).toBe(UNDOING);
  expect(last.told).toHaveLength(1);
  expect(last.context.lastError).toEqual(DECLINED_FOR_GOOD);
});

test("a refused request after an earlier attempt has paid confirms", () => {
  const run = requesting().fail(DOWN).send(PAYS).ring("backoff").fail(REFUSED);
  expect(run.path).toBe(CONFIRMING);
  expect(run.context.lastError).toBeNull();
  expect(run.told).toEqual([]);
});
