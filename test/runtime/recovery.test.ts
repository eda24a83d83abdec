import { expect, test } from "vitest";
import { NodeLease } from "../../runtime/node-lease.ts";
import { Recovery } from "../../runtime/recovery.ts";
import { Counters } from "../../runtime/telemetry.ts";
import type { OwnedCheckout } from "../../persistence/store.ts";
import { countingIds, idle, ManualClock, SILENT } from "../support/ports.ts";

/** Sweeps of half a second each, until this node has looked at what it owns. */
const LOOK_MS = 3_500;

async function setup(owned: readonly OwnedCheckout[], resident: readonly string[]) {
  const clock = new ManualClock();
  const store = {
    claimRunnable: async () => [],
    owned: async () => owned,
    heartbeat: async () => true,
    endLease: async () => {},
  };
  const lease = new NodeLease({ store, clock, ids: countingIds(), log: SILENT, counters: new Counters(), onLost: () => {} });
  await lease.start();
  const [adopted, notified]: [string[], string[]] = [[], []];
  const recovery = new Recovery({
    store,
    clock,
    log: SILENT,
    lease,
    room: () => 10,
    isResident: (id) => resident.includes(id),
    adopt: async (id) => void adopted.push(id),
    notify: async (id) => void notified.push(id),
  });
  recovery.start();
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 100) {
      clock.advance(100);
      await idle();
    }
  };
  return { pass, adopted, notified };
}

test("a resident checkout whose inbox another node put something into is told of it", async () => {
  const { pass, notified, adopted } = await setup(
    [
      { id: "ctx_called", signals: 1 },
      { id: "ctx_busy", signals: 0 },
    ],
    ["ctx_called", "ctx_busy"],
  );
  await pass(LOOK_MS);
  expect(new Set(notified)).toEqual(new Set(["ctx_called"]));
  expect(adopted).toEqual([]);
});

test("a checkout that this node owns and does not run is taken up at the second look, not the first", async () => {
  const { pass, adopted } = await setup([{ id: "ctx_lost", signals: 0 }], []);
  await pass(LOOK_MS);
  expect(adopted).toEqual([]);
  await pass(LOOK_MS);
  expect(adopted).toContain("ctx_lost");
});
