/** What must happen is tried for ever, and an operator is asked once. */
import { describe, expect, it } from "vitest";
import { DOWN, REFUSED } from "./machine-run.ts";
import { PAID, PAYS, waiting } from "./settlement-run.ts";

describe.each([
  ["asking", () => waiting().ring("paymentDeadline"), "PROCESSING.STEP_8.asking"],
  ["STEP_9", () => waiting().send(PAYS), "PROCESSING.STEP_8.confirming"],
  [
    "STEP_10",
    () =>
      waiting()
        .send(PAYS)
        .done({ captures: [PAID] }),
    "PROCESSING.STEP_8.producingConfirmed",
  ],
])("%s never gives up", (id, begin, path) => {
  it("and calls for an operator once, after some tries", () => {
    const run = begin();
    const status = run.view.status;
    for (let failures = 1; failures <= 8; failures++) {
      run.fail(failures % 2 === 0 ? DOWN : REFUSED);
      expect(run.path).toBe(`${path}.backingOff`);
      expect(run.context.retry.failures).toBe(Math.min(failures, 6));
      const alarm = { type: "checkout_needs_attention", data: { step: id, code: failures % 2 === 0 ? "DOWN" : "REFUSED" } };
      expect(run.told).toEqual(failures === 6 ? [alarm] : []);
      expect(run.view.status).toBe(failures < 6 ? status : "NEEDS_ATTENTION");
      expect(run.context.lastError).toBeNull();
      run.ring("backoff");
      expect(run.running.id).toBe(id);
    }
  });
});
