/** What it shares with the watch over money is tested there. */
import { expect, test } from "vitest";
import type { StuckCheckout } from "../../persistence/store.ts";
import { progressWatch } from "../../runtime/progress-watch.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { SILENT } from "../support/ports.ts";

const LOOK_EVERY_MS = 15_000;

/** A watch over a store that finds what the test says. */
function setup() {
  const clock = new VirtualClock();
  const asked: { readonly idleMs: number; readonly limit: number }[] = [];
  const errors: Readonly<Record<string, unknown>>[] = [];
  let found: readonly StuckCheckout[] = [];
  const watch = progressWatch({
    store: { stuck: async (idleMs, limit) => (asked.push({ idleMs, limit }), found) },
    clock,
    log: { ...SILENT, error: (fields) => errors.push(fields) },
  });
  const find = (...stuck: readonly StuckCheckout[]) => (found = stuck);
  const since = clock.now() - 90_000;
  const stuck = (contextId: string, seq: number): StuckCheckout => ({
    contextId,
    seq,
    state: "PROCESSING",
    owner: "node_1",
    since,
  });
  return { clock, watch, asked, errors, find, stuck, since };
}

test("asks for what has not moved for a minute", async () => {
  const { clock, watch, asked } = setup();
  watch.start();
  await clock.advance(LOOK_EVERY_MS);
  expect(asked).toEqual([1, 2].map(() => ({ idleMs: 60_000, limit: 1_000 })));
});

test("says that a checkout is stuck when it stands at the second look where it stood at the first", async () => {
  const { clock, watch, errors, find, stuck, since } = setup();
  find(stuck("ctx_1", 7));
  watch.start();
  await clock.advance(0);
  expect([watch.checkouts, errors]).toEqual([0, []]);
  await clock.advance(LOOK_EVERY_MS);
  expect(watch.checkouts).toBe(1);
  expect(watch.oldestSeconds).toBe(90 + LOOK_EVERY_MS / 1_000);
  const told = { executionContextId: "ctx_1", state: "PROCESSING", owner: "node_1", since: new Date(since).toISOString() };
  expect(errors).toEqual([told]);
});

test("one that has moved in between is not stuck", async () => {
  const { clock, watch, errors, find, stuck } = setup();
  find(stuck("ctx_1", 7));
  watch.start();
  await clock.advance(0);
  find(stuck("ctx_1", 8));
  await clock.advance(LOOK_EVERY_MS);
  expect([watch.checkouts, errors]).toEqual([0, []]);
  await clock.advance(LOOK_EVERY_MS);
  expect(watch.checkouts).toBe(1);
});
