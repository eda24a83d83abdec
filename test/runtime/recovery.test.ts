import { expect, test } from "vitest";
import { NodeLease } from "../../runtime/node-lease.ts";
import { Recovery } from "../../runtime/recovery.ts";
import { Counters } from "../../runtime/telemetry.ts";
import type { OwnedCheckout } from "../../persistence/store.ts";
import { countingIds, idle, ManualClock, SILENT } from "../support/ports.ts";

const SWEEP_MS = 500;
/** Sweeps of half a second each, until this node has looked at what it owns. */
const LOOK_MS = 3_500;

async function setup(owned: readonly OwnedCheckout[] = [], resident: readonly string[] = []) {
  const clock = new ManualClock();
  const claims: { readonly nodeId: string; readonly limit: number }[] = [];
  const controls = {
    runnable: async (): Promise<readonly string[]> => [],
    heartbeat: async () => true,
    room: 10,
    adopt: async (id: string) => void adopted.push(id),
  };
  const store = {
    claimRunnable: (nodeId: string, limit: number) => {
      claims.push({ nodeId, limit });
      return controls.runnable();
    },
    owned: async () => owned,
    heartbeat: () => controls.heartbeat(),
    endLease: async () => {},
  };
  const ports = { store, clock, ids: countingIds(), log: SILENT, counters: new Counters() };
  const lease = new NodeLease({ ...ports, machineHashes: [], onLost: () => {} });
  await lease.start();
  const [adopted, notified]: [string[], string[]] = [[], []];
  const recovery = new Recovery({
    store,
    clock,
    log: SILENT,
    lease,
    room: () => controls.room,
    isResident: (id) => resident.includes(id),
    adopt: (id) => controls.adopt(id),
    notify: async (id) => void notified.push(id),
  });
  recovery.start();
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 100) {
      clock.advance(100);
      await idle();
    }
  };
  return { pass, adopted, notified, claims, controls, lease, recovery };
}

test("claims what needs an actor, as much as there is room for, and takes it up", async () => {
  const { pass, adopted, claims, controls, lease } = await setup();
  controls.runnable = async () => ["ctx_1", "ctx_2"];
  await pass(SWEEP_MS);
  expect(claims).toEqual([{ nodeId: lease.nodeId, limit: 10 }]);
  expect(adopted).toEqual(["ctx_1", "ctx_2"]);
});

test.each([
  { room: 1_000, limits: [200] },
  { room: 200, limits: [200] },
  { room: 1, limits: [1] },
  { room: 0, limits: [] },
  { room: -1, limits: [] },
])("with room for $room it claims $limits at a time", async ({ room, limits }) => {
  const { pass, claims, controls } = await setup();
  controls.room = room;
  await pass(SWEEP_MS);
  expect(claims.map(({ limit }) => limit)).toEqual(limits);
});

test("a node without its lease claims nothing, and looks at nothing that it owned", async () => {
  const { pass, claims, controls, notified, lease } = await setup([{ id: "ctx_called", signals: 1 }], ["ctx_called"]);
  controls.heartbeat = () => Promise.reject(new Error("the database is away"));
  await pass(10_000);
  expect(lease.isHeld()).toBe(false);
  const before = [claims.length, notified.length];
  await pass(2 * LOOK_MS);
  expect([claims.length, notified.length]).toEqual(before);
});

test("one that can't be taken up holds up neither the others nor the search", async () => {
  const { pass, adopted, claims, controls } = await setup();
  controls.runnable = async () => ["ctx_broken", "ctx_waits", "ctx_1"];
  controls.adopt = (id) => {
    if (id === "ctx_broken") return Promise.reject(new Error("the database is away"));
    if (id === "ctx_waits") return new Promise(() => {});
    return Promise.resolve(void adopted.push(id));
  };
  await pass(2 * SWEEP_MS);
  expect(adopted).toEqual(["ctx_1", "ctx_1"]);
  expect(claims).toHaveLength(2);
});

/** What a dead node left, 200 at a time. */
function orphans(count: number): () => Promise<readonly string[]> {
  const left = Array.from({ length: count }, (_, n) => `ctx_${n}`);
  return async () => left.splice(0, 200);
}

test("claims again at once while one claim does not take all that there is", async () => {
  const { pass, adopted, claims, controls } = await setup();
  controls.room = 2_000;
  controls.runnable = orphans(1_050);
  // The test's clock lets one claim follow another every 100 ms.
  await pass(600);
  expect(adopted).toHaveLength(1_050);
  expect(claims).toHaveLength(6);
  await pass(SWEEP_MS - 100);
  expect(claims).toHaveLength(6);
});

test("claims no more before what it claimed is taken up, nor without room for it", async () => {
  const { pass, claims, controls } = await setup();
  controls.room = 300;
  controls.runnable = orphans(1_000);
  let take = (): void => {};
  const taken = new Promise<undefined>((resolve) => (take = () => resolve(undefined)));
  controls.adopt = () => taken;
  await pass(SWEEP_MS - 100);
  expect(claims).toHaveLength(1);
  controls.room = 100;
  take();
  await pass(200);
  expect(claims.map(({ limit }) => limit)).toEqual([200, 100]);
});

test("one of many that waits for a lock holds up the next claim no longer than a sweep's pause", async () => {
  const { pass, claims, controls } = await setup();
  controls.room = 2_000;
  controls.runnable = orphans(1_000);
  controls.adopt = (id) => (id === "ctx_0" ? new Promise<undefined>(() => {}) : Promise.resolve(undefined));
  await pass(SWEEP_MS);
  expect(claims).toHaveLength(1);
  await pass(SWEEP_MS + 100);
  expect(claims).toHaveLength(6);
});

test("a long take-over takes up nothing twice: what is being taken up is no lost claim", async () => {
  const { pass, adopted, controls } = await setup([{ id: "ctx_0", signals: 0 }]);
  controls.room = 10_000;
  controls.runnable = orphans(4_000);
  // As many claims at once as there are in two looks at what this node owns.
  await pass(1_500);
  expect(adopted.filter((id) => id === "ctx_0")).toHaveLength(1);
});

test("stopping waits for the sweep under way, and none follows", async () => {
  const { pass, claims, controls, recovery } = await setup();
  let answer: (ids: readonly string[]) => void = () => {};
  controls.runnable = () => new Promise((resolve) => (answer = resolve));
  await pass(SWEEP_MS);
  let isStopped = false;
  const stopping = recovery.stop().then(() => (isStopped = true));
  await pass(SWEEP_MS);
  expect(isStopped).toBe(false);
  answer([]);
  await stopping;
  await pass(2 * SWEEP_MS);
  expect(claims).toHaveLength(1);
});

test("a resident checkout whose inbox another node put something into is told of it", async () => {
  const { pass, notified, adopted } = await setup(
    [
      { id: "ctx_called", signals: 1 },
      { id: "ctx_busy", signals: 0 },
    ],
    ["ctx_called", "ctx_busy"],
  );
  await pass(2 * LOOK_MS);
  expect(new Set(notified)).toEqual(new Set(["ctx_called"]));
  expect(adopted).toEqual([]);
});

test("a checkout that this node owns and does not run is taken up at the second look, not the first", async () => {
  const { pass, adopted, notified } = await setup([{ id: "ctx_lost", signals: 1 }]);
  await pass(LOOK_MS);
  expect(adopted).toEqual([]);
  await pass(LOOK_MS);
  expect(adopted).toContain("ctx_lost");
  // Its next actor reads its inbox by itself.
  expect(notified).toEqual([]);
});
