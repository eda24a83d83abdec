/** One actor over hand-driven ports: a commit is applied, and a step ends, when the test says so. */
import { fromPromise } from "xstate";
import { expect, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import { TransientError } from "../../machines/errors.ts";
import type { ActorName, Actors } from "../../machines/step-inputs.ts";
import type { Commit, CommitResult, InboxEvent } from "../../persistence/store.ts";
import { CheckoutActor, type ActorState, type Message, type StopReason } from "../../runtime/checkout-actor.ts";
import { Committer } from "../../runtime/committer.ts";
import { begin, decide } from "../../runtime/engine.ts";
import { Counters } from "../../runtime/telemetry.ts";
import { newContext } from "../support/checkout-context.ts";
import { countingIds, idle, ManualClock, SILENT } from "../support/ports.ts";

const { executionContextId, userId, cartId, cartVersion, policy } = newContext();
const INPUT = { executionContextId, userId, cartId, cartVersion, policy };
const REFUSED: CommitResult = { kind: "refused", seq: 9, fence: 2, owner: "node_2" };

interface RunningStep {
  readonly src: string;
  readonly input: unknown;
  readonly signal: AbortSignal;
  end(output: unknown): Promise<void>;
  fail(error: Error): Promise<void>;
}

interface PendingCommit {
  readonly commit: Commit;
  answer(result?: CommitResult): Promise<void>;
}

function setup(options: { readonly guard?: () => boolean } = {}) {
  const clock = new ManualClock();
  const counters = new Counters();
  const steps: RunningStep[] = [];
  const commits: PendingCommit[] = [];
  const stops: { reason: StopReason; unread: readonly Message[] }[] = [];
  const transitions: string[] = [];
  const controls = { mayWrite: true, inbox: [] as InboxEvent[] };
  const commit = ([one]: readonly Commit[]) =>
    new Promise<readonly CommitResult[]>((resolve) => {
      if (one === undefined) throw new Error("A batch has a commit.");
      commits.push({ commit: one, answer: (result = { kind: "applied", signals: 0 }) => (resolve([result]), idle()) });
    });
  const machine = checkoutMachine.provide({
    actors: {
      resolveFeatureFlags: handDriven("resolveFeatureFlags", steps),
      createPaymentGroup: handDriven("createPaymentGroup", steps),
      handleRollback: handDriven("handleRollback", steps),
    },
    ...(options.guard === undefined ? {} : { guards: { mayRetryStep: options.guard } }),
  });
  const store = { commit, isLastCommit: async () => false };
  const newActor = (state: ActorState) =>
    new CheckoutActor(
      INPUT.executionContextId,
      {
        machine,
        committer: new Committer({ store, clock, mayWrite: () => controls.mayWrite }),
        clock,
        ids: countingIds(),
        log: SILENT,
        counters,
        answerFor: () => null,
        loadInbox: async () => controls.inbox,
        onTransition: ({ entry }) => transitions.push(entry.to),
        onStop: (_actor, reason, unread) => stops.push({ reason, unread }),
      },
      state,
    );
  const actor = newActor({ snapshot: begin(machine, INPUT), timers: {}, seq: 1, fence: 1, isReleased: false });
  const command = async (type: string) => (actor.tell({ kind: "command", event: { type } }), idle());
  return { machine, newActor, clock, counters, steps, commits, stops, transitions, controls, actor, command };
}

function handDriven<Name extends ActorName>(src: Name, steps: RunningStep[]) {
  return fromPromise<Actors[Name]["output"], Actors[Name]["input"]>(
    ({ input, signal }) =>
      new Promise((resolve, reject) => {
        steps.push({
          src,
          input,
          signal,
          end: (output) => (resolve(output as Actors[Name]["output"]), idle()),
          fail: (error) => (reject(error), idle()),
        });
      }),
  );
}

function last<One>(list: readonly One[]): One {
  const found = list.at(-1);
  if (found === undefined) throw new Error("There is none yet.");
  return found;
}

/** With the first step, the flags, in flight. */
async function started(options: Parameters<typeof setup>[0] = {}) {
  const bundle = setup(options);
  await bundle.command("START");
  await last(bundle.commits).answer();
  return bundle;
}

/** With the second step in flight: from here on a cancel has something to undo. */
async function creatingGroups() {
  const bundle = await started();
  await last(bundle.steps).end({ flags: {} });
  await last(bundle.commits).answer();
  return bundle;
}

/** With the first step failed once, backing off. */
async function backingOff(retryAfterMs = 1_000) {
  const bundle = await started();
  await last(bundle.steps).fail(new TransientError("UNAVAILABLE", "Not now.", { retryAfterMs }));
  await last(bundle.commits).answer();
  return bundle;
}

test("nothing is started or told before its transition is committed", async () => {
  const { command, commits, steps, transitions } = setup();
  await command("START");
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

test("a refused commit stops the actor: nothing acts, nothing is told, and it takes nothing more", async () => {
  const { actor, commits, steps, stops, transitions, counters } = await started();
  await last(steps).end({ flags: {} });
  await last(commits).answer(REFUSED);
  expect(stops.map(({ reason }) => reason.kind)).toEqual(["refused"]);
  expect(steps).toHaveLength(1);
  expect(transitions).toHaveLength(1);
  expect(counters.get("commits_refused")).toBe(1);
  expect(actor.tell({ kind: "command", event: { type: "CANCEL" } })).toBe(false);
});

test("what a refused actor had not read yet is handed back", async () => {
  const { command, commits, steps, stops } = await started();
  await last(steps).end({ flags: {} });
  await command("CANCEL");
  await last(commits).answer(REFUSED);
  expect(last(stops).unread).toEqual([{ kind: "command", event: { type: "CANCEL" } }]);
});

test("a node without its lease commits nothing and its actor stops", async () => {
  const { commits, controls, steps, stops } = await started();
  controls.mayWrite = false;
  await last(steps).end({ flags: {} });
  expect(commits).toHaveLength(1);
  expect(stops.map(({ reason }) => reason.kind)).toEqual(["refused"]);
});

test("the outcome of a step that a cancel overtook is dropped and counted; the undo goes on", async () => {
  const { command, commits, steps, counters, actor } = await creatingGroups();
  const overtaken = last(steps);
  await command("CANCEL");
  // It ends while the cancel is being committed, so its outcome is in the mailbox already.
  await overtaken.end({ paymentGroups: [] });
  await last(commits).answer();
  expect(counters.get("stale_outcomes_dropped")).toBe(1);
  expect(last(steps).src).toBe("handleRollback");
  expect(actor.view.path).toBe("PROCESSING.undoing.paymentGroups.running");
});

test("an outcome of another incarnation is dropped and counted", async () => {
  const { actor, commits, counters } = await started();
  const error = { class: "TERMINAL", code: "STALE", message: "From an earlier try." };
  const event = { type: "xstate.error.actor.pinningFlags", actorId: "pinningFlags", error };
  actor.tell({ kind: "outcome", stepId: "pinningFlags", incarnation: 0, event });
  actor.tell({ kind: "outcome", stepId: "STEP_3", incarnation: 1, event: { ...event, type: "xstate.error.actor.STEP_3" } });
  await idle();
  expect(counters.get("stale_outcomes_dropped")).toBe(2);
  expect(commits).toHaveLength(1);
});

test("a timer that a cancel overtook is dropped and counted", async () => {
  const { clock, command, commits, steps, counters, actor } = await creatingGroups();
  await last(steps).fail(new TransientError("UNAVAILABLE", "Not now."));
  await last(commits).answer();
  await command("CANCEL");
  clock.advance(1_000);
  await last(commits).answer();
  expect(counters.get("stale_timers_dropped")).toBe(1);
  expect(actor.view.path).toBe("PROCESSING.undoing.paymentGroups.running");
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

test("a payment event that the state doesn't take is kept, neither consumed nor lost", async () => {
  const { actor, controls, commits, steps } = await started();
  const event = { type: "payment_collection_requirement_success", data: { pspReference: "psr_1" } };
  controls.inbox = [{ source: "webhook", eventId: "evt_1", event }];
  await actor.pullInbox();
  await last(steps).end({ flags: {} });
  expect(commits).toHaveLength(2);
  expect(last(commits).commit).not.toHaveProperty("consumes");
  // Kept means that something waits here: a long backoff doesn't leave memory with it.
  await last(commits).answer();
  await last(steps).fail(new TransientError("UNAVAILABLE", "Not now.", { retryAfterMs: 60_000 }));
  expect(last(commits).commit).not.toHaveProperty("passivate");
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
  const { actor, command, commits, steps, transitions } = setup();
  await command("START");
  actor.halt();
  await last(commits).answer();
  expect([steps, transitions]).toEqual([[], []]);
});

test("resuming starts the steps that the state says are running", async () => {
  const { machine, newActor, steps, clock } = setup();
  const first = begin(machine, INPUT);
  const { snapshot, timers } = decide(machine, first, {}, { type: "START", at: clock.now() });
  newActor({ snapshot, timers, seq: 2, fence: 5, isReleased: false }).resume(0);
  expect(steps.map(({ src }) => src)).toEqual(["resolveFeatureFlags"]);
});
