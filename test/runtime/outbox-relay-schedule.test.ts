/** When the relay looks, what a look takes, and how it ends. */
import { expect, test } from "vitest";
import { idle } from "../support/ports.ts";
import { held, setup } from "./relay-desk.ts";

const SWEEP_MS = 1_000;
const FLUSH_MAX_MS = 2_000;
const SHARDS = [0, 1, 2, 3, 4];
const [ALL, ONE_LANE, OTHER_LANE] = ["0 1 2 3 4", "0 2 4", "1 3"];
const A_LOOK_WITH_SWEEP = ["claim node_1", "backlog", "read 0"];

test("looks when it is started, not before, and a second after each look; each claims shards and measures the backlog", async () => {
  const { outbox, relay, start, pass } = setup();
  relay.kick();
  await pass(SWEEP_MS);
  expect(outbox.calls).toEqual([]);
  await start();
  expect(outbox.calls).toEqual(A_LOOK_WITH_SWEEP);
  await pass(SWEEP_MS - 1);
  expect(outbox.calls).toEqual(A_LOOK_WITH_SWEEP);
  await pass(1);
  expect(outbox.calls).toEqual([...A_LOOK_WITH_SWEEP, ...A_LOOK_WITH_SWEEP]);
});

test("a kick makes it look at once, without a sweep when the last was within the second", async () => {
  const { outbox, relay, start, pass } = setup();
  await start();
  await pass(400);
  relay.kick();
  await idle();
  expect(outbox.calls).toEqual([...A_LOOK_WITH_SWEEP, "read 0"]);
  await pass(SWEEP_MS - 1);
  expect(outbox.reads, `one look a second after a kick's`).toHaveLength(2);
  await pass(1);
  expect(outbox.calls).toEqual([...A_LOOK_WITH_SWEEP, "read 0", ...A_LOOK_WITH_SWEEP]);
});

test("kicks during a look are followed by one more, at once", async () => {
  const { outbox, relay, start, pass } = setup();
  const { unpublished } = outbox;
  const { promise, release } = held();
  outbox.unpublished = (...asked) => promise.then(() => unpublished(...asked));
  await start();
  relay.kick();
  relay.kick();
  release();
  await idle();
  expect(outbox.reads).toHaveLength(1);
  await pass(0);
  expect(outbox.reads).toHaveLength(2);
  await pass(SWEEP_MS - 1);
  expect(outbox.reads).toHaveLength(2);
});

test("a look goes on until there is nothing more, and a read of nothing marks nothing", async () => {
  const { outbox, sent, controls, start } = setup();
  outbox.add("ctx_1");
  controls.publish = async ({ seq }) => {
    if (seq < 3) outbox.add("ctx_1", seq + 1);
  };
  await start();
  expect(sent).toEqual(["ctx_1:1", "ctx_1:2", "ctx_1:3"]);
  expect(outbox.calls).toEqual([...A_LOOK_WITH_SWEEP, "mark 1", "read 0", "mark 1", "read 0", "mark 1", "read 0"]);
});

test("a node without shards reads and marks nothing", async () => {
  const { outbox, told, start, pass } = setup([]);
  outbox.add("ctx_1");
  await start();
  await pass(SWEEP_MS);
  expect(outbox.calls).toEqual(["claim node_1", "backlog", "claim node_1", "backlog"]);
  expect(told).toEqual([]);
});

test("from 250 checkouts on two lanes share the shards, none of them in both and none in neither", async () => {
  const { outbox: few, start: startFew } = setup(SHARDS);
  few.addCheckouts(249);
  await startFew();
  expect(few.reads).toEqual([ALL, ALL]);
  const { outbox: many, start: startMany } = setup(SHARDS);
  many.addCheckouts(250);
  await startMany();
  expect(many.reads).toEqual([ALL, ONE_LANE, OTHER_LANE, ALL]);
});

test("two lanes take a backlog to its end, each event once", async () => {
  const { outbox, sent, start } = setup(SHARDS);
  outbox.addCheckouts(1_800);
  await start();
  expect(new Set(sent).size).toBe(1_800);
  expect(sent).toHaveLength(1_800);
  expect(outbox.acknowledged).toHaveLength(1_800);
  expect(outbox.sweeps).toBe(1);
  expect(outbox.reads.slice(0, 5)).toEqual([ALL, ONE_LANE, OTHER_LANE, ONE_LANE, OTHER_LANE]);
});

test("a lane that waits for the bus does not hold up the other", async () => {
  const { outbox, controls, start } = setup(SHARDS);
  outbox.addCheckouts(1_000);
  const { promise, release } = held();
  const isOfOneLane = (contextId: string) => Number(contextId.slice("ctx_".length)) % SHARDS.length === 0;
  controls.publish = ({ subject }) => (outbox.acknowledged.length >= 500 && isOfOneLane(subject) ? promise : Promise.resolve());
  await start();
  expect(outbox.reads).toEqual([ALL, ONE_LANE, OTHER_LANE, OTHER_LANE]);
  expect(outbox.acknowledged).toHaveLength(700);
  release();
  await idle();
  expect(outbox.acknowledged).toHaveLength(1_000);
});

test("lanes end when the next sweep is due, and begin again after it", async () => {
  const { clock, outbox, start } = setup(SHARDS);
  outbox.addCheckouts(2_000);
  const { markPublished } = outbox;
  outbox.markPublished = async (marks) => {
    await markPublished(marks);
    if (outbox.acknowledged.length === 1_500) clock.advance(SWEEP_MS);
  };
  await start();
  const lookedAt = outbox.calls.filter((call) => !call.startsWith("mark"));
  const lanes = [`read ${ONE_LANE}`, `read ${OTHER_LANE}`];
  const sweep = ["claim node_1", "backlog"];
  expect(lookedAt).toEqual([...sweep, `read ${ALL}`, ...lanes, ...sweep, `read ${ALL}`, ...lanes, `read ${ALL}`]);
  expect(outbox.acknowledged).toHaveLength(2_000);
});

test("stopping publishes what was committed since the last look, whoever has the shards by now", async () => {
  const { outbox, sent, lease, relay, start } = setup();
  await start();
  for (const seq of [1, 2]) outbox.add("ctx_1", seq);
  lease.isHeld = () => false;
  await relay.stop();
  expect(sent).toEqual(["ctx_1:1", "ctx_1:2"]);
  expect(outbox.acknowledged).toEqual(sent);
});

test("stopping claims no shards any more, though a sweep is due", async () => {
  const { outbox, controls, relay, start, pass } = setup();
  outbox.add("ctx_1");
  const { promise, release } = held();
  controls.publish = () => promise;
  await start();
  await pass(SWEEP_MS);
  const stopping = relay.stop();
  release();
  await stopping;
  expect(outbox.acknowledged).toEqual(["ctx_1:1"]);
  expect(outbox.sweeps).toBe(1);
});

test("stopping takes two seconds when the bus does not answer, and nothing is read after that", async () => {
  const { outbox, controls, relay, start, pass } = setup();
  for (const id of ["ctx_1", "ctx_2"]) outbox.add(id);
  const { promise, release } = held();
  controls.publish = () => promise;
  await start();
  let isStopped = false;
  const stopping = relay.stop().then(() => (isStopped = true));
  await pass(FLUSH_MAX_MS - 1);
  expect(isStopped).toBe(false);
  await pass(1);
  expect(isStopped).toBe(true);
  await stopping;
  release();
  await idle();
  expect(outbox.calls, `the answer that came too late is marked`).toEqual([...A_LOOK_WITH_SWEEP, "mark 2"]);
});

test("a stop that is over leaves no timer: a process would wait for it", async () => {
  const { clock, outbox, relay, start } = setup();
  outbox.add("ctx_1");
  await start();
  await relay.stop();
  expect(clock.pending).toBe(0);
});

test("stopped again, or before its start, it does nothing", async () => {
  const { outbox, relay, start, pass } = setup();
  await relay.stop();
  expect(outbox.calls).toEqual([]);
  await start();
  await Promise.all([relay.stop(), relay.stop()]);
  const before = [...outbox.calls];
  outbox.add("ctx_1");
  await relay.stop();
  relay.kick();
  await pass(SWEEP_MS);
  expect(outbox.calls).toEqual(before);
});
