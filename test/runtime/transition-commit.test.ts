/** What one transition writes, field by field: what did not change is left out. */
import { expect, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import { InvariantError, type StepFailure } from "../../machines/errors.ts";
import { owedFor } from "../../machines/payment.ts";
import { begin, decide, dehydrate, hashContext, type StampedEvent } from "../../runtime/engine.ts";
import { commitOf, earliest, type ActorState, type Transition } from "../../runtime/transition-commit.ts";
import { DOWN, DUE, MachineRun, OUTPUTS, REFUSED } from "../machines/machine-run.ts";
import { captureOf, contextWith, refundOf, success } from "../support/checkout-context.ts";
import { INPUT } from "./actor-desk.ts";

const AT = 1_000;

function stateOf({ snapshot, timers }: Pick<ActorState, "snapshot" | "timers">, overrides: Partial<ActorState> = {}): ActorState {
  return { snapshot, timers, seq: 7, fence: 3, isReleased: false, isAnswered: false, ...overrides };
}

function commitAfter(before: ActorState, fields: { readonly type: string }, overrides: Partial<Transition> = {}) {
  const event: StampedEvent = { at: AT, jitter: 0, ...fields };
  const decision = decide(checkoutMachine, before.snapshot, before.timers, event);
  const transition = {
    id: "ctx_1",
    commitId: "cmt_1",
    before,
    decision,
    event,
    answer: null,
    consumes: [],
    isPassivating: false,
  };
  return { decision, commit: commitOf(checkoutMachine, { ...transition, ...overrides }) };
}

const initial: ActorState = {
  snapshot: begin(checkoutMachine, INPUT),
  timers: {},
  seq: 1,
  fence: 1,
  isReleased: false,
  isAnswered: false,
};
const START = { type: "START" };
const done = (id: string, output: unknown) => ({ type: `xstate.done.actor.${id}`, output });
const failed = (id: string, error: StepFailure) => ({ type: `xstate.error.actor.${id}`, error });
const outputOf = (id: string) => OUTPUTS.find(([step]) => step === id)?.[1];

test("a transition that starts a step writes its entry and what it tells, and nothing more", () => {
  const { decision, commit } = commitAfter(initial, START);
  expect(commit).toEqual({
    id: "ctx_1",
    expectedSeq: 1,
    fence: 1,
    commitId: "cmt_1",
    state: "PROCESSING",
    status: "PROCESSING",
    entry: {
      seq: 2,
      at: AT,
      event: { at: AT, jitter: 0, type: "START" },
      from: "INITIALIZED",
      to: "PROCESSING.opening.pinningFlags.running",
      contextHash: hashContext(decision.snapshot),
    },
    events: decision.emitted,
  });
});

test("what passivates leaves a checkpoint, and so does every fiftieth entry", () => {
  const { decision, commit } = commitAfter(initial, START, { isPassivating: true });
  const checkpoint = { snapshot: dehydrate(checkoutMachine, decision.snapshot), timers: decision.timers };
  expect(commit).toMatchObject({ passivate: true, checkpoint });
  expect(commitAfter({ ...initial, seq: 49 }, START).commit.checkpoint).toEqual(checkpoint);
  expect(commitAfter({ ...initial, seq: 48 }, START).commit).not.toHaveProperty("checkpoint");
  expect(commitAfter({ ...initial, seq: 50 }, START).commit).not.toHaveProperty("checkpoint");
});

test("the time to wake is written when it changes, and when there is none any more", () => {
  const started = commitAfter(initial, START);
  const running: ActorState = { ...initial, snapshot: started.decision.snapshot, seq: 2 };
  const backingOff = commitAfter(running, failed("pinningFlags", DOWN));
  expect(backingOff.commit.wakeAt).toBe(AT + 100);
  const fiftieth = commitAfter({ ...running, seq: 49 }, failed("pinningFlags", DOWN));
  expect(fiftieth.commit.checkpoint?.timers).toEqual(fiftieth.decision.timers);
  expect(Object.values(fiftieth.decision.timers)).toEqual([AT + 100]);
  const waiting: ActorState = { ...running, snapshot: backingOff.decision.snapshot, timers: backingOff.decision.timers, seq: 3 };
  const [timer] = Object.keys(waiting.timers);
  expect(commitAfter(waiting, { type: timer ?? "" }).commit.wakeAt).toBeNull();
  expect(commitAfter(waiting, { type: "nothing" }).commit).not.toHaveProperty("wakeAt");
  expect(earliest({})).toBeNull();
  expect(earliest({ late: 9, early: 4, middle: 6 })).toBe(4);
});

test("an answer and what it consumed are written with it", () => {
  const answer = { status: 201, body: "{}" } as never;
  const consumes = [{ source: "api", eventId: "evt_1" }];
  expect(commitAfter(initial, START, { answer, consumes }).commit).toMatchObject({ answer, consumes });
});

test("the payment request's id is written once, when it is learnt", () => {
  const { commit, decision } = commitAfter(stateOf(MachineRun.at("STEP_5")), done("STEP_5", outputOf("STEP_5")));
  expect(commit.pcrId).toBe("pcr_1");
  expect(commitAfter(stateOf(decision), { type: "nothing" }).commit).not.toHaveProperty("pcrId");
  const { commit: earlier } = commitAfter(stateOf(MachineRun.at("STEP_4")), done("STEP_4", outputOf("STEP_4")));
  expect(earlier).not.toHaveProperty("pcrId");
});

test("a confirmation ends the checkout, frees its cart for good and moves its money, once", () => {
  const paid = captureOf("psr_1", DUE);
  const confirming = MachineRun.at("awaitingPayment").send(success("psr_1", { amount: DUE }));
  const { commit, decision } = commitAfter(stateOf(confirming.done({ captures: [paid] })), done("STEP_10", {}));
  expect(commit).toMatchObject({ state: "COMPLETED", status: "CONFIRMED", finished: true, release: { completed: true } });
  expect(commit.transfers).toEqual([{ debit: "SUSPENSE", credit: "ORDER", ...paid }]);
  const later = commitAfter(stateOf(decision, { isReleased: true }), { type: "nothing" });
  for (const field of ["finished", "release", "transfers"]) expect(later.commit).not.toHaveProperty(field);
});

test("a rollback frees the cart without completing it", () => {
  const { commit } = commitAfter(stateOf(MachineRun.at("pinningFlags")), failed("pinningFlags", REFUSED));
  expect(commit).toMatchObject({ state: "ROLLEDBACK", finished: true, release: { completed: false } });
});

test("the cart is free once only money is left to give back, and not while anything else is put aside", () => {
  const onlyMoney = undoneBut("paymentRequest");
  expect(onlyMoney.path).toBe("PROCESSING.undoing.deferred.running");
  const again = failed("undo:deferred", DOWN);
  expect(commitAfter(stateOf(onlyMoney), again).commit.release).toEqual({ completed: false });
  expect(commitAfter(stateOf(onlyMoney, { isReleased: true }), again).commit).not.toHaveProperty("release");
  expect(commitAfter(stateOf(undoneBut("paymentRequest", "invoice")), again).commit).not.toHaveProperty("release");
  const onItsWay = MachineRun.at("awaitingPayment").send({ type: "CANCEL" });
  while (onItsWay.running.id !== "undo:order") undo(onItsWay, ["paymentRequest"]);
  expect(commitAfter(stateOf(onItsWay), failed("undo:order", DOWN)).commit).not.toHaveProperty("release");
});

function undoneBut(...names: readonly string[]): MachineRun {
  const run = MachineRun.at("awaitingPayment").send({ type: "CANCEL" });
  while (run.running.id !== "undo:deferred") undo(run, names);
  return run;
}

function undo(run: MachineRun, failing: readonly string[]): void {
  if (failing.some((name) => run.running.id === `undo:${name}`)) run.fail(REFUSED);
  else run.done({ pcrId: null, refunds: [], conflicts: [] });
}

test("a transition that breaks an invariant is refused, with the event, the entry before it and the invariant's number", () => {
  const owed = owedFor(captureOf("psr_1"), "LATE");
  const snapshot = checkoutMachine.resolveState({
    value: { ROLLEDBACK: "atRest" },
    context: contextWith({ refunds: [refundOf(owed)] }),
  });
  const before = stateOf({ snapshot, timers: {} });
  const { decision } = commitAfter(before, { type: "nothing" });
  const forgotten = checkoutMachine.resolveState({ value: { ROLLEDBACK: "atRest" }, context: contextWith() });
  const refused = () => commitAfter(before, { type: "nothing" }, { decision: { ...decision, snapshot: forgotten } });
  expect(refused).toThrow(InvariantError);
  expect(refused).toThrow(/^nothing after entry 7 breaks I5: .*; I6: /);
});
