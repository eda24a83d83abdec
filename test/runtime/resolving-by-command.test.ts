import { expect, test } from "vitest";
import { contextWith } from "../support/checkout-context.ts";
import { DEFERRED, ID, outcomeOf, setup, viewAt, WAIT_MS } from "./commands-desk.ts";

const EVENT_ID = "ctx_1:resolve:key";
const COMMAND = {
  executionContextId: ID,
  idempotencyKey: "key",
  operator: "op_1",
  reference: "TICKET-1",
  target: { undo: "order" },
  waitMs: WAIT_MS,
} as const;
const NAMED = { type: "RESOLVE", undo: "order", pspReference: null, operator: "op_1", reference: "TICKET-1" } as const;
/** The undo of the order was put aside and failed again. */
const STUCK = {
  ...contextWith(),
  deferred: ["order"],
  retry: { failures: 6, firstFailedAt: 1_000, delayMs: 60_000 },
} as const;
const NOTHING = { class: "CONFLICT", code: "NOTHING_TO_RESOLVE", details: { executionContextId: ID } };

function stuck(path = DEFERRED) {
  const bundle = setup(path, "NEEDS_ATTENTION");
  bundle.show({ context: STUCK });
  const resolve = (differs: Partial<Parameters<typeof bundle.commands.resolve>[0]> = {}) =>
    outcomeOf(bundle.commands.resolve({ ...COMMAND, ...differs }));
  return { ...bundle, resolve };
}

test("is kept under the operator's key and heard in its turn; the checkout as it then stands is the answer", async () => {
  const { settle, resolve, asked, hear } = stuck();
  const outcome = resolve();
  await settle();
  expect(asked).toEqual([{ source: "api", eventId: EVENT_ID, id: ID, event: { ...NAMED, resolutionId: "rsl_00000001" } }]);
  expect(outcome).toEqual({});
  await hear(EVENT_ID, "ROLLEDBACK.atRest", { status: "ROLLED_BACK" });
  expect(outcome.value).toMatchObject({ state: "ROLLEDBACK" });
});

test("a refund that can't be made is named by its capture", async () => {
  const { settle, resolve, asked, show } = stuck("COMPLETED.refunding.backingOff");
  const owed = { pspReference: "psr_1", amount: 500, currency: "INR", reason: "LATE", round: 1, failedRefundIds: [] } as const;
  show({ context: { ...STUCK, payment: { ...STUCK.payment, owed: [owed] } } });
  resolve({ target: { pspReference: "psr_1" } });
  await settle();
  expect(asked[0]?.event).toMatchObject({ undo: null, pspReference: "psr_1" });
});

test.each([
  ["of another name", { target: { undo: "invoice" } as const }, DEFERRED],
  ["in a state that undoes nothing by hand", {}, "PROCESSING.undoing.order.backingOff"],
  ["in a state that only begins like one that does", {}, `${DEFERRED}.more`],
])("what waits %s is refused at once, and nothing is kept", async (_, differs, path) => {
  const { settle, resolve, asked } = stuck(path);
  const outcome = resolve(differs);
  await settle();
  expect(asked).toEqual([]);
  expect(outcome.error).toMatchObject(NOTHING);
});

test.each(["PROCESSING.undoing.deferred.running", "ROLLEDBACK.refunding.running"])(
  "a try that is under way in %s is waited for, and nothing is asked meanwhile",
  async (path) => {
    const { settle, resolve, asked, go } = stuck(path);
    resolve();
    await settle();
    expect(asked).toEqual([]);
    await go(DEFERRED, { context: STUCK });
    expect(asked).toHaveLength(1);
  },
);

test("a try that lasts longer than the request is not resolved by hand", async () => {
  const { clock, resolve, asked } = stuck("PROCESSING.undoing.deferred.running");
  const outcome = resolve();
  await clock.advance(WAIT_MS);
  expect(asked).toEqual([]);
  expect(outcome.error).toMatchObject(NOTHING);
});

test.each(["PROCESSING.STEP_1.running", "PROCESSING.undoing.deferred.running.more"])(
  "%s is no such try: it is not waited for",
  async (path) => {
    const { settle, resolve } = stuck(path);
    const outcome = resolve();
    await settle();
    expect(outcome.error).toMatchObject(NOTHING);
  },
);

test("heard without effect it is refused: what it was for was done meanwhile", async () => {
  const { settle, resolve, hear, journal } = stuck();
  const outcome = resolve();
  await settle();
  await hear(EVENT_ID, DEFERRED, { hash: journal.at(-1)?.contextHash ?? "" });
  expect(outcome.error).toMatchObject(NOTHING);
});

test("its repetition joins it, whatever the checkout waits for by now", async () => {
  const { settle, resolve, hear, asked, show } = stuck();
  resolve();
  await settle();
  await hear(EVENT_ID, "ROLLEDBACK.atRest", { status: "ROLLED_BACK" });
  show(viewAt("ROLLEDBACK.atRest", "ROLLED_BACK"));
  const again = resolve();
  await settle();
  expect(again.value).toMatchObject({ state: "ROLLEDBACK" });
  expect(asked).toHaveLength(1);
});

test.each([
  ["operator", { operator: "op_2" }],
  ["reference", { reference: "TICKET-2" }],
  ["target", { target: { undo: "invoice" } as const }],
])("its key with another %s is refused", async (_, differs) => {
  const { settle, resolve, asked } = stuck();
  resolve();
  await settle();
  const other = resolve(differs);
  await settle();
  expect(other.error).toMatchObject({ class: "CONFLICT", code: "IDEMPOTENCY_KEY_REUSED" });
  expect(asked).toHaveLength(1);
});

test("its twin that was kept between two looks makes it a repetition, although nothing waits any more", async () => {
  const { clock, resolve, inbox, hear, show } = stuck("PROCESSING.undoing.deferred.running");
  const outcome = resolve();
  await clock.advance(1);
  inbox.set(EVENT_ID, { event: { ...NAMED, resolutionId: "rsl_twin" }, consumedSeq: null });
  await hear(EVENT_ID, "ROLLEDBACK.atRest", { status: "ROLLED_BACK" });
  show(viewAt("ROLLEDBACK.atRest", "ROLLED_BACK"));
  await clock.advance(250);
  expect(outcome.value).toMatchObject({ state: "ROLLEDBACK" });
});

test("another request that took the key a moment before refuses it", async () => {
  const { settle, resolve, inbox, controls } = stuck();
  controls.onAsk = () => inbox.set(EVENT_ID, { event: { ...NAMED, operator: "op_2" }, consumedSeq: null });
  const outcome = resolve();
  await settle();
  expect(outcome.error).toMatchObject({ code: "IDEMPOTENCY_KEY_REUSED" });
});

test("not heard in time it is kept", async () => {
  const { clock, resolve } = stuck();
  const outcome = resolve();
  await clock.advance(WAIT_MS - 1);
  expect(outcome).toEqual({});
  await clock.advance(1);
  expect(outcome.error).toMatchObject({ code: "RETRY_SCHEDULED", retryAfterMs: 1_000, details: { executionContextId: ID } });
});
