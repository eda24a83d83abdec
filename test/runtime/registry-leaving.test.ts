/** How a checkout leaves a node's memory: it rests, it was taken, it can't go on, or the node stops. */
import { expect, test } from "vitest";
import { TransientError } from "../../machines/errors.ts";
import type { CommitResult } from "../../persistence/store.ts";
import { last } from "./actor-desk.ts";
import { setup } from "./registry-desk.ts";

/** One checkout with its first step in flight. */
async function running() {
  const bundle = setup();
  const one = await bundle.node("node_1");
  await bundle.begun("ctx_1", one);
  return { ...bundle, one };
}

const rest = () => new TransientError("UNAVAILABLE", "Not now.", { retryAfterMs: 20_000 });

test("halted it stops at once: its steps are aborted and nothing more is written", async () => {
  const { one, store, settle } = await running();
  one.registry.haltAll();
  expect(one.registry.size).toBe(0);
  expect(last(one.steps).signal.aborted).toBe(true);
  await last(one.steps).end({ flags: {} });
  await settle();
  expect(store.row("ctx_1")).toMatchObject({ seq: 2, owner: "node_1" });
});

test("a node that stops waits for what is being written, and gives the locks back", async () => {
  const { one, store, settle } = await running();
  let write: () => void = () => {};
  one.stubs.commit = (batch) => new Promise((resolve) => (write = () => void store.commit(batch).then(resolve)));
  await last(one.steps).end({ flags: {} });
  let isOver = false;
  const over = one.registry.handOver().then(() => (isOver = true));
  await settle();
  expect({ isOver, size: one.registry.size, calls: one.calls }).toEqual({ isOver: false, size: 0, calls: [] });
  write();
  await over;
  expect(store.row("ctx_1")).toMatchObject({ seq: 3, owner: "node_1" });
  expect(one.calls).toEqual(["release ctx_1"]);
});

test("a node that has stopped claims nothing and takes nothing up", async () => {
  const { one, store } = await running();
  await one.registry.handOver();
  await one.registry.notify("ctx_1");
  await one.registry.adopt("ctx_1");
  expect(one.registry.size).toBe(0);
  expect(store.row("ctx_1")?.fence).toBe(1);
});

test("one that rests interrupts whoever waits for its answer here", async () => {
  const { one, settle } = await running();
  const answers: unknown[] = [];
  void one.registry.audience.nextAnswer("ctx_1", 60_000).then((answer) => answers.push(answer));
  await last(one.steps).fail(rest());
  await settle();
  expect(answers).toEqual([null]);
  expect(one.registry.has("ctx_1")).toBe(false);
});

test("one that was woken in vain is given up again, without a transition", async () => {
  const { one, store, settle } = await running();
  await last(one.steps).fail(rest());
  const resting = store.row("ctx_1");
  await one.registry.notify("ctx_1");
  await settle();
  expect(store.row("ctx_1")).toMatchObject({ owner: null, seq: resting?.seq, fence: (resting?.fence ?? 0) + 1 });
  expect(one.registry.size).toBe(0);
});

test("one that rests by a commit is not given up once more", async () => {
  const { one } = await running();
  const given: string[] = [];
  one.stubs.giveUp = async (id) => void given.push(id);
  await last(one.steps).fail(rest());
  expect(given).toEqual([]);
});

test("what came in while it was put to rest wakes it again at once", async () => {
  const { one, store, settle, cancel } = await running();
  one.stubs.commit = async (batch) => {
    delete one.stubs.commit;
    await cancel("ctx_1");
    return store.commit(batch);
  };
  await last(one.steps).fail(rest());
  await settle();
  expect(store.row("ctx_1")).toMatchObject({ state: "ROLLEDBACK", signals: 1, consumed: 1 });
});

test("one that rests and is not called stays so", async () => {
  const { one, store, settle } = await running();
  await last(one.steps).fail(rest());
  await settle();
  expect(store.row("ctx_1")).toMatchObject({ owner: null, fence: 1 });
});

test("a message that reached it while it was put to rest wakes it again, though the commit saw no signal", async () => {
  const { one, store, settle } = await running();
  const event = { type: "CANCEL" };
  const actor = await one.registry.actorOf("ctx_1");
  one.stubs.commit = async (batch) => {
    delete one.stubs.commit;
    const results = await store.commit(batch);
    await store.receiveCommand("api", "ctx_1:cancel", "ctx_1", event);
    actor?.tell({ kind: "inbox", event: { source: "api", eventId: "ctx_1:cancel", event } });
    return results;
  };
  await last(one.steps).fail(rest());
  await settle();
  expect(store.row("ctx_1")).toMatchObject({ state: "ROLLEDBACK", signals: 1, consumed: 1 });
});

test("a timer that reached it while it was put to rest does not wake it", async () => {
  const { one, store, settle } = await running();
  const actor = await one.registry.actorOf("ctx_1");
  one.stubs.commit = async (batch) => {
    delete one.stubs.commit;
    const results = await store.commit(batch);
    actor?.tell({ kind: "timer", id: "xstate.after.backoff" });
    return results;
  };
  await last(one.steps).fail(rest());
  await settle();
  expect(store.row("ctx_1")).toMatchObject({ owner: null, fence: 1 });
});

test("refused, and still this node's own under a newer fence: it goes on with that", async () => {
  const { one, store, settle } = await running();
  await store.claim("ctx_1", "node_1");
  await last(one.steps).end({ flags: {} });
  await settle();
  expect(one.stepNames()).toEqual(["resolveFeatureFlags", "resolveFeatureFlags"]);
  await last(one.steps).end({ flags: {} });
  await settle();
  expect(one.stepNames().at(-1)).toBe("createPaymentGroup");
  expect(store.row("ctx_1")).toMatchObject({ seq: 3, fence: 2 });
  expect(one.calls).toEqual(["release ctx_1", "hold ctx_1"]);
});

test("refused because another node has it: it is dropped here", async () => {
  const { one, store, settle, node } = await running();
  await node("node_2");
  await store.endLease("node_1");
  await store.claim("ctx_1", "node_2");
  await last(one.steps).end({ flags: {} });
  await settle();
  expect(one.registry.size).toBe(0);
  expect(one.errors).toEqual([]);
  expect(store.row("ctx_1")).toMatchObject({ owner: "node_2", parkedReason: null, seq: 2 });
});

test("what can't be stored is parked with the reason, under its own fence", async () => {
  const { one, store, settle } = await running();
  one.stubs.commit = () => Promise.reject(Object.assign(new Error("invalid byte sequence"), { code: "22P05" }));
  await last(one.steps).end({ flags: {} });
  await settle();
  expect(store.row("ctx_1")).toMatchObject({
    owner: null,
    parkedReason: expect.stringMatching(/^InvariantError: /) as unknown,
  });
  expect(one.registry.size).toBe(0);
  expect(one.counters.get("checkouts_parked")).toBe(1);
});

test("a checkout that the store doesn't know is dropped, and nobody else is", async () => {
  const { one, begun, settle } = await running();
  await begun("ctx_2", one);
  const unknown: readonly CommitResult[] = [{ kind: "unknown_checkout" }];
  one.stubs.commit = async () => unknown;
  one.stubs.load = async () => null;
  await last(one.steps).end({ flags: {} });
  await settle();
  expect(one.registry.has("ctx_2")).toBe(false);
  expect(one.registry.has("ctx_1")).toBe(true);
});

test("a store that does not answer when it leaves is only told about: recovery takes it up", async () => {
  const { one, store, settle } = await running();
  await last(one.steps).fail(rest());
  one.stubs.giveUp = () => Promise.reject(new Error("the database is away"));
  await one.registry.notify("ctx_1");
  await settle();
  expect(one.errors).toEqual(["The store did not answer; recovery takes this checkout up again"]);
  expect(one.registry.size).toBe(0);
  expect(store.row("ctx_1")?.owner).toBe("node_1");
});

test("an error that is none is kept as the reason, as it reads", async () => {
  const { one, store, settle } = await running();
  await last(one.steps).fail(rest());
  one.stubs.load = () => Promise.reject(new Error("not now"));
  await expect(one.registry.notify("ctx_1")).rejects.toThrow("not now");
  delete one.stubs.load;
  one.controls.hold = async () => ({});
  one.controls.answerFor = () => {
    // oxlint-disable-next-line no-throw-literal
    throw "no answer for this state";
  };
  await settle();
  await store.receiveCommand("api", "ctx_1:cancel", "ctx_1", { type: "CANCEL" });
  await one.registry.notify("ctx_1");
  await settle();
  expect(store.row("ctx_1")?.parkedReason).toBe("no answer for this state");
});
