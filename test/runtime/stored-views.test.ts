import { expect, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import type { JournalEntry, StoredCheckout } from "../../persistence/store.ts";
import { begin, decide, dehydrate, hashContext, statePath, toPlainJson } from "../../runtime/engine.ts";
import { StoredViews } from "../../runtime/stored-views.ts";
import { newContext } from "../support/checkout-context.ts";
import { oneVersion } from "../support/versions.ts";

const AT = 1_767_867_300_000;
const { executionContextId, userId, cartId, cartVersion, policy } = newContext();
const FIRST = begin(checkoutMachine, { executionContextId, userId, cartId, cartVersion, policy });
const ENTRY = {
  seq: 1,
  at: AT,
  event: { type: "xstate.init", input: { executionContextId, userId, cartId, cartVersion, policy }, machineHash: "hash" },
  from: null,
  to: statePath(FIRST),
  contextHash: hashContext(FIRST),
};

/** A checkout that was created and nothing more. */
function stored(id: string): StoredCheckout {
  const row = {
    id,
    caller: "shop",
    userId,
    cartId,
    cartVersion,
    idempotencyKey: "key",
    machineVersion: "1.0.0",
    machineHash: "hash",
    traceparent: null,
    seq: 1,
    fence: 1,
    owner: null,
    state: "INITIALIZED",
    status: "PROCESSING",
    wakeAt: null,
    signals: 0,
    parkedReason: null,
    createdAt: AT,
    isAnswered: false,
    checkpoint: { seq: 1, snapshot: dehydrate(checkoutMachine, FIRST), timers: {} },
    entries: [ENTRY],
  };
  return toPlainJson(row) as StoredCheckout;
}

/** A store in which every id is a checkout, as the test says. */
function setup() {
  const controls = {
    load: async (id: string): Promise<StoredCheckout | null> => stored(id),
    journal: [ENTRY] as readonly JournalEntry[],
    pages: [] as number[],
  };
  const store = {
    load: (id: string) => controls.load(id),
    history: async (_id: string, after: number, limit: number) => {
      controls.pages.push(limit);
      return controls.journal.filter(({ seq }) => seq > after).slice(0, limit);
    },
  };
  const views = new StoredViews({ versions: oneVersion("hash", checkoutMachine), store, policy });
  const viewOf = async (id: string) => (await views.of(id))?.view;
  return { controls, views, viewOf };
}

test("tells whose it is, since when, and how it stands by its journal", async () => {
  const { views } = setup();
  expect(await views.of(executionContextId)).toEqual({
    caller: "shop",
    userId,
    createdAt: AT,
    parkedReason: null,
    isOfOtherVersion: false,
    view: {
      executionContextId,
      seq: 1,
      path: "INITIALIZED",
      state: "INITIALIZED",
      status: "PROCESSING",
      finished: false,
      context: newContext(),
    },
  });
});

test("knows nothing of a checkout that the store doesn't know", async () => {
  const { controls, views } = setup();
  controls.load = async () => null;
  expect(await views.of("ctx_unknown")).toBeNull();
});

test("one that can't be folded is told about by its row, and needs attention", async () => {
  const { controls, views } = setup();
  const row = { seq: 7, state: "STEP_3", parkedReason: "its journal has a gap", cartId: "cart_7", cartVersion: 7 };
  controls.load = async (id) => ({ ...stored(id), ...row });
  const view = await views.of("ctx_7");
  expect(view).toMatchObject({
    parkedReason: "its journal has a gap",
    view: { executionContextId: "ctx_7", seq: 7, path: "STEP_3", state: "STEP_3", status: "NEEDS_ATTENTION", finished: false },
  });
  expect(view?.view.context).toEqual({ ...newContext(), executionContextId: "ctx_7", cartId: "cart_7", cartVersion: 7 });
});

test("one of another version is told of by its row, as it says of itself, and its past by another node alone", async () => {
  const { controls, views } = setup();
  const row = { seq: 9, state: "COMPLETED", status: "CONFIRMED", machineHash: "newer" };
  controls.load = async (id) => ({ ...stored(id), ...row });
  const view = { seq: 9, path: "COMPLETED", state: "COMPLETED", status: "CONFIRMED", finished: true };
  expect(await views.of("ctx_9")).toMatchObject({ isOfOtherVersion: true, parkedReason: null, view });
  controls.journal = [{ ...ENTRY, event: { ...ENTRY.event, machineHash: "newer" } }];
  await expect(views.at("ctx_9", 1)).rejects.toMatchObject({ code: "OTHER_VERSION" });
});

test("what fails for another reason than the journal is not told as a view", async () => {
  const { controls, views } = setup();
  const checkout = stored("ctx_1");
  const error = new Error("out of memory");
  controls.load = async () =>
    Object.defineProperty(checkout, "checkpoint", {
      get: () => {
        throw error;
      },
    });
  await expect(views.of("ctx_1")).rejects.toBe(error);
});

test("folds again only what has moved on since it was looked at", async () => {
  const { controls, viewOf } = setup();
  const first = await viewOf("ctx_1");
  expect(await viewOf("ctx_1")).toBe(first);
  controls.load = async (id) => ({ ...stored(id), seq: 2 });
  expect(await viewOf("ctx_1")).toMatchObject({ seq: 2 });
});

test("remembers the 256 that were looked at last", async () => {
  const { viewOf } = setup();
  const first = await viewOf("ctx_0");
  const second = await viewOf("ctx_1");
  for (let place = 2; place < 256; place++) await viewOf(`ctx_${place}`);
  // Looked at again, so that the second is now the one looked at longest ago.
  expect(await viewOf("ctx_0")).toBe(first);
  await viewOf("ctx_256");
  expect(await viewOf("ctx_0")).toBe(first);
  expect(await viewOf("ctx_1")).not.toBe(second);
});

const started = decide(checkoutMachine, FIRST, {}, { type: "START", at: AT + 1, jitter: 0 });
const SECOND = {
  seq: 2,
  at: AT + 1,
  event: { type: "START", at: AT + 1, jitter: 0 },
  from: ENTRY.to,
  to: statePath(started.snapshot),
  contextHash: hashContext(started.snapshot),
};

test("tells how it was after any entry of its journal", async () => {
  const { controls, views } = setup();
  controls.journal = [ENTRY, SECOND];
  const [first, second] = [await views.at("ctx_1", 1), await views.at("ctx_1", 2)];
  expect(first).toMatchObject({ entry: ENTRY, view: { seq: 1, path: "INITIALIZED", state: "INITIALIZED" } });
  expect(second).toMatchObject({ entry: SECOND, view: { seq: 2, path: SECOND.to, state: "PROCESSING" } });
});

test("knows of no entry that is not in the journal", async () => {
  const { controls, views } = setup();
  expect(await views.at("ctx_1", 2)).toBeNull();
  expect(controls.pages).toEqual([2, 1]);
  controls.journal = [];
  expect(await views.at("ctx_unknown", 1)).toBeNull();
});

test("of a journal that retention cut it tells what follows from the checkpoint, and that the rest is removed", async () => {
  const { controls, views } = setup();
  const checkpoint = { seq: 2, snapshot: dehydrate(checkoutMachine, started.snapshot), timers: started.timers };
  controls.load = async (id) => toPlainJson({ ...stored(id), seq: 2, checkpoint, entries: [SECOND] }) as StoredCheckout;
  controls.journal = [SECOND];
  expect(await views.at("ctx_1", 1)).toBe("removed");
  expect(await views.at("ctx_1", 2)).toMatchObject({ entry: SECOND, view: { seq: 2, path: SECOND.to } });
  expect(await views.at("ctx_1", 3)).toBeNull();
});

test("reads no more than it was asked for, in pages", async () => {
  const { controls, views } = setup();
  await views.at("ctx_1", 1_200);
  expect(controls.pages).toEqual([500, 500]);
  controls.pages.length = 0;
  await views.at("ctx_1", 1);
  expect(controls.pages).toEqual([1]);
});

test.each([
  ["has a gap", [ENTRY, { ...SECOND, seq: 3 }], 3],
  ["leads elsewhere", [ENTRY, { ...SECOND, to: "STEP_1.running" }], 2],
  ["leads to another context", [{ ...ENTRY, contextHash: "other" }], 1],
])("tells nothing of a journal that %s", async (_what, journal, seq) => {
  const { controls, views } = setup();
  controls.journal = journal;
  await expect(views.at("ctx_1", seq)).rejects.toMatchObject({ name: "InvariantError" });
});
