import { expect, test } from "vitest";
import { contextWith } from "../support/checkout-context.ts";
import { AWAITING, CONFIRMING, ID, outcomeOf, REQUESTING, setup, UNDOING, WAIT_MS } from "./commands-desk.ts";

const EVENT_ID = "ctx_1:payment:key";
const ASKED = { type: "ATTEMPT_PAYMENT", method: "CARD", instrumentId: "ins_1" };
const COMMAND = {
  executionContextId: ID,
  idempotencyKey: "key",
  method: "CARD",
  instrumentId: "ins_1",
  waitMs: WAIT_MS,
};
const NOT_EXPECTED = { class: "CONFLICT", code: "PAYMENT_NOT_EXPECTED", details: { executionContextId: ID } };
const NOT_HEARD = {
  class: "TRANSIENT",
  code: "RETRY_SCHEDULED",
  retryAfterMs: 1_000,
  details: { executionContextId: ID },
};
const ALREADY_PAID = { class: "CONFLICT", code: "ALREADY_PAID", details: { executionContextId: ID } };
const DONE = "xstate.done.actor.requestingAttempt";
const PENDING = { kind: "pending", nextAction: { type: "REDIRECT", expiresAt: 1 } };
const CAPTURED = { kind: "captured", pspReference: "psr_1", amount: 1, currency: "INR" };

function ready(...standing: Parameters<typeof setup>) {
  const bundle = setup(...standing);
  const attempt = (differs: Partial<typeof COMMAND> = {}) =>
    outcomeOf(bundle.commands.attemptPayment({ ...COMMAND, ...differs }));
  return { ...bundle, attempt };
}

/** The attempt was heard, and its reply is awaited. */
async function requesting() {
  const bundle = ready();
  const outcome = bundle.attempt();
  await bundle.settle();
  await bundle.hear(EVENT_ID, REQUESTING);
  return { ...bundle, outcome };
}

test("is kept under the client's key, heard in its turn, and waited for until the checkout waits again", async () => {
  const { settle, attempt, asked, told, hear, go } = ready();
  const outcome = attempt();
  await settle();
  expect(asked).toEqual([{ source: "api", eventId: EVENT_ID, id: ID, event: ASKED }]);
  expect(told).toEqual([ID]);
  await hear(EVENT_ID, REQUESTING);
  expect(outcome).toEqual({});
  await go(AWAITING, { status: "AWAITING_PAYMENT" });
  expect(outcome.value).toMatchObject({ replayed: false, view: { path: AWAITING, seq: 3 } });
});

test("an undo that an attempt's decline began is told as it stands when the time is up", async () => {
  const { clock, go, outcome } = await requesting();
  await go(UNDOING, { status: "ROLLING_BACK" });
  await clock.advance(WAIT_MS - 1);
  expect(outcome).toEqual({});
  await clock.advance(1);
  expect(outcome.value).toMatchObject({ replayed: false, view: { path: UNDOING } });
});

test.each([
  ["COMPLETED.atRest", "CONFIRMED"],
  ["ROLLEDBACK.refunding.running", "ROLLED_BACK"],
  ["PROCESSING.STEP_8.asking.backingOff", "NEEDS_ATTENTION"],
] as const)("is answered once the checkout is in %s", async (path, status) => {
  const { go, outcome } = await requesting();
  await go(path, { status });
  expect(outcome.value).toMatchObject({ view: { path } });
});

test("a request for it that asks for an operator is no answer", async () => {
  const { clock, go, outcome } = await requesting();
  await go("PROCESSING.STEP_8.settling.requestingAttempt.backingOff", { status: "NEEDS_ATTENTION" });
  expect(outcome).toEqual({});
  await clock.advance(WAIT_MS);
  expect(outcome.error).toMatchObject(NOT_HEARD);
});

test("a parked checkout is told as needing attention, without a wait", async () => {
  const { clock, controls, show, outcome } = await requesting();
  show({ path: AWAITING });
  controls.parkedReason = "its journal has a gap";
  await clock.advance(250);
  expect(outcome.value).toMatchObject({ view: { status: "NEEDS_ATTENTION" } });
});

test.each([
  ["it waits for no payment", CONFIRMING, "PROCESSING", 1],
  ["no attempt is left", AWAITING, "AWAITING_PAYMENT", 3],
] as const)("refused at once where %s, and nothing is kept", async (_, path, status, round) => {
  const { settle, attempt, asked, show } = ready(path, status);
  show({ context: contextWith({ round }) });
  const outcome = attempt();
  await settle();
  expect(asked).toEqual([]);
  expect(outcome.error).toMatchObject(NOT_EXPECTED);
});

test("one attempt is left as long as there is one", async () => {
  const { settle, attempt, asked, show } = ready();
  show({ context: contextWith({ round: 2 }) });
  attempt();
  await settle();
  expect(asked).toHaveLength(1);
});

test("heard without effect it is refused: a payment came first", async () => {
  const { settle, attempt, hear, journal } = ready();
  const outcome = attempt();
  await settle();
  await hear(EVENT_ID, AWAITING, { hash: journal.at(-1)?.contextHash ?? "" });
  expect(outcome.error).toMatchObject(NOT_EXPECTED);
});

test("its repetition joins it and says so, whatever is waited for by now", async () => {
  const { settle, go, attempt, asked } = await requesting();
  await go("COMPLETED.atRest", { status: "CONFIRMED" });
  const again = attempt();
  await settle();
  expect(again.value).toMatchObject({ replayed: true, view: { state: "COMPLETED" } });
  expect(asked).toHaveLength(1);
});

test.each([
  ["method", { method: "UPI" }],
  ["instrument", { instrumentId: "ins_2" }],
])("its key with another %s is refused", async (_, differs) => {
  const { settle, attempt, asked } = await requesting();
  const other = attempt(differs);
  await settle();
  expect(other.error).toMatchObject({ class: "CONFLICT", code: "IDEMPOTENCY_KEY_REUSED" });
  expect(asked).toHaveLength(1);
});

test("its twin that was heard between two looks makes it a repetition, not a refusal", async () => {
  const { settle, attempt, inbox, show, hear, go, controls } = ready();
  controls.onLook = () => {
    controls.onLook = () => {};
    // Just then the twin is heard, and its attempt is requested.
    inbox.set(EVENT_ID, { event: ASKED, consumedSeq: null });
    show({ path: REQUESTING, status: "PROCESSING" });
  };
  const outcome = attempt();
  await settle();
  expect(outcome).toEqual({});
  await hear(EVENT_ID, REQUESTING);
  await go(AWAITING, { status: "AWAITING_PAYMENT" });
  expect(outcome.value).toMatchObject({ view: { path: AWAITING } });
});

test("another request that took the key a moment before refuses it", async () => {
  const { settle, attempt, inbox, controls } = ready();
  controls.onAsk = () => inbox.set(EVENT_ID, { event: { ...ASKED, method: "UPI" }, consumedSeq: null });
  const outcome = attempt();
  await settle();
  expect(outcome.error).toMatchObject({ code: "IDEMPOTENCY_KEY_REUSED" });
});

test("not heard in time it is kept, whatever else happens to the checkout", async () => {
  const { clock, attempt, go } = ready();
  const outcome = attempt();
  await go(AWAITING, { status: "AWAITING_PAYMENT" });
  await clock.advance(WAIT_MS - 1);
  expect(outcome).toEqual({});
  await clock.advance(1);
  expect(outcome.error).toMatchObject(NOT_HEARD);
});

test("still being requested when the time is up, it goes on in the background", async () => {
  const { clock, outcome } = await requesting();
  await clock.advance(WAIT_MS);
  expect(outcome.error).toMatchObject(NOT_HEARD);
});

test("a journal that lacks its entry, or the one before, tells nothing yet", async () => {
  for (const gone of [0, 1]) {
    const { settle, attempt, inbox, journal } = ready();
    const outcome = attempt();
    await settle();
    inbox.set(EVENT_ID, { event: ASKED, consumedSeq: 2 });
    const [first] = journal;
    if (first === undefined) throw new Error("A journal begins with an entry.");
    journal.length = 0;
    if (gone === 1) journal.push(first);
    const again = attempt();
    await settle();
    expect({ outcome: outcome.value, error: again.error }).toMatchObject({ error: NOT_HEARD });
  }
});

/** Whose capture it was that ended the request. */
const REPLIES = [
  ["the new attempt's own capture", { pcrId: "pcr_1", attemptId: "att_2", outcome: CAPTURED }, CONFIRMING, "paid for by it"],
  [
    "an earlier attempt, captured after all",
    { pcrId: "pcr_1", attemptId: "att_1", outcome: CAPTURED, isEarlier: true },
    CONFIRMING,
    "paid before",
  ],
  ["a pending attempt beside a capture", { pcrId: "pcr_1", attemptId: "att_2", outcome: PENDING }, CONFIRMING, "paid before"],
  ["a pending attempt", { pcrId: "pcr_1", attemptId: "att_2", outcome: PENDING }, AWAITING, "not paid yet"],
] as const;

test.each(REPLIES)("a reply that brings %s means: %s", async (_, output, to, meaning) => {
  const { go, outcome } = await requesting();
  await go(to, { event: { type: DONE, output }, status: to === AWAITING ? "AWAITING_PAYMENT" : "PROCESSING" });
  if (to === CONFIRMING) await go("COMPLETED.atRest", { status: "CONFIRMED" });
  if (meaning === "paid before") expect(outcome.error).toMatchObject(ALREADY_PAID);
  else expect(outcome.value).toMatchObject({ replayed: false });
});

test("a success of the new attempt that overtook its reply makes it paid by it; one of another attempt doesn't", async () => {
  for (const [attemptId, isPaidByIt] of [
    ["att_2", true],
    ["att_1", false],
  ] as const) {
    const { go, outcome } = await requesting();
    await go(REQUESTING, { event: { type: "payment_collection_requirement_failed", data: { attemptId: "att_2" } } });
    await go(REQUESTING, { event: { type: "payment_collection_requirement_success", data: { attemptId } } });
    const output = { pcrId: "pcr_1", attemptId: "att_2", outcome: PENDING };
    await go(CONFIRMING, { event: { type: DONE, output } });
    await go("COMPLETED.atRest", { status: "CONFIRMED" });
    if (isPaidByIt) expect(outcome.value).toMatchObject({ view: { state: "COMPLETED" } });
    else expect(outcome.error).toMatchObject(ALREADY_PAID);
  }
});

test("a success that came after the reply is not asked about: what the reply knew had paid", async () => {
  const { go, outcome } = await requesting();
  const output = { pcrId: "pcr_1", attemptId: "att_2", outcome: PENDING };
  await go(CONFIRMING, { event: { type: DONE, output } });
  await go(CONFIRMING, { event: { type: "payment_collection_requirement_success", data: { attemptId: "att_2" } } });
  await go("COMPLETED.atRest", { status: "CONFIRMED" });
  expect(outcome.error).toMatchObject(ALREADY_PAID);
});

test("a failure of the new attempt that overtook its reply doesn't make it paid by it", async () => {
  const { go, outcome } = await requesting();
  await go(REQUESTING, { event: { type: "payment_collection_requirement_failed", data: { attemptId: "att_2" } } });
  const output = { pcrId: "pcr_1", attemptId: "att_2", outcome: PENDING };
  await go(CONFIRMING, { event: { type: DONE, output } });
  await go("COMPLETED.atRest", { status: "CONFIRMED" });
  expect(outcome.error).toMatchObject(ALREADY_PAID);
});

test("without a reply nobody knows whose capture it was: the checkout says that it is paid", async () => {
  const { go, outcome } = await requesting();
  await go(CONFIRMING, { event: { type: "xstate.error.actor.requestingAttempt" } });
  await go("COMPLETED.atRest", { status: "CONFIRMED" });
  expect(outcome.value).toMatchObject({ view: { state: "COMPLETED" } });
});

test("a payment that came when the request had ended is the checkout's own affair", async () => {
  const { go, outcome } = await requesting();
  const output = { pcrId: "pcr_1", attemptId: "att_2", outcome: PENDING };
  await go(AWAITING, { event: { type: DONE, output } });
  await go(CONFIRMING, { event: { type: "payment_collection_requirement_success", data: { attemptId: "att_1" } } });
  await go("COMPLETED.atRest", { status: "CONFIRMED" });
  expect(outcome.value).toMatchObject({ replayed: false });
});
