/** What the relay tells, counts and waits for when the bus or the store fails it. */
import { expect, test } from "vitest";
import { TerminalError, TransientError } from "../../machines/errors.ts";
import { idle } from "../support/ports.ts";
import { held, setup } from "./relay-desk.ts";

const SWEEP_MS = 1_000;
const DOWN = new TransientError("BROKER_UNAVAILABLE", "NATS is away");
const AWAY = new Error("the database is away");
const OUTAGE = ["warn", { err: DOWN }];
const RETURN = ["info", {}];

test("an outage is told once when it begins and once when it ends, and counted at each try", async () => {
  const { outbox, sent, told, controls, counters, relay, start, pass } = setup();
  outbox.add("ctx_1");
  controls.publish = () => Promise.reject(DOWN);
  await start();
  const pausesMs = [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000];
  for (const [place, pauseMs] of pausesMs.entries()) {
    relay.kick();
    await pass(pauseMs - 1);
    expect(sent, `a kick does not shorten ${pauseMs} ms`).toHaveLength(place + 1);
    await pass(1);
    expect(sent, `after ${pauseMs} ms`).toHaveLength(place + 2);
  }
  expect(told).toEqual([OUTAGE]);
  expect(counters.get("bus_unavailable")).toBe(1 + pausesMs.length);
  controls.publish = async () => undefined;
  await pass(5_000);
  expect(outbox.acknowledged).toEqual(["ctx_1:1"]);
  expect(told).toEqual([OUTAGE, RETURN]);
  expect(counters.get("bus_unavailable")).toBe(1 + pausesMs.length);
});

test("the next outage is told again, and its first pause is short again", async () => {
  const { outbox, sent, told, controls, relay, start, pass } = setup();
  outbox.add("ctx_1");
  controls.publish = () => Promise.reject(DOWN);
  await start();
  await pass(250);
  controls.publish = async () => undefined;
  await pass(500);
  controls.publish = () => Promise.reject(DOWN);
  outbox.add("ctx_1", 2);
  relay.kick();
  await idle();
  expect(told).toEqual([OUTAGE, RETURN, OUTAGE]);
  const before = sent.length;
  await pass(249);
  expect(sent).toHaveLength(before);
  await pass(1);
  expect(sent).toHaveLength(before + 1);
});

test("a bus that was never away is not spoken of", async () => {
  const { outbox, told, counters, relay, start } = setup();
  outbox.add("ctx_1");
  await start();
  outbox.add("ctx_1", 2);
  relay.kick();
  await idle();
  expect(outbox.acknowledged).toEqual(["ctx_1:1", "ctx_1:2"]);
  expect(told).toEqual([]);
  expect(counters.get("bus_unavailable")).toBe(0);
});

test("what went out before the outage is marked, and nothing is read until the pause is over", async () => {
  const { outbox, told, controls, counters, start, pass } = setup();
  for (const id of ["ctx_1", "ctx_2"]) outbox.add(id);
  controls.publish = ({ subject }) => (subject === "ctx_1" ? Promise.resolve() : Promise.reject(DOWN));
  await start();
  await pass(249);
  expect(outbox.acknowledged).toEqual(["ctx_1:1"]);
  expect(outbox.reads).toHaveLength(1);
  expect(told).toEqual([OUTAGE]);
  expect([counters.get("events_published"), counters.get("publish_failures")]).toEqual([1, 0]);
  await pass(1);
  expect(outbox.reads).toHaveLength(2);
});

test("counts what was published, what failed, and what is parked: a kind of failure", async () => {
  const { outbox, controls, counters, start } = setup();
  outbox.addCheckouts(6);
  controls.publish = async ({ subject }) => {
    if (subject === "ctx_5") throw new TerminalError("EVENT_TOO_LARGE", "It is larger than the broker takes.");
    if (subject === "ctx_3" || subject === "ctx_4") throw new Error("the broker refuses it");
  };
  await start();
  const [published, failures, parked] = (["events_published", "publish_failures", "events_parked"] as const).map((name) =>
    counters.get(name),
  );
  expect({ published, failures, parked }).toEqual({ published: 3, failures: 3, parked: 1 });
});

test("a lost lease is no failure: nothing is published, and nothing is told", async () => {
  const { outbox, sent, told, lease, start } = setup();
  outbox.add("ctx_1");
  lease.isHeld = () => false;
  await start();
  expect(outbox.reads).toHaveLength(1);
  expect(sent).toEqual([]);
  expect(told).toEqual([]);
});

test.for(["unpublished", "markPublished"] as const)("%s that fails is told, and tried again after a second", async (method) => {
  const { outbox, told, start, pass } = setup();
  outbox.add("ctx_1");
  const { [method]: works } = outbox;
  Object.assign(outbox, { [method]: () => Promise.reject(AWAY) });
  await start();
  expect(told).toEqual([["warn", { err: AWAY }]]);
  Object.assign(outbox, { [method]: works });
  await pass(SWEEP_MS - 1);
  expect(outbox.acknowledged).toEqual([]);
  await pass(1);
  expect(outbox.acknowledged).toEqual(["ctx_1:1"]);
  expect(told).toHaveLength(1);
});

test("while shards can't be claimed none is read; the next sweep claims them", async () => {
  const { outbox, told, start, pass } = setup();
  outbox.add("ctx_1");
  const { claimShards } = outbox;
  outbox.claimShards = () => Promise.reject(AWAY);
  await start();
  outbox.claimShards = claimShards;
  await pass(0);
  expect(outbox.calls).toEqual([]);
  expect(told).toEqual([["warn", { err: AWAY }]]);
  await pass(SWEEP_MS);
  expect(outbox.acknowledged).toEqual(["ctx_1:1"]);
});

test("an outage that only one of two lanes meets is one outage: told, counted and waited for once", async () => {
  const { outbox, told, controls, counters, start, pass } = setup([0, 1]);
  outbox.addCheckouts(1_500);
  const isLater = ({ subject }: { readonly subject: string }) => Number(subject.slice("ctx_".length)) >= 500;
  controls.publish = async (event) => {
    if (isLater(event) && Number(event.subject.slice("ctx_".length)) % 2 === 1) throw DOWN;
  };
  await start();
  expect([told, counters.get("bus_unavailable")]).toEqual([[OUTAGE], 1]);
  const reads = ["0 1", "0", "1", "0"];
  expect(outbox.reads.toSorted()).toEqual(reads.toSorted());
  await pass(249);
  expect(outbox.reads).toHaveLength(reads.length);
  controls.publish = async () => undefined;
  await pass(1);
  expect(outbox.acknowledged).toHaveLength(1_500);
  expect(told).toEqual([OUTAGE, RETURN]);
});

test("when another node has published what waited, the next event does not wait for the pause", async () => {
  const { outbox, controls, relay, start, pass } = setup();
  outbox.add("ctx_1");
  controls.publish = () => Promise.reject(DOWN);
  await start();
  await outbox.markPublished([{ contextId: "ctx_1", eventSeq: 1, kind: "acknowledged" }]);
  controls.publish = async () => undefined;
  await pass(250);
  outbox.add("ctx_2");
  relay.kick();
  await idle();
  expect(outbox.acknowledged).toEqual(["ctx_1:1", "ctx_2:1"]);
});

test("a lane that the store fails is not begun again before the other has ended", async () => {
  const { outbox, told, controls, start } = setup([0, 1]);
  outbox.addCheckouts(1_500);
  const { unpublished } = outbox;
  const hold = held();
  outbox.unpublished = (shards, checkoutsMax) => {
    if (shards.length === 1 && shards[0] === 1) return Promise.reject(AWAY);
    if (shards.length === 1) controls.publish = () => hold.promise;
    return unpublished(shards, checkoutsMax);
  };
  await start();
  expect(told).toEqual([]);
  hold.release();
  await idle();
  expect(told).toEqual([["warn", { err: AWAY }]]);
});

test("no lane begins where the first read met an outage, however many went out before it", async () => {
  const { outbox, controls, start } = setup([0, 1]);
  outbox.addCheckouts(500);
  controls.publish = async ({ subject }) => {
    if (Number(subject.slice("ctx_".length)) >= 400) throw DOWN;
  };
  await start();
  expect([outbox.acknowledged.length, outbox.reads]).toEqual([400, ["0 1"]]);
});
