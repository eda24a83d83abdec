import { expect, test } from "vitest";
import type { UnsettledMoney } from "../../persistence/store.ts";
import { moneyWatch } from "../../runtime/money-watch.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { SILENT } from "../support/ports.ts";

const LOOK_EVERY_MS = 15_000;

/** A watch over a store that finds what the test says. */
function setup() {
  const clock = new VirtualClock();
  const asked: { readonly olderThanMs: number; readonly limit: number }[] = [];
  const errors: Readonly<Record<string, unknown>>[] = [];
  const controls = { unsettled: async (): Promise<readonly UnsettledMoney[]> => [] };
  const watch = moneyWatch({
    store: {
      unsettled: (olderThanMs, limit) => {
        asked.push({ olderThanMs, limit });
        return controls.unsettled();
      },
    },
    clock,
    log: { ...SILENT, error: (fields) => errors.push(fields) },
  });
  const find = (...found: readonly UnsettledMoney[]) => (controls.unsettled = async () => found);
  const held = (contextId: string, heldForMs: number, currency = "INR"): UnsettledMoney => ({
    contextId,
    currency,
    amount: -500,
    since: clock.now() - heldForMs,
  });
  return { clock, watch, asked, errors, controls, find, held };
}

test("asks for what is older than a minute, at the start and every fifteen seconds", async () => {
  const { clock, watch, asked } = setup();
  await clock.advance(LOOK_EVERY_MS);
  expect(asked).toEqual([]);
  watch.start();
  await clock.advance(2 * LOOK_EVERY_MS);
  expect(asked).toEqual([1, 2, 3].map(() => ({ olderThanMs: 60_000, limit: 1_000 })));
});

test("counts checkouts, not balances, and nothing before it has looked", async () => {
  const { clock, watch, find, held } = setup();
  find(held("ctx_1", 70_000), held("ctx_1", 65_000, "EUR"), held("ctx_2", 61_000));
  expect(watch.checkouts).toBe(0);
  watch.start();
  await clock.advance(0);
  expect(watch.checkouts).toBe(2);
});

test("says in seconds how long the oldest has been held by now, and 0 while there is none", async () => {
  const { clock, watch, find, held } = setup();
  watch.start();
  await clock.advance(0);
  expect(watch.oldestSeconds).toBe(0);
  find(held("ctx_old", 90_000 - LOOK_EVERY_MS), held("ctx_new", 60_000));
  await clock.advance(LOOK_EVERY_MS);
  expect(watch.oldestSeconds).toBe(90);
  await clock.advance(5_000);
  expect(watch.oldestSeconds).toBe(95);
});

test("never says less than 0, when the database's clock is ahead of this node's", async () => {
  const { clock, watch, find, held } = setup();
  find(held("ctx_1", -3_000));
  watch.start();
  await clock.advance(0);
  expect(watch).toMatchObject({ checkouts: 1, oldestSeconds: 0 });
});

test("says it once of each checkout for as long as it lasts, and again when it comes back", async () => {
  const { clock, watch, errors, find, held } = setup();
  const one = held("ctx_1", 70_000);
  find(one);
  watch.start();
  await clock.advance(LOOK_EVERY_MS);
  const since = new Date(one.since).toISOString();
  expect(errors).toEqual([{ executionContextId: "ctx_1", balance: -500, currency: "INR", since }]);
  find(one, held("ctx_2", 70_000));
  await clock.advance(LOOK_EVERY_MS);
  expect(errors.map(({ executionContextId }) => executionContextId)).toEqual(["ctx_1", "ctx_2"]);
  find();
  await clock.advance(LOOK_EVERY_MS);
  find(one);
  await clock.advance(LOOK_EVERY_MS);
  expect(errors.map(({ executionContextId }) => executionContextId)).toEqual(["ctx_1", "ctx_2", "ctx_1"]);
});

test("goes on with what it saw last while the store can't be asked, and looks again", async () => {
  const { clock, watch, controls, find, held } = setup();
  find(held("ctx_1", 70_000));
  watch.start();
  await clock.advance(0);
  controls.unsettled = () => Promise.reject(new Error("the database is away"));
  await clock.advance(LOOK_EVERY_MS);
  expect(watch.checkouts).toBe(1);
  find();
  await clock.advance(LOOK_EVERY_MS);
  expect(watch.checkouts).toBe(0);
});

test("stops after the look that is under way, and looks no more", async () => {
  const { clock, watch, controls, asked } = setup();
  let answer: (found: readonly UnsettledMoney[]) => void = () => {};
  controls.unsettled = () => new Promise((resolve) => (answer = resolve));
  watch.start();
  await clock.advance(0);
  let isStopped = false;
  const stopping = watch.stop().then(() => (isStopped = true));
  await clock.advance(LOOK_EVERY_MS);
  expect(isStopped).toBe(false);
  answer([]);
  await stopping;
  await clock.advance(LOOK_EVERY_MS);
  expect(asked).toHaveLength(1);
});
