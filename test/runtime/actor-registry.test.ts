/** How a checkout comes into a node's memory: begun, woken, adopted. Its locks and how it leaves have files of their own. */
import { expect, test } from "vitest";
import { TransientError } from "../../machines/errors.ts";
import { last } from "./actor-desk.ts";
import { setup } from "./registry-desk.ts";

test("a checkout that was just created is begun at once", async () => {
  const { node, begun, store } = setup();
  const one = await node("node_1");
  expect(one.registry.has("ctx_1")).toBe(false);
  await begun("ctx_1", one);
  expect(one.registry).toMatchObject({ size: 1 });
  expect(one.registry.has("ctx_1")).toBe(true);
  expect(one.stepNames()).toEqual(["resolveFeatureFlags"]);
  expect(store.row("ctx_1")).toMatchObject({ seq: 2, owner: "node_1" });
  expect(one.controls.events).toBe(1);
});

test("the answer that a transition gives is announced to whoever waits for it", async () => {
  const { node, begun } = setup();
  const one = await node("node_1");
  one.controls.answerFor = ({ path }) => ({ status: 200, body: path });
  const answer = one.registry.audience.nextAnswer("ctx_1", 1_000);
  await begun("ctx_1", one);
  expect(await answer).toEqual({ status: 200, body: "PROCESSING.opening.pinningFlags.running" });
});

test("keeps its checkpoints as often as it is told", async () => {
  const { node, begun, store } = setup();
  const one = await node("node_1");
  await begun("ctx_1", one);
  await last(one.steps).end({ flags: {} });
  // Every second entry; of its own accord it would not have made one yet.
  expect((await store.load("ctx_1"))?.checkpoint.seq).toBe(2);
});

test("says when a checkout's next timer rings, and nothing of one that it doesn't run", async () => {
  const { node, begun, clock } = setup();
  const one = await node("node_1");
  await begun("ctx_1", one);
  await last(one.steps).fail(new TransientError("UNAVAILABLE", "Not now.", { retryAfterMs: 3_000 }));
  expect(one.registry.wakeAt("ctx_1")).toBe(clock.now() + 3_000);
  expect(one.registry.wakeAt("ctx_2")).toBeNull();
});

test("takes up what it has claimed: the steps in flight are started again, and nothing else", async () => {
  const { node, begun, kill, store } = setup();
  const [one, two] = [await node("node_1"), await node("node_2")];
  await begun("ctx_1", one);
  await last(one.steps).end({ flags: {} });
  await kill(one);
  expect(await store.claimRunnable("node_2", 10)).toEqual(["ctx_1"]);
  await two.registry.adopt("ctx_1");
  expect(two.stepNames()).toEqual(["createPaymentGroup"]);
  expect(two.counters.get("checkouts_resumed")).toBe(1);
  await last(two.steps).end({ paymentGroups: [] });
  expect(store.row("ctx_1")).toMatchObject({ seq: 4, owner: "node_2", fence: 2 });
});

test("begins one whose node died before it began it", async () => {
  const { node, create, store, settle } = setup();
  const one = await node("node_1");
  await create("ctx_1", "node_0");
  await store.claimRunnable("node_1", 10);
  await one.registry.adopt("ctx_1");
  await settle();
  expect(one.stepNames()).toEqual(["resolveFeatureFlags"]);
});

test("one that was begun is not begun again when it is taken up", async () => {
  const { node, begun, kill, store, settle } = setup();
  const [one, two] = [await node("node_1"), await node("node_2")];
  await begun("ctx_1", one);
  await kill(one);
  await store.claimRunnable("node_2", 10);
  await two.registry.adopt("ctx_1");
  await settle();
  expect(store.row("ctx_1")?.seq).toBe(2);
  expect(two.counters.get("commits_applied")).toBe(0);
});

test("what waits in its inbox is heard as soon as it is taken up", async () => {
  const { node, begun, kill, cancel, settle, store } = setup();
  const [one, two] = [await node("node_1"), await node("node_2")];
  await begun("ctx_1", one);
  await kill(one);
  await cancel("ctx_1");
  await store.claimRunnable("node_2", 10);
  await two.registry.adopt("ctx_1");
  await settle();
  expect(store.row("ctx_1")).toMatchObject({ state: "ROLLEDBACK", signals: 1, consumed: 1 });
});

test.each([
  ["nobody knows", async () => undefined],
  ["another node owns", async ({ create }: ReturnType<typeof setup>) => void (await create("ctx_1", "node_2"))],
])("takes up nothing that %s", async (_, prepare) => {
  const bundle = setup();
  const one = await bundle.node("node_1");
  await bundle.node("node_2");
  await prepare(bundle);
  await one.registry.adopt("ctx_1");
  await one.registry.notify("ctx_1");
  expect(one.registry.size).toBe(0);
  expect(await one.registry.actorOf("ctx_1")).toBeNull();
  expect(one.counters.get("checkouts_resumed")).toBe(0);
  expect(one.counters.get("checkouts_parked")).toBe(0);
});

test("taking up what it runs already changes nothing", async () => {
  const { node, begun } = setup();
  const one = await node("node_1");
  await begun("ctx_1", one);
  const before = await one.registry.actorOf("ctx_1");
  await one.registry.adopt("ctx_1");
  expect(await one.registry.actorOf("ctx_1")).toBe(before);
  expect(last(one.steps).signal.aborted).toBe(false);
});

test("an actor under an older fence makes way for one under the newer", async () => {
  const { node, begun, store, settle } = setup();
  const one = await node("node_1");
  await begun("ctx_1", one);
  const old = last(one.steps);
  await store.claim("ctx_1", "node_1");
  await one.registry.adopt("ctx_1");
  expect(old.signal.aborted).toBe(true);
  expect(one.stepNames()).toEqual(["resolveFeatureFlags", "resolveFeatureFlags"]);
  await last(one.steps).end({ flags: {} });
  await settle();
  expect(store.row("ctx_1")).toMatchObject({ seq: 3, fence: 2 });
  expect(one.registry.size).toBe(1);
});

test("wakes a checkout that rests for what came into its inbox", async () => {
  const { node, begun, cancel, settle, store } = setup();
  const one = await node("node_1");
  await begun("ctx_1", one);
  await last(one.steps).fail(new TransientError("UNAVAILABLE", "Not now.", { retryAfterMs: 20_000 }));
  expect(one.registry.has("ctx_1")).toBe(false);
  await cancel("ctx_1");
  await one.registry.notify("ctx_1");
  await settle();
  expect(store.row("ctx_1")).toMatchObject({ state: "ROLLEDBACK", fence: 2 });
});

test("tells a checkout that it runs what came into its inbox, without another claim", async () => {
  const { node, begun, cancel, settle, store } = setup();
  const one = await node("node_1");
  await begun("ctx_1", one);
  await cancel("ctx_1");
  await one.registry.notify("ctx_1");
  await settle();
  expect(store.row("ctx_1")).toMatchObject({ state: "ROLLEDBACK", fence: 1 });
});

test("what another node runs is called for there, and heard where it is", async () => {
  const { node, begun, cancel, store } = setup();
  const [one, two] = [await node("node_1"), await node("node_2")];
  await begun("ctx_1", one);
  await cancel("ctx_1");
  await two.registry.notify("ctx_1");
  expect(two.calls).toEqual(["call ctx_1"]);
  await two.registry.hear("ctx_1");
  expect(store.row("ctx_1")?.seq).toBe(2);
  await one.registry.hear("ctx_1");
  expect(store.row("ctx_1")?.seq).toBeGreaterThan(2);
  expect(one.calls).not.toContain("call ctx_1");
});

test("two who wake it at once claim it once, and find the same actor", async () => {
  const { node, begun, kill, store } = setup();
  const [one, two] = [await node("node_1"), await node("node_2")];
  await begun("ctx_1", one);
  await kill(one);
  const [left, right] = await Promise.all([two.registry.actorOf("ctx_1"), two.registry.actorOf("ctx_1")]);
  expect(left).not.toBeNull();
  expect(left).toBe(right);
  expect(store.row("ctx_1")?.fence).toBe(2);
});

test("whoever takes it up waits for everyone before, and not for the first of them alone", async () => {
  const { node, settle } = setup();
  const one = await node("node_1");
  const loads: (() => void)[] = [];
  one.stubs.load = () => new Promise((resolve) => loads.push(() => resolve(null)));
  const begin = () => (void one.registry.adopt("ctx_1"), settle());
  await begin();
  await begin();
  expect(loads).toHaveLength(1);
  loads[0]?.();
  await settle();
  expect(loads).toHaveLength(2);
  await begin();
  expect(loads).toHaveLength(2);
  loads[1]?.();
  await settle();
  expect(loads).toHaveLength(3);
});

test("a store that fails once is told to whoever woke it, and asked again by the next", async () => {
  const { node, begun, kill, store } = setup();
  const [one, two] = [await node("node_1"), await node("node_2")];
  await begun("ctx_1", one);
  await kill(one);
  const error = new Error("the database is away");
  two.stubs.claim = () => Promise.reject(error);
  await expect(two.registry.actorOf("ctx_1")).rejects.toBe(error);
  two.stubs.claim = (id, nodeId) => store.claim(id, nodeId);
  expect(await two.registry.actorOf("ctx_1")).not.toBeNull();
});

test("what can't be folded is parked with the reason, and the others go on", async () => {
  const { node, begun, kill, store } = setup();
  const [one, two] = [await node("node_1"), await node("node_2")];
  await begun("ctx_1", one);
  await kill(one);
  await store.claimRunnable("node_2", 10);
  const { entries, ...stored } = (await store.load("ctx_1")) ?? expect.fail("It is stored.");
  two.stubs.load = async () => ({ ...stored, entries: entries.slice(1) });
  await two.registry.adopt("ctx_1");
  expect(store.row("ctx_1")).toMatchObject({
    owner: null,
    parkedReason: expect.stringMatching(/^InvariantError: The journal of ctx_1 lacks/) as unknown,
  });
  expect(two.registry.size).toBe(0);
  expect(two.counters.get("checkouts_parked")).toBe(1);
  expect(two.counters.get("checkouts_resumed")).toBe(0);
});

test("what can't even be parked now is left to recovery", async () => {
  const { node, create, store } = setup();
  const one = await node("node_1");
  await create("ctx_1", "node_1");
  const stored = (await store.load("ctx_1")) ?? expect.fail("It is stored.");
  one.stubs.load = async () => ({ ...stored, entries: [] });
  one.stubs.park = () => Promise.reject(new Error("the database is away"));
  await one.registry.adopt("ctx_1");
  expect(one.errors).toEqual([
    "The checkout is parked until an operator acts",
    "The store did not answer; recovery takes this checkout up again",
  ]);
});
