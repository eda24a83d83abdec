/** How long a request waits for its checkout, and what it is told then. */
import { expect, test } from "vitest";
import { TransientError } from "../../machines/errors.ts";
import { last } from "./actor-desk.ts";
import { outcomeOf } from "./commands-desk.ts";
import { COMMAND, setup, UNDONE, WAIT_MS } from "./orchestrator-desk.ts";

/** One node, with a checkout of the request whose first step is in flight. */
async function begun() {
  const bundle = setup();
  const one = await bundle.started();
  const outcome = outcomeOf(one.orchestrator.initiate(COMMAND));
  await bundle.settle();
  const id = bundle.store.rows[0]?.id ?? "";
  return { ...bundle, one, outcome, id };
}

test("the answer comes with the transition that gives it, not as a replay", async () => {
  const { one, outcome, settle, id } = await begun();
  expect(outcome).toEqual({});
  await last(one.steps).fail(new Error("a bug"));
  await settle();
  expect(outcome.value).toEqual({ kind: "answered", executionContextId: id, answer: UNDONE, replayed: false });
});

test("who comes again while it goes on waits for the same answer", async () => {
  const { one, settle, id } = await begun();
  const repeated = outcomeOf(one.orchestrator.initiate(COMMAND));
  await settle();
  expect(repeated).toEqual({});
  await last(one.steps).fail(new Error("a bug"));
  await settle();
  expect(repeated.value).toEqual({ kind: "answered", executionContextId: id, answer: UNDONE, replayed: false });
});

test("who comes again later is told the stored answer, and that it is a replay", async () => {
  const { one, settle, id } = await begun();
  await last(one.steps).fail(new Error("a bug"));
  await settle();
  const repeated = outcomeOf(one.orchestrator.initiate(COMMAND));
  await settle();
  expect(repeated.value).toEqual({ kind: "answered", executionContextId: id, answer: UNDONE, replayed: true });
});

test("when the time is up it is told how it stands, and to come again in a second", async () => {
  const { clock, outcome } = await begun();
  await clock.advance(WAIT_MS - 1);
  expect(outcome).toEqual({});
  await clock.advance(1);
  expect(outcome.value).toMatchObject({
    kind: "unfinished",
    view: { path: "PROCESSING.opening.pinningFlags.running" },
    retryAfterMs: 1_000,
  });
});

test.each([
  { retryAfterMs: 4_500, told: 2_500 },
  { retryAfterMs: 2_900, told: 1_000 },
])("one that backs off for $retryAfterMs is worth coming back for in $told", async ({ retryAfterMs, told }) => {
  const { one, clock, outcome } = await begun();
  await last(one.steps).fail(new TransientError("UNAVAILABLE", "Not now.", { retryAfterMs }));
  await clock.advance(WAIT_MS);
  expect(outcome.value).toMatchObject({ kind: "unfinished", retryAfterMs: told });
});

test("the store is looked at no more often than needed while this node runs the checkout", async () => {
  const { started, clock, store, settle } = setup();
  const one = await started();
  let looks = 0;
  one.stubs.findClaim = (caller, key) => (looks++, store.findClaim(caller, key));
  void one.orchestrator.initiate(COMMAND);
  await settle();
  expect(looks).toBe(1);
  await clock.advance(WAIT_MS);
  expect(looks).toBe(2);
});

test("where another node runs it, its answer is found within a quarter of a second", async () => {
  const { one, started, clock, id } = await begun();
  const two = await started();
  const outcome = outcomeOf(two.orchestrator.initiate(COMMAND));
  await clock.advance(500);
  await last(one.steps).fail(new Error("a bug"));
  await clock.advance(249);
  expect(outcome).toEqual({});
  await clock.advance(1);
  expect(outcome.value).toEqual({ kind: "answered", executionContextId: id, answer: UNDONE, replayed: true });
});

test("one that rests is looked at too: it may be woken elsewhere", async () => {
  const { one, clock, outcome } = await begun();
  await last(one.steps).fail(new TransientError("UNAVAILABLE", "Not now.", { retryAfterMs: 20_000 }));
  await clock.advance(WAIT_MS - 1);
  expect(outcome).toEqual({});
  await clock.advance(1);
  expect(outcome.value).toMatchObject({ kind: "unfinished", retryAfterMs: 1_000 });
});

test("one that is parked is told at once: to wait longer helps nobody", async () => {
  const { one, store, clock, outcome, id } = await begun();
  one.stubs.commit = () => Promise.reject(Object.assign(new Error("invalid byte sequence"), { code: "22P05" }));
  await last(one.steps).end({ flags: {} });
  await clock.advance(250);
  expect(store.row(id)?.parkedReason).not.toBeNull();
  expect(outcome.value).toMatchObject({ kind: "parked", view: { executionContextId: id } });
});

test("who comes without patience is told how it stands, at once", async () => {
  const { started, settle } = setup();
  const one = await started();
  const outcome = outcomeOf(one.orchestrator.initiate({ ...COMMAND, waitMs: 0 }));
  await settle();
  expect(outcome.value?.kind).toBe("unfinished");
});

test("an answer that was stored between two looks is found by the last one", async () => {
  const { clock, one, outcome, id } = await begun();
  const answer = { status: 200, body: "{}" };
  one.stubs.findClaim = async () => ({ contextId: id, requestHash: "hash", answer, isParked: false });
  await clock.advance(WAIT_MS);
  expect(outcome.value).toEqual({ kind: "answered", executionContextId: id, answer, replayed: true });
});

test("one that can't be loaded goes on all the same: it is worth asking again", async () => {
  const { clock, one, outcome } = await begun();
  one.stubs.load = async () => null;
  await clock.advance(WAIT_MS);
  expect(outcome.error).toMatchObject({ class: "TRANSIENT", code: "RETRY_SCHEDULED" });
});

test("a claim that is gone is no reason to fail", async () => {
  const { clock, one, outcome } = await begun();
  one.stubs.findClaim = async () => null;
  await clock.advance(WAIT_MS);
  expect(outcome.value?.kind).toBe("unfinished");
});
