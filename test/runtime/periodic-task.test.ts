import { expect, test } from "vitest";
import { PeriodicTask } from "../../runtime/periodic-task.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { SILENT } from "../support/ports.ts";

const PAUSE_MS = 1_000;

/** A task whose runs end at once, or when the test says so. */
function setup() {
  const clock = new VirtualClock();
  const begunAt: number[] = [];
  const warnings: { readonly fields: object; readonly message: string }[] = [];
  const controls = { run: async (): Promise<"again" | void> => undefined };
  const began = clock.now();
  const task = new PeriodicTask({
    clock,
    log: { ...SILENT, warn: (fields, message) => warnings.push({ fields, message }) },
    pauseMs: PAUSE_MS,
    work: () => {
      begunAt.push(clock.now() - began);
      return controls.run();
    },
    failureMessage: "The look failed; it is repeated",
  });
  /** The next runs last until the returned function is called. */
  const hold = () => {
    let end = () => {};
    const held = new Promise<void>((resolve) => (end = resolve));
    controls.run = () => held;
    return end;
  };
  return { clock, task, begunAt, warnings, controls, hold };
}

test("begins after a pause for whoever has done the first run already", async () => {
  const { clock, task, begunAt } = setup();
  task.start("after a pause");
  await clock.advance(2 * PAUSE_MS);
  expect(begunAt).toEqual([PAUSE_MS, 2 * PAUSE_MS]);
});

test("runs when it is started, not before, and again after each pause", async () => {
  const { clock, task, begunAt } = setup();
  await clock.advance(PAUSE_MS);
  expect(begunAt).toEqual([]);
  task.start();
  await clock.advance(2 * PAUSE_MS);
  expect(begunAt).toEqual([1, 2, 3].map((times) => times * PAUSE_MS));
});

test("the pause counts from the end of a run, so that a slow one is never joined by the next", async () => {
  const { clock, task, begunAt, hold } = setup();
  const end = hold();
  task.start();
  await clock.advance(10 * PAUSE_MS);
  expect(begunAt).toEqual([0]);
  end();
  await clock.advance(PAUSE_MS - 1);
  expect(begunAt).toEqual([0]);
  await clock.advance(1);
  expect(begunAt).toEqual([0, 11 * PAUSE_MS]);
});

test("a run that leaves something to do is followed by the next at once", async () => {
  const { clock, task, begunAt, controls } = setup();
  let left = 3;
  controls.run = async () => (--left > 0 ? "again" : undefined);
  task.start();
  await clock.advance(PAUSE_MS);
  expect(begunAt).toEqual([0, 0, 0, PAUSE_MS]);
});

test("a run that fails is logged with its error, and repeated after the same pause", async () => {
  const { clock, task, begunAt, warnings, controls } = setup();
  const error = new Error("the database is away");
  controls.run = () => Promise.reject(error);
  task.start();
  await clock.advance(PAUSE_MS);
  const warning = { fields: { err: error }, message: "The look failed; it is repeated" };
  expect(warnings).toEqual([warning, warning]);
  controls.run = async () => undefined;
  await clock.advance(PAUSE_MS);
  expect(begunAt).toEqual([0, PAUSE_MS, 2 * PAUSE_MS]);
  expect(warnings).toHaveLength(2);
});

test("stopping waits for the run under way, and nothing follows it", async () => {
  const { clock, task, begunAt, hold } = setup();
  const end = hold();
  task.start();
  await clock.advance(0);
  let isStopped = false;
  const stopping = task.stop().then(() => (isStopped = true));
  await clock.advance(PAUSE_MS);
  expect(isStopped).toBe(false);
  end();
  await stopping;
  expect(await clock.runUntilIdle(10 * PAUSE_MS)).toBe(true);
  expect(begunAt).toEqual([0]);
});

test("stopping waits for a run under way that fails, and does not throw its error", async () => {
  const { clock, task, warnings, controls } = setup();
  let fail: (error: Error) => void = () => {};
  controls.run = () => new Promise((_resolve, reject) => (fail = reject));
  task.start();
  await clock.advance(0);
  const stopping = task.stop();
  fail(new Error("the database is away"));
  await stopping;
  expect(warnings).toHaveLength(1);
});

test("stopped in a pause, also twice, it leaves no timer behind", async () => {
  const { clock, task, begunAt } = setup();
  task.start();
  await clock.advance(0);
  await Promise.all([task.stop(), task.stop()]);
  await task.stop();
  expect(await clock.runUntilIdle(0)).toBe(true);
  expect(begunAt).toEqual([0]);
});

test("stopped before its start it never runs", async () => {
  const { clock, task, begunAt } = setup();
  await task.stop();
  task.start();
  await clock.advance(PAUSE_MS);
  expect(begunAt).toEqual([]);
});
