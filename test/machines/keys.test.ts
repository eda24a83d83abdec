/** Participants remember these keys: one that changes does its work twice. */
import { expect, test } from "vitest";
import { refundKey, stepKey } from "../../machines/keys.ts";

test("a step's key is the checkout's and the step's, and the round's where there are rounds", () => {
  expect(stepKey("ctx_1", "STEP_3")).toBe("ctx_1:STEP_3");
  expect(stepKey("ctx_1", "STEP_5", 1)).toBe("ctx_1:STEP_5:1");
  expect(stepKey("ctx_1", "STEP_5", 2)).toBe("ctx_1:STEP_5:2");
});

test("a refund's key is its capture's; made again, it has another", () => {
  expect(refundKey("ctx_1", "psr_1", 1)).toBe("ctx_1:refund:psr_1");
  expect(refundKey("ctx_1", "psr_1", 2)).toBe("ctx_1:refund-2:psr_1");
});
