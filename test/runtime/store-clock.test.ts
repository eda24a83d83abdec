import { expect, test } from "vitest";
import { StoreClock } from "../../runtime/store-clock.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { SILENT } from "../support/ports.ts";

const LOOK_EVERY_MS = 10_000;

/** A machine whose clock is that far ahead of the database's; both go on alike. */
function setup(aheadMs: number) {
  const database = new VirtualClock();
  const machine = { aheadMs };
  const warnings: object[] = [];
  const controls = { now: async () => database.now() };
  const clock = new StoreClock({
    store: { now: () => controls.now() },
    clock: {
      now: () => database.now() + machine.aheadMs,
      monotonic: () => database.monotonic(),
      after: (delayMs, run) => database.after(delayMs, run),
    },
    log: { ...SILENT, warn: (fields) => warnings.push(fields) },
  });
  return { clock, database, machine, controls, warnings };
}

/** The time that was right when half of it had passed. */
function slowly(database: VirtualClock, tookMs: number, thereMs = tookMs / 2) {
  const pause = (ms: number) => new Promise<void>((resume) => database.after(ms, resume));
  return async () => {
    await pause(thereMs);
    const now = database.now();
    await pause(tookMs - thereMs);
    return now;
  };
}

test("tells the database's time from its start on, and this machine's before", async () => {
  const { clock, database } = setup(300_000);
  expect(clock.now()).toBe(database.now() + 300_000);
  expect(clock.offsetMs).toBe(0);
  await clock.start();
  expect(clock.now()).toBe(database.now());
  await database.advance(7_654);
  expect(clock.now()).toBe(database.now());
  expect(clock.offsetMs).toBe(300_000);
});

test("does not start while the database can't be asked", async () => {
  const { clock, controls } = setup(0);
  controls.now = () => Promise.reject(new Error("the database is away"));
  await expect(clock.start()).rejects.toThrow("the database is away");
});

test("goes on when this machine's clock is set, and only tells of it", async () => {
  const { clock, database, machine, warnings } = setup(0);
  await clock.start();
  machine.aheadMs = -3_600_000;
  expect(clock.now()).toBe(database.now());
  await database.advance(LOOK_EVERY_MS);
  expect(clock.now()).toBe(database.now());
  expect(warnings).toEqual([{ offsetMs: -3_600_000 }]);
  await database.advance(5 * LOOK_EVERY_MS);
  expect(warnings).toHaveLength(1);
  machine.aheadMs = 0;
  await database.advance(LOOK_EVERY_MS);
  machine.aheadMs = 2_000;
  await database.advance(LOOK_EVERY_MS);
  expect(warnings).toHaveLength(2);
});

test.each([0, 100, 400])("is wrong by no more than half of what the answer took (%i ms of it there)", async (thereMs) => {
  const { clock, database, controls } = setup(0);
  controls.now = slowly(database, 400, thereMs);
  const started = clock.start();
  await database.advance(400);
  await started;
  expect(Math.abs(clock.now() - database.now())).toBe(Math.abs(200 - thereMs));
});

test("begins with a quick answer: one that took too long is asked for again", async () => {
  const { clock, database, controls } = setup(60_000);
  let asked = 0;
  // As for a process that stood still while it waited.
  controls.now = () => slowly(database, asked++ === 0 ? 12_000 : 100, 0)();
  const started = clock.start();
  await database.advance(20_000);
  await started;
  expect(asked).toBe(2);
  expect(Math.abs(clock.now() - database.now())).toBe(50);
});

test("where every answer is slow the first is better than none, until there is a quick one", async () => {
  const { clock, database, controls } = setup(60_000);
  controls.now = slowly(database, 3_000, 0);
  const started = clock.start();
  await database.advance(5 * 3_000);
  await started;
  expect(database.now() - clock.now()).toBe(1_500);
  await database.advance(2 * LOOK_EVERY_MS);
  expect(database.now() - clock.now()).toBe(1_500);
  controls.now = slowly(database, 100);
  await database.advance(2 * LOOK_EVERY_MS);
  expect(clock.now()).toBe(database.now());
});

test.each([0, 3_000])("a slow answer changes nothing, wherever its time went (%i ms of it there)", async (thereMs) => {
  const { clock, database, controls } = setup(0);
  // As wrong as a quick answer can be.
  controls.now = slowly(database, 100, 0);
  const started = clock.start();
  await database.advance(100);
  await started;
  controls.now = slowly(database, 3_000, thereMs);
  await database.advance(2 * LOOK_EVERY_MS);
  expect(database.now() - clock.now()).toBe(50);
});

test("a slow answer that shows that the database's clock was set is better than what is known", async () => {
  const { clock, database, controls } = setup(0);
  await clock.start();
  const answer = slowly(database, 3_000);
  controls.now = async () => (await answer()) + 60_000;
  await database.advance(2 * LOOK_EVERY_MS);
  expect(clock.now() - database.now()).toBe(60_000);
});

test("asks no more once it is stopped", async () => {
  const { clock, database, controls } = setup(0);
  let asked = 0;
  controls.now = async () => (asked++, database.now());
  await clock.start();
  await clock.stop();
  const before = asked;
  await database.advance(5 * LOOK_EVERY_MS);
  expect(asked).toBe(before);
});
