/** While the provider is asked whether an event was lost. */
import { expect, test } from "vitest";
import type { CheckoutPolicy } from "../../machines/context.ts";
import { expiry, failure } from "../support/checkout-context.ts";
import { NEXT_ACTION, REFUSED } from "./machine-run.ts";
import { CONFIRMING, failedFor, PAID, PAYS, report, SETTLING, UNDOING, waiting, WAITING } from "./settlement-run.ts";

const polling = (policy: Partial<CheckoutPolicy> = {}) => waiting(policy).ring("paymentPoll");

test("the provider is asked about the payment request", () => {
  const run = polling();
  expect(run.path).toBe(`${SETTLING}.polling`);
  expect(run.view.status).toBe("AWAITING_PAYMENT");
  expect(run.running).toEqual({
    id: "polling",
    src: "getPaymentStatus",
    input: { executionContextId: "ctx_1", key: "ctx_1:STEP_5", pcrId: "pcr_1" },
  });
});

test("what the provider says counts like an event", () => {
  expect(polling().done(report({ kind: "captured", ...PAID }, [PAID])).path).toBe(CONFIRMING);
  const declined = polling().done(report({ kind: "declined", code: "NO_FUNDS" }));
  expect(declined.path).toBe(WAITING);
  expect(declined.told).toEqual([failedFor("NO_FUNDS")]);
  expect(polling({ paymentAttemptsMax: 1 }).done(report({ kind: "declined", code: "NO_FUNDS" })).path).toBe(UNDOING);
  const pending = polling().done(report({ kind: "pending", nextAction: NEXT_ACTION }));
  expect(pending.path).toBe(WAITING);
  expect(pending.told).toEqual([]);
});

test("no answer leaves everything as it is, and the next one is asked for in its time", () => {
  const run = polling().fail(REFUSED);
  expect(run.path).toBe(WAITING);
  expect(run.context.lastError).toBeNull();
  expect(run.timers[`xstate.after.paymentPoll.checkout.${WAITING}`]).toBe(61_000);
});

test.each([
  ["a success", PAYS, CONFIRMING],
  ["a decline", failure("att_1"), WAITING],
  ["an expiry", expiry("att_1"), WAITING],
])("%s that arrives while the provider is asked counts at once", (_, event, path) => {
  expect(polling().send(event).path).toBe(path);
});
