/** News of the payment that comes before anyone waits for it. */
import { expect, test } from "vitest";
import { expiry, failure } from "../support/checkout-context.ts";
import { MachineRun } from "./machine-run.ts";
import { CONFIRMING, DECLINED_FOR_GOOD, failedFor, PAYS, UNDOING, WAITING } from "./settlement-run.ts";

test("a payment that is known before anyone waits for it settles as soon as its turn comes", () => {
  for (const step of ["STEP_6", "STEP_7", "STEP_8"]) {
    const run = MachineRun.at(step).send(PAYS);
    expect(run.running.id).toBe(step);
    while (run.path.startsWith("PROCESSING.STEP_") && run.path !== CONFIRMING) run.done({ lineItemIds: [] });
    expect(run.path).toBe(CONFIRMING);
    expect(run.told).toEqual([{ type: "line_items_updated", data: { lineItemIds: [] } }]);
  }
});

test.each([
  ["a decline", failure("att_1"), "DECLINED"],
  ["an expiry", expiry("att_1"), "EXPIRED"],
])("%s that is known before anyone waits for it is told once its turn comes", (_, event, code) => {
  const run = MachineRun.at("STEP_8").send(event).done({});
  expect(run.path).toBe(WAITING);
  expect(run.told).toEqual([{ type: "line_items_updated", data: {} }, failedFor(code)]);
  const last = MachineRun.at("STEP_8", { paymentAttemptsMax: 1 }).send(event).done({});
  expect(last.path).toBe(UNDOING);
  expect(last.told.map(({ type }) => type)).toEqual(["line_items_updated", "payment_failed"]);
  expect(last.context.lastError).toEqual(DECLINED_FOR_GOOD);
});
