/** Timers, what is remembered from one commit to the next, and when memory is left. */
import { expect, test } from "vitest";
import { TerminalError, TransientError } from "../../machines/errors.ts";
import { begin } from "../../runtime/engine.ts";
import { MachineRun, REFUSED } from "../machines/machine-run.ts";
import { idle } from "../support/ports.ts";
import { backingOff, CANCEL, INPUT, last, setup, started } from "./actor-desk.ts";

const NEW = { seq: 1, fence: 1, isReleased: false, isAnswered: false };

/** Only the reversal of the payment is left. */
function owingMoneyOnly(): MachineRun {
  const run = MachineRun.at("awaitingPayment").send({ type: "CANCEL" });
  while (run.running.id !== "undo:deferred") {
    if (run.running.id === "undo:paymentRequest") run.fail(REFUSED);
    else run.done({ pcrId: null, refunds: [], conflicts: [] });
  }
  return run;
}

test("a cart is freed once: what was freed is remembered, and an ordinary commit frees nothing", async () => {
  const { newActor, clock, commits, steps } = setup();
  const { snapshot, timers } = owingMoneyOnly();
  newActor({ ...NEW, snapshot, timers, seq: 30 }).resume(0);
  await last(steps).fail(new TransientError("DOWN", "Not now."));
  expect(last(commits).commit.release).toEqual({ completed: false });
  await last(commits).answer();
  clock.advance(1_000);
  await idle();
  expect(last(commits).commit).not.toHaveProperty("release");
  const other = await started();
  await other.cancel();
  expect(last(other.commits).commit.release).toEqual({ completed: false });
});

test("an answer that comes with a later commit is stored with that one", async () => {
  const { controls, commits, steps } = await started();
  const answer = { status: 200, body: "{}" } as never;
  controls.answerFor = () => answer;
  await last(steps).end({ flags: {} });
  expect(last(commits).commit.answer).toBe(answer);
});

test("the inbox is read after a commit that says that something waits in it, and only then", async () => {
  const { controls, commits, steps } = await started();
  let reads = 0;
  controls.loadInbox = async () => (reads++, []);
  await last(steps).end({ flags: {} });
  await last(commits).answer();
  expect(reads).toBe(0);
  await last(steps).end({ paymentGroups: [] });
  await last(commits).answer({ kind: "applied", signals: 1 });
  expect(reads).toBe(1);
});

test("who waits up to five seconds stays in memory, who waits longer leaves it", async () => {
  const near = await backingOff(5_000);
  expect(last(near.commits).commit).not.toHaveProperty("passivate");
  expect(near.stops).toEqual([]);
  const far = await backingOff(5_001);
  expect(last(far.commits).commit.passivate).toBe(true);
});

test("a timer rings when it is due, alone, and nothing is dropped for it", async () => {
  const { machine, newActor, clock, counters, commits } = setup();
  const timers = { "xstate.after.first": clock.now() + 1_000, "xstate.after.second": clock.now() + 2_000 };
  newActor({ ...NEW, snapshot: begin(machine, INPUT), timers }).resume(0);
  clock.advance(999);
  await idle();
  expect(commits).toEqual([]);
  clock.advance(1);
  await idle();
  expect(last(commits).commit.entry.event.type).toBe("xstate.after.first");
  await last(commits).answer();
  clock.advance(1_000);
  await idle();
  expect(last(commits).commit.entry.event.type).toBe("xstate.after.second");
  expect(counters.get("stale_timers_dropped")).toBe(0);
});

test("a timer that rings early, because clocks differ, rings again when it is due", async () => {
  const { machine, newActor, clock, commits } = setup();
  const timer = "xstate.after.first";
  const dueAt = clock.now() + 1_000;
  newActor({ ...NEW, snapshot: begin(machine, INPUT), timers: { [timer]: dueAt } }).resume(0);
  const now = clock.now.bind(clock);
  clock.now = () => dueAt - 1;
  clock.advance(1_000);
  await idle();
  expect(commits).toEqual([]);
  clock.now = now;
  clock.advance(1);
  await idle();
  expect(last(commits).commit.entry.event.type).toBe(timer);
});

test("only the payment's deadline has the inbox read before it", async () => {
  const { controls, clock, commits } = await backingOff();
  let reads = 0;
  controls.loadInbox = async () => (reads++, []);
  clock.advance(1_000);
  await idle();
  expect(last(commits).commit.entry.event.type).toContain("backoff");
  expect(reads).toBe(0);
});

test("a stopped actor sets no alarm any more", async () => {
  const { actor, clock, commits } = await backingOff();
  const written = commits.length;
  const alarms: number[] = [];
  const after = clock.after.bind(clock);
  clock.after = (delayMs, run) => (alarms.push(delayMs), after(delayMs, run));
  actor.tell(CANCEL);
  actor.halt();
  await idle();
  clock.advance(3_600_000);
  await idle();
  expect([commits.length, alarms.length]).toEqual([written, 0]);
});

test("an actor without a timer sets no alarm", async () => {
  const { clock, start, commits } = setup();
  const alarms: number[] = [];
  const after = clock.after.bind(clock);
  clock.after = (delayMs, run) => (alarms.push(delayMs), after(delayMs, run));
  await start();
  await last(commits).answer();
  // The step's own limit.
  expect(alarms).toEqual([30_000]);
});

test("a step's failure for good is written with its class and code", async () => {
  const { steps, commits } = await started();
  await last(steps).fail(new TerminalError("OUT_OF_STOCK", "The last one was sold meanwhile."));
  expect(last(commits).commit.entry.event).toMatchObject({
    type: "xstate.error.actor.pinningFlags",
    actorId: "pinningFlags",
    error: { class: "TERMINAL", code: "OUT_OF_STOCK" },
  });
});

test("a step that gives no answer in time counts as one that may work later, and what it says then is not heard", async () => {
  const { clock, steps, commits, counters } = await started();
  const slow = last(steps);
  clock.advance(29_999);
  await idle();
  expect(commits).toHaveLength(1);
  clock.advance(1);
  await idle();
  expect(slow.signal.aborted).toBe(true);
  expect(last(commits).commit.entry.event).toMatchObject({
    type: "xstate.error.actor.pinningFlags",
    error: { class: "TRANSIENT", code: "TIMEOUT" },
  });
  await last(commits).answer();
  await slow.end({ flags: {} });
  expect(commits).toHaveLength(2);
  expect(counters.get("stale_outcomes_dropped")).toBe(0);
});

test("a step that ended in time is not timed out later", async () => {
  const { clock, steps, commits, counters } = await started();
  await last(steps).end({ flags: {} });
  clock.advance(30_000);
  await idle();
  expect(commits).toHaveLength(2);
  expect(counters.get("stale_outcomes_dropped")).toBe(0);
});

test("the alarm is set for the moment when the next timer is due, and at once when that has passed", () => {
  const alarms: number[] = [];
  const { machine, newActor, clock } = setup();
  const after = clock.after.bind(clock);
  clock.after = (delayMs, run) => (alarms.push(delayMs), after(delayMs, run));
  for (const dueIn of [1_000, -1_000]) {
    const timers = { "xstate.after.first": clock.now() + dueIn };
    newActor({ ...NEW, snapshot: begin(machine, INPUT), timers }).resume(0);
  }
  expect(alarms).toEqual([1_000, 0]);
});
