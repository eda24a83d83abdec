/** Commands for a checkout whose version this node doesn't know: kept, and left to a node that knows it. */
import { expect, test } from "vitest";
import { ID, outcomeOf, setup, WAIT_MS } from "./commands-desk.ts";

/** As its row tells it: the documented state, and nothing that the checkout knows. */
function elsewhere(state = "STEP_8", status: "AWAITING_PAYMENT" | "NEEDS_ATTENTION" = "AWAITING_PAYMENT") {
  const bundle = setup(state, status);
  bundle.controls.isOfOtherVersion = true;
  return bundle;
}

type Bundle = ReturnType<typeof setup>;
const command = { executionContextId: ID, idempotencyKey: "key", waitMs: WAIT_MS };
const COMMANDS = [
  ["a cancellation", "ctx_1:cancel", ({ commands }: Bundle) => commands.cancel(ID, WAIT_MS)],
  [
    "another attempt",
    "ctx_1:payment:key",
    ({ commands }: Bundle) => commands.attemptPayment({ ...command, method: "UPI", instrumentId: "ins_1" }),
  ],
  [
    "a resolution",
    "ctx_1:resolve:key",
    ({ commands }: Bundle) => commands.resolve({ ...command, operator: "op", reference: "OPS-1", target: { undo: "optIns" } }),
  ],
] as const;

test.each(COMMANDS)("%s is kept and told, and its client is asked to send it again", async (_what, eventId, ask) => {
  const bundle = elsewhere();
  const outcome = outcomeOf<unknown>(ask(bundle));
  await bundle.clock.advance(WAIT_MS);
  expect(bundle.asked.map((one) => one.eventId)).toEqual([eventId]);
  expect(bundle.told).toEqual([ID]);
  expect(outcome.error).toMatchObject({ code: "RETRY_SCHEDULED", details: { executionContextId: ID } });
});

test.each(COMMANDS)("%s that was heard elsewhere is not answered with what the row alone says", async (_what, eventId, ask) => {
  const bundle = elsewhere();
  const outcome = outcomeOf<unknown>(ask(bundle));
  await bundle.settle();
  await bundle.hear(eventId, "STEP_8");
  await bundle.clock.advance(WAIT_MS);
  expect(outcome.error).toMatchObject({ code: "RETRY_SCHEDULED" });
});
