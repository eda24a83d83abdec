import { expect, test } from "vitest";
import { TransientError } from "../../machines/errors.ts";
import { begin, decide } from "../../runtime/engine.ts";
import { idle } from "../support/ports.ts";
import { backingOff, CANCEL, creatingGroups, INPUT, last, REFUSED, setup, started } from "./actor-desk.ts";

test("nothing is started or told before its transition is committed", async () => {
  const { start, commits, steps, transitions } = setup();
  await start();
  expect(last(commits).commit).toMatchObject({ expectedSeq: 1, fence: 1, entry: { seq: 2, from: "INITIALIZED" } });
  expect([steps, transitions]).toEqual([[], []]);
  await last(commits).answer();
  expect(steps.map(({ src }) => src)).toEqual(["resolveFeatureFlags"]);
  expect(transitions).toEqual(["PROCESSING.opening.pinningFlags.running"]);
});

test("a step's outcome is one commit, with its event in the journal and the next step after it", async () => {
  const { commits, steps } = await started();
  await last(steps).end({ flags: {} });
  expect(last(commits).commit).toMatchObject({
    expectedSeq: 2,
    entry: { seq: 3, event: { type: "xstate.done.actor.pinningFlags", output: { flags: {} } } },
  });
  await last(commits).answer();
  expect(steps.map(({ src }) => src)).toEqual(["resolveFeatureFlags", "createPaymentGroup"]);
});

test("a request is answered once, by the first state that answers it", async () => {
  const { start, commits, controls, steps, newActor, machine } = setup();
  controls.answerFor = ({ path }) => ({ status: 200, body: path });
  await start();
  expect(last(commits).commit.answer).toEqual({ status: 200, body: "PROCESSING.opening.pinningFlags.running" });
  await last(commits).answer();
  await last(steps).end({ flags: {} });
  expect(last(commits).commit.answer).toBeUndefined();

  // Nor by whoever takes over after the answer was stored.
  const state = { snapshot: begin(machine, INPUT), timers: {}, seq: 1, fence: 2, isReleased: false };
  newActor({ ...state, isAnswered: true }).tell({ kind: "start" });
  await idle();
  expect(last(commits).commit).toMatchObject({ fence: 2 });
  expect(last(commits).commit.answer).toBeUndefined();
});

test("a refused commit stops the actor: nothing acts, nothing is told, and it takes nothing more", async () => {
  const { actor, commits, steps, stops, transitions, counters } = await started();
  await last(steps).end({ flags: {} });
  await last(commits).answer(REFUSED);
  expect(stops.map(({ reason }) => reason.kind)).toEqual(["refused"]);
  expect(steps).toHaveLength(1);
  expect(transitions).toHaveLength(1);
  expect(counters.get("commits_refused")).toBe(1);
  expect(actor.tell(CANCEL)).toBe(false);
});

test("what a refused actor had not read yet is handed back", async () => {
  const { cancel, commits, steps, stops } = await started();
  await last(steps).end({ flags: {} });
  await cancel();
  await last(commits).answer(REFUSED);
  expect(last(stops).unread).toEqual([CANCEL]);
});

test("a node without its lease commits nothing and its actor stops", async () => {
  const { commits, controls, steps, stops } = await started();
  controls.mayWrite = false;
  await last(steps).end({ flags: {} });
  expect(commits).toHaveLength(1);
  expect(stops.map(({ reason }) => reason.kind)).toEqual(["refused"]);
});

test("the outcome of a step that a cancel overtook is dropped and counted; the undo goes on", async () => {
  const { cancel, commits, steps, counters, transitions } = await creatingGroups();
  const overtaken = last(steps);
  await cancel();
  // It ends while the cancel is being committed, so its outcome is in the mailbox already.
  await overtaken.end({ paymentGroups: [] });
  await last(commits).answer();
  expect(counters.get("stale_outcomes_dropped")).toBe(1);
  expect(last(steps).src).toBe("handleRollback");
  expect(last(transitions)).toBe("PROCESSING.undoing.paymentGroups.running");
});

test("an outcome of another incarnation is dropped and counted", async () => {
  const { actor, commits, counters } = await started();
  const error = { class: "TERMINAL", code: "STALE", message: "From an earlier try." };
  const event = { type: "xstate.error.actor.pinningFlags", actorId: "pinningFlags", error };
  actor.tell({ kind: "outcome", report: { stepId: "pinningFlags", incarnation: 0, event } });
  const ofAnother = { ...event, type: "xstate.error.actor.STEP_3" };
  actor.tell({ kind: "outcome", report: { stepId: "STEP_3", incarnation: 1, event: ofAnother } });
  await idle();
  expect(counters.get("stale_outcomes_dropped")).toBe(2);
  expect(commits).toHaveLength(1);
});

test("a timer that a cancel overtook is dropped and counted", async () => {
  const { clock, cancel, commits, steps, counters, transitions } = await creatingGroups();
  await last(steps).fail(new TransientError("UNAVAILABLE", "Not now."));
  await last(commits).answer();
  await cancel();
  clock.advance(1_000);
  await last(commits).answer();
  expect(counters.get("stale_timers_dropped")).toBe(1);
  expect(last(transitions)).toBe("PROCESSING.undoing.paymentGroups.running");
});

test("a timer that was never set, or is not due, is dropped", async () => {
  const { actor, commits, counters } = await backingOff();
  const written = commits.length;
  actor.tell({ kind: "timer", id: "xstate.after.nothing" });
  actor.tell({ kind: "timer", id: "xstate.after.backoff.checkout.PROCESSING.opening.pinningFlags.backingOff" });
  await idle();
  expect(counters.get("stale_timers_dropped")).toBe(2);
  expect(commits).toHaveLength(written);
});

test("a short backoff is waited for in memory, and the step starts again with the same input", async () => {
  const { clock, commits, steps, actor } = await backingOff();
  expect(last(commits).commit).toMatchObject({ wakeAt: clock.now() + 1_000 });
  expect(last(commits).commit).not.toHaveProperty("passivate");
  clock.advance(1_000);
  await idle();
  await last(commits).answer();
  expect(steps.map(({ input }) => input)).toEqual([steps[0]?.input, steps[0]?.input]);
  expect(actor.wakeAt).toBeNull();
});

test("a long backoff leaves memory with the same commit, which carries the checkpoint and its timer", async () => {
  const { clock, commits, stops } = await backingOff(60_000);
  expect(last(commits).commit).toMatchObject({
    passivate: true,
    wakeAt: clock.now() + 60_000,
    checkpoint: { snapshot: { status: "active" } },
  });
  expect(Object.values(last(commits).commit.checkpoint?.timers ?? {})).toEqual([clock.now() + 60_000]);
  expect(stops.map(({ reason }) => reason.kind)).toEqual(["passivated"]);
});

test("a guard that throws parks the checkout; its row is unchanged", async () => {
  const failure = new Error("a guard has a bug");
  const { commits, steps, stops } = await started({
    guard: () => {
      throw failure;
    },
  });
  await last(steps).fail(new TransientError("UNAVAILABLE", "Not now."));
  expect(commits).toHaveLength(1);
  const { reason } = last(stops);
  expect(reason.kind).toBe("parked");
  expect(String(reason.kind === "parked" ? reason.error : "")).toContain("a guard has a bug");
});

test("a transition that breaks an invariant is not written: the checkout is parked with its number, and nothing acts", async () => {
  const { actor, commits, steps, stops, transitions } = await started({ keepFlags: { undone: ["order"] } });
  await last(steps).end({ flags: {} });
  expect(commits).toHaveLength(1);
  const { reason } = last(stops);
  expect(reason).toMatchObject({ kind: "parked", error: { code: "INVARIANT_VIOLATED" } });
  expect(reason.kind === "parked" && String(reason.error)).toMatch(
    /^InvariantError: xstate\.done\.actor\.pinningFlags after entry 2 breaks I9: /,
  );
  expect([steps.length, transitions.length]).toEqual([1, 1]);
  expect(actor.tell(CANCEL)).toBe(false);
});

test("an event that changes nothing in this state is consumed and journaled, so that it waits nowhere for ever", async () => {
  const { actor, controls, commits } = await started();
  const event = { type: "payment_collection_requirement_success", data: { pspReference: "psr_1" } };
  controls.inbox = [{ source: "webhook", eventId: "evt_1", event }];
  await actor.pullInbox();
  await idle();
  const { commit } = last(commits);
  expect(commit.consumes).toEqual([expect.objectContaining({ source: "webhook", eventId: "evt_1" })]);
  expect(commit.entry).toMatchObject({ event, from: commit.entry.to });
});

test("what has arrived is applied before the payment's deadline is looked at, however late it was read", async () => {
  const { newActor, machine, controls, commits, clock } = setup();
  const timer = "xstate.after.paymentDeadline.checkout.PROCESSING.STEP_8.settling";
  controls.inbox = [CANCEL.event];
  newActor({
    snapshot: begin(machine, INPUT),
    timers: { [timer]: clock.now() },
    seq: 1,
    fence: 1,
    isReleased: false,
    isAnswered: false,
  }).resume(0);
  clock.advance(0);
  await idle();
  expect(last(commits).commit.entry.event).toMatchObject({ type: "CANCEL" });
  await last(commits).answer();
  expect(last(commits).commit.entry.event).toMatchObject({ type: timer });
});

test("halting aborts the step in flight and reports nothing, whatever it comes to", async () => {
  const { actor, commits, steps, stops, clock } = await started();
  actor.halt();
  actor.halt();
  expect(last(steps).signal.aborted).toBe(true);
  await last(steps).end({ flags: {} });
  clock.advance(3_600_000);
  await idle();
  expect([commits.length, stops.length]).toEqual([1, 0]);
});

test("a commit that is applied after the actor was halted starts nothing", async () => {
  const { actor, start, commits, steps, transitions } = setup();
  await start();
  actor.halt();
  await last(commits).answer();
  expect([steps, transitions]).toEqual([[], []]);
});

test("resuming starts the steps that the state says are running", async () => {
  const { machine, newActor, steps, clock } = setup();
  const first = begin(machine, INPUT);
  const { snapshot, timers } = decide(machine, first, {}, { type: "START", at: clock.now() });
  newActor({ snapshot, timers, seq: 2, fence: 5, isReleased: false, isAnswered: false }).resume(0);
  expect(steps.map(({ src }) => src)).toEqual(["resolveFeatureFlags"]);
});

test("an actor that is woken and finds nothing to do gives its checkout up", async () => {
  const { machine, newActor, stops, commits } = setup();
  newActor({ snapshot: begin(machine, INPUT), timers: {}, seq: 1, fence: 1, isReleased: false, isAnswered: false }).resume(1);
  await idle();
  expect(stops.map(({ reason }) => reason.kind)).toEqual(["idle"]);
  expect(commits).toEqual([]);
});

test("an actor whose timer is near stays for it", async () => {
  const { machine, newActor, stops, clock } = setup();
  const timers = { "xstate.after.nothing": clock.now() + 4_000 };
  newActor({ snapshot: begin(machine, INPUT), timers, seq: 1, fence: 1, isReleased: false, isAnswered: false }).resume(0);
  await idle();
  expect(stops).toEqual([]);
});
