import { expect, test } from "vitest";
import { AWAITING, CONFIRMING, DEFERRED, ID, outcomeOf, setup, UNDOING, WAIT_MS } from "./commands-desk.ts";

const EVENT_ID = "ctx_1:cancel";

function cancelling(...standing: Parameters<typeof setup>) {
  const bundle = setup(...standing);
  const outcome = outcomeOf(bundle.commands.cancel(ID, WAIT_MS));
  return { ...bundle, outcome };
}

const NOT_HEARD = {
  class: "TRANSIENT",
  code: "RETRY_SCHEDULED",
  retryAfterMs: 1_000,
  details: { executionContextId: ID },
};
const NOT_CANCELLABLE = { class: "CONFLICT", code: "NOT_CANCELLABLE", details: { executionContextId: ID } };

test("is kept under its own name first, then the checkout is told, and what it comes to is waited for", async () => {
  const { settle, asked, told, outcome, hear, go } = cancelling();
  await settle();
  expect(asked).toEqual([{ source: "api", eventId: EVENT_ID, id: ID, event: { type: "CANCEL" } }]);
  expect(told).toEqual([ID]);
  await hear(EVENT_ID, UNDOING, { status: "ROLLING_BACK" });
  expect(outcome).toEqual({});
  await go("ROLLEDBACK.atRest", { status: "ROLLED_BACK" });
  expect(outcome.value).toMatchObject({ path: "ROLLEDBACK.atRest" });
});

test("on a checkout that is undone already it asks nothing and is done", async () => {
  const { settle, asked, outcome } = cancelling("ROLLEDBACK.atRest", "ROLLED_BACK");
  await settle();
  expect(asked).toEqual([]);
  expect(outcome.value).toMatchObject({ state: "ROLLEDBACK" });
});

test("on a checkout that is being undone it asks nothing, and tells how far that is when the time is up", async () => {
  const { clock, asked, outcome } = cancelling(UNDOING, "ROLLING_BACK");
  await clock.advance(WAIT_MS - 1);
  expect({ asked, outcome }).toEqual({ asked: [], outcome: {} });
  await clock.advance(1);
  expect(outcome.value).toMatchObject({ path: UNDOING, status: "ROLLING_BACK" });
});

test("an undo that asks for an operator is not waited for", async () => {
  const { settle, outcome } = cancelling(DEFERRED, "NEEDS_ATTENTION");
  await settle();
  expect(outcome.value).toMatchObject({ path: DEFERRED });
});

test.each(["COMPLETED.atRest", CONFIRMING, "PROCESSING.STEP_8.producingConfirmed.running"])(
  "past the pivot, in %s, it is refused at once and nothing is asked",
  async (path) => {
    const { settle, asked, outcome } = cancelling(path, "PROCESSING");
    await settle();
    expect(asked).toEqual([]);
    expect(outcome.error).toMatchObject(NOT_CANCELLABLE);
  },
);

test("a payment that comes first refuses it, as soon as that is known", async () => {
  const { settle, outcome, go } = cancelling();
  await settle();
  await go(CONFIRMING);
  expect(outcome.error).toMatchObject(NOT_CANCELLABLE);
});

test("not heard in time it says so: the request is kept, and the same call joins it", async () => {
  const { clock, outcome } = cancelling();
  await clock.advance(WAIT_MS - 1);
  expect(outcome).toEqual({});
  await clock.advance(1);
  expect(outcome.error).toMatchObject(NOT_HEARD);
});

test("a checkout that nobody knows is not heard either", async () => {
  const { settle, outcome, commands } = cancelling();
  const other = outcomeOf(commands.cancel("ctx_other", WAIT_MS));
  await settle();
  expect(outcome).toEqual({});
  expect(other.error).toMatchObject({ ...NOT_HEARD, details: { executionContextId: "ctx_other" } });
});

test("a checkout that is parked can't hear it: it is told as needing attention, without a wait", async () => {
  const bundle = setup("PROCESSING.STEP_3.running", "PROCESSING");
  bundle.controls.parkedReason = "its journal has a gap";
  const outcome = outcomeOf(bundle.commands.cancel(ID, WAIT_MS));
  await bundle.settle();
  expect(bundle.asked).toHaveLength(1);
  expect(outcome.value).toMatchObject({ path: "PROCESSING.STEP_3.running", status: "NEEDS_ATTENTION" });
});

test("a checkout that insists and needs attention is told as it stands when the time is up", async () => {
  const { clock, outcome } = cancelling("PROCESSING.STEP_8.asking.backingOff", "NEEDS_ATTENTION");
  await clock.advance(WAIT_MS - 1);
  expect(outcome).toEqual({});
  await clock.advance(1);
  expect(outcome.value).toMatchObject({ status: "NEEDS_ATTENTION" });
});

test("a node that can't be told is no reason to fail: the request is kept", async () => {
  const bundle = setup();
  bundle.controls.notify = () => Promise.reject(new Error("the database is away"));
  const outcome = outcomeOf(bundle.commands.cancel(ID, WAIT_MS));
  await bundle.settle();
  await bundle.hear(EVENT_ID, "ROLLEDBACK.atRest", { status: "ROLLED_BACK" });
  expect(outcome.value).toMatchObject({ state: "ROLLEDBACK" });
});

test("a checkout that another node runs is looked at every quarter of a second, and at the very end", async () => {
  const bundle = setup();
  const outcome = outcomeOf(bundle.commands.cancel(ID, 600));
  const begunAt = bundle.clock.now();
  await bundle.clock.advance(599);
  expect(new Set(bundle.looks.map((at) => at - begunAt))).toEqual(new Set([0, 250, 500]));
  bundle.show({ path: "ROLLEDBACK.atRest", state: "ROLLEDBACK", status: "ROLLED_BACK", finished: true });
  await bundle.clock.advance(1);
  expect(outcome.value).toMatchObject({ state: "ROLLEDBACK" });
  expect(bundle.looks.at(-1)).toBe(begunAt + 600);
});

test("waiting for a payment is no end of it: it is waited for until it is undone", async () => {
  const { settle, outcome, go } = cancelling("PROCESSING.STEP_8.producing.running", "PROCESSING");
  await settle();
  await go(AWAITING, { status: "AWAITING_PAYMENT" });
  expect(outcome).toEqual({});
});
