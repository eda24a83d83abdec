/** The locks of what a node takes up and lets go. */
import { expect, test } from "vitest";
import { TransientError } from "../../machines/errors.ts";
import { last } from "./actor-desk.ts";
import { setup, type Node } from "./registry-desk.ts";

const BUSY_MS = 700;
const locked = () => Promise.reject(new TransientError("LOCKED", "Busy.", { retryAfterMs: BUSY_MS }));

/** A checkout with payment groups, whose node has died, claimed by the second one. */
async function orphaned() {
  const bundle = setup();
  const [one, two] = [await bundle.node("node_1"), await bundle.node("node_2")];
  await bundle.grouped("ctx_1", one);
  await bundle.kill(one);
  await bundle.store.claimRunnable("node_2", 10);
  return { ...bundle, two };
}

async function adopting({ clock }: Pick<ReturnType<typeof setup>, "clock">, node: Node) {
  const adopted = node.registry.adopt("ctx_1");
  await clock.advance(0);
  return adopted;
}

test("what is taken up takes its own lock and its groups' again, before its steps start", async () => {
  const { two, settle } = await orphaned();
  let answer: (tokens: Readonly<Record<string, number>>) => void = () => {};
  two.controls.hold = () => new Promise((resolve) => (answer = resolve));
  const adopted = two.registry.adopt("ctx_1");
  await settle();
  expect(two.calls).toEqual(["hold ctx_1 pg_1"]);
  expect(two.steps).toEqual([]);
  answer({});
  await adopted;
  expect(two.stepNames()).toEqual(["acquireLocks"]);
  expect(two.calls).toEqual(["hold ctx_1 pg_1"]);
});

test("a busy lock is waited for as long as it says, three times, then the fence alone decides", async () => {
  const { two, clock } = await orphaned();
  two.controls.hold = locked;
  const adopted = two.registry.adopt("ctx_1");
  await clock.advance(BUSY_MS - 1);
  expect(two.calls).toHaveLength(1);
  await clock.advance(1);
  expect(two.calls).toHaveLength(2);
  await clock.advance(2 * BUSY_MS - 1);
  expect(two.calls).toHaveLength(3);
  expect(two.registry.has("ctx_1")).toBe(false);
  await clock.advance(1);
  await adopted;
  expect(two.calls).toHaveLength(3);
  expect(two.stepNames()).toEqual(["acquireLocks"]);
});

test("a lock that is free at the second try is taken, and not again", async () => {
  const { two, clock } = await orphaned();
  two.controls.hold = () => ((two.controls.hold = async () => ({})), locked());
  const adopted = two.registry.adopt("ctx_1");
  await clock.advance(BUSY_MS);
  await adopted;
  expect(two.calls).toEqual(["hold ctx_1 pg_1", "hold ctx_1 pg_1"]);
  expect(two.stepNames()).toEqual(["acquireLocks"]);
});

test("a refusal that doesn't say how long to wait is not waited for", async () => {
  const { two, clock } = await orphaned();
  two.controls.hold = () => Promise.reject(new Error("What it means nobody knows."));
  await adopting({ clock }, two);
  expect(two.calls).toHaveLength(3);
  expect(two.stepNames()).toEqual(["acquireLocks"]);
});

test("a lease that is lost while the locks are taken leaves the checkout to others, without its locks", async () => {
  const { two, settle } = await orphaned();
  two.controls.hold = async () => ((two.controls.nodeId = "node_3"), {});
  await two.registry.adopt("ctx_1");
  await settle();
  expect(two.calls).toEqual(["hold ctx_1 pg_1", "release ctx_1"]);
  expect(two.registry.size).toBe(0);
  expect(two.counters.get("checkouts_resumed")).toBe(0);
});

test("a node that is told to stop meanwhile takes nothing up, and waits until that is certain", async () => {
  const { two, settle } = await orphaned();
  let answer: (tokens: Readonly<Record<string, number>>) => void = () => {};
  two.controls.hold = () => new Promise((resolve) => (answer = resolve));
  const adopted = two.registry.adopt("ctx_1");
  await settle();
  let isOver = false;
  const over = two.registry.handOver().then(() => (isOver = true));
  await settle();
  expect(isOver).toBe(false);
  answer({});
  await Promise.all([adopted, over]);
  expect(two.calls).toEqual(["hold ctx_1 pg_1", "release ctx_1"]);
  expect(two.registry.size).toBe(0);
});

test("one that was never begun holds no locks yet", async () => {
  const { node, create } = setup();
  const one = await node("node_1");
  await create("ctx_1", "node_1");
  await one.registry.adopt("ctx_1");
  expect(one.calls).toEqual([]);
});

test("one that has ended gives its locks back, and takes none again for what comes later", async () => {
  const { node, begun, cancel, settle, store } = setup();
  const one = await node("node_1");
  await begun("ctx_1", one);
  await cancel("ctx_1");
  await one.registry.notify("ctx_1");
  await settle();
  expect(store.row("ctx_1")?.state).toBe("ROLLEDBACK");
  expect(one.calls).toContain("release ctx_1");
  one.calls.length = 0;
  await one.registry.notify("ctx_1");
  await settle();
  expect(one.calls.filter((call) => call.startsWith("hold"))).toEqual([]);
});

test("a transition that doesn't end the checkout keeps its locks", async () => {
  const { node, grouped } = setup();
  const one = await node("node_1");
  await grouped("ctx_1", one);
  expect(one.calls).toEqual([]);
});

test("one that rests gives its locks back", async () => {
  const { node, begun, store } = setup();
  const one = await node("node_1");
  await begun("ctx_1", one);
  await last(one.steps).fail(new TransientError("UNAVAILABLE", "Not now.", { retryAfterMs: 20_000 }));
  expect(store.row("ctx_1")?.owner).toBeNull();
  expect(one.calls).toEqual(["release ctx_1"]);
});

test("one that ends has given its locks back when that is announced, whatever it still has to do", async () => {
  const { node, begun, cancel, settle } = setup();
  const one = await node("node_1");
  await begun("ctx_1", one);
  await cancel("ctx_1");
  let callsAtTheEnd: readonly string[] = [];
  one.registry.audience.watch(({ entry }) => {
    if (entry.to.startsWith("ROLLEDBACK")) callsAtTheEnd = [...one.calls];
  });
  await one.registry.notify("ctx_1");
  await settle();
  expect(callsAtTheEnd).toEqual(["release ctx_1"]);
});

/** Claimed anew by this very node: what the actor under the older fence writes is refused. */
async function overtaken() {
  const bundle = setup();
  const one = await bundle.node("node_1");
  await bundle.begun("ctx_1", one);
  await bundle.store.claim("ctx_1", "node_1");
  return { ...bundle, one, old: await one.registry.actorOf("ctx_1") };
}

test("an actor that was replaced while it wrote leaves its successor the locks", async () => {
  const { one, old, store, settle } = await overtaken();
  one.stubs.commit = async (batch) => {
    delete one.stubs.commit;
    await one.registry.adopt("ctx_1");
    return store.commit(batch);
  };
  await last(one.steps).end({ flags: {} });
  await settle();
  expect(await one.registry.actorOf("ctx_1")).not.toBe(old);
  expect(one.calls).toEqual(["hold ctx_1"]);
});

test("an actor that was refused while its successor was being taken up leaves that one the locks", async () => {
  const { one, old, store, settle } = await overtaken();
  let load: () => void = () => {};
  one.stubs.load = (id) => new Promise((resolve) => (load = () => resolve(store.load(id))));
  const adopted = one.registry.adopt("ctx_1");
  await last(one.steps).end({ flags: {} });
  await settle();
  expect(one.registry.has("ctx_1")).toBe(false);
  delete one.stubs.load;
  load();
  await adopted;
  await settle();
  expect(await one.registry.actorOf("ctx_1")).not.toBe(old);
  expect(one.calls).toEqual(["hold ctx_1"]);
});
