/** The edge to XState: what is refused, and what a single step is given and reports. */
import { createMachine, fromPromise } from "xstate";
import { expect, test } from "vitest";
import { checkoutMachine, type CheckoutMachine } from "../../machines/checkout.ts";
import { InvariantError, TransientError } from "../../machines/errors.ts";
import {
  begin,
  decide,
  hashContext,
  hydrate,
  isDeadline,
  outcomeEvent,
  persistedSteps,
  dehydrate,
  runStep,
  toPlainJson,
  type StepOutcome,
} from "../../runtime/engine.ts";
import { MachineRun } from "../machines/machine-run.ts";
import { idle } from "../support/ports.ts";
import { INPUT } from "./actor-desk.ts";

const START = { type: "START", at: 1_000 };

function withStep(run: (args: { readonly input: unknown; readonly signal: AbortSignal }) => Promise<unknown>): CheckoutMachine {
  return checkoutMachine.provide({ actors: { resolveFeatureFlags: fromPromise(run as never) } });
}

const step = { id: "pinningFlags", src: "resolveFeatureFlags", input: { key: "ctx_1:resolveFeatureFlags" } };

async function outcomesOf(run: Parameters<typeof withStep>[0]): Promise<readonly StepOutcome[]> {
  const outcomes: StepOutcome[] = [];
  runStep(withStep(run), step, (outcome) => outcomes.push(outcome));
  await idle();
  return outcomes;
}

test("a step is given its input, and reports once what it gives back, as plain JSON", async () => {
  const seen: unknown[] = [];
  const outcomes = await outcomesOf(async ({ input }) => (seen.push(input), { at: new Date(0), none: undefined }));
  expect(seen).toEqual([step.input]);
  expect(outcomes).toEqual([{ kind: "done", output: { at: "1970-01-01T00:00:00.000Z" } }]);
  expect(await outcomesOf(async () => undefined)).toEqual([{ kind: "done", output: null }]);
});

test("a step's failure is classified, and keeps what was thrown for the log", async () => {
  const error = new TransientError("DOWN", "Not now.", { retryAfterMs: 5 });
  const [outcome] = await outcomesOf(() => Promise.reject(error));
  expect(outcome).toMatchObject({ kind: "failed", error: { class: "TRANSIENT", code: "DOWN", retryAfterMs: 5 } });
  expect(outcome?.kind === "failed" && outcome.cause).toBe(error);
  const corrupt = new InvariantError("The row is corrupt.");
  expect(await outcomesOf(() => Promise.reject(corrupt))).toEqual([{ kind: "broken", error: corrupt }]);
});

test("a step that was stopped reports nothing", async () => {
  const outcomes: StepOutcome[] = [];
  const stop = runStep(
    withStep(async () => "done"),
    step,
    (outcome) => outcomes.push(outcome),
  );
  stop();
  await idle();
  expect(outcomes).toEqual([]);
});

test("a step that nobody implements is refused by its name", () => {
  expect(() => runStep(checkoutMachine, { ...step, src: "shipOrder" }, () => {})).toThrow(InvariantError);
  expect(() => runStep(checkoutMachine, { ...step, src: "shipOrder" }, () => {})).toThrow("shipOrder");
});

test("how a step ended becomes the machine's own event", () => {
  expect(outcomeEvent("STEP_1", { kind: "done", output: 1 })).toEqual({
    type: "xstate.done.actor.STEP_1",
    actorId: "STEP_1",
    output: 1,
  });
  const error = { class: "TERMINAL", code: "NO", message: "Never." } as const;
  expect(outcomeEvent("STEP_1", { kind: "failed", error })).toEqual({
    type: "xstate.error.actor.STEP_1",
    actorId: "STEP_1",
    error,
  });
});

test("an action that acts by itself is refused by its name", () => {
  const acting = createMachine({ initial: "a", states: { a: { on: { START: { actions: function callOut() {} } } } } });
  const machine = acting as unknown as CheckoutMachine;
  expect(() => decide(machine, begin(machine, INPUT), {}, START)).toThrow("the action callOut, which can't be made durable");
});

test("a machine that goes into error is refused, not followed", () => {
  const run = MachineRun.at("STEP_1");
  const stray = { type: "xstate.error.actor.nobody", at: 1, error: { message: "stray" } };
  expect(() => decide(checkoutMachine, run.snapshot, {}, stray)).toThrow(InvariantError);
});

test("leaving a state stops its step, and a timer that rang is gone", () => {
  const run = MachineRun.at("STEP_1");
  const { stops, starts } = decide(checkoutMachine, run.snapshot, { "xstate.after.x": 5 }, { type: "CANCEL", at: 1 });
  expect(stops).toEqual(["STEP_1"]);
  expect(starts.map(({ id, src }) => [id, src])).toEqual([["undo:preferences", "handleRollback"]]);
  expect(decide(checkoutMachine, run.snapshot, { "xstate.after.x": 5 }, { type: "xstate.after.x", at: 9 }).timers).toEqual({});
});

test("a decision leaves the timers that it was given as they were", () => {
  const timers = { "xstate.after.x": 5 };
  decide(checkoutMachine, begin(checkoutMachine, INPUT), timers, { type: "xstate.after.x", at: 9 });
  expect(timers).toEqual({ "xstate.after.x": 5 });
});

test("a stored snapshot is brought back with the steps that it runs, and is itself left alone", () => {
  const { snapshot } = MachineRun.at("STEP_3");
  const stored = dehydrate(checkoutMachine, snapshot);
  const copy = structuredClone(stored);
  expect(hashContext(hydrate(checkoutMachine, stored))).toBe(hashContext(snapshot));
  expect(stored).toEqual(copy);
  expect(persistedSteps(stored)).toMatchObject([{ id: "STEP_3", src: "createCheckoutOrder", input: { key: "ctx_1:STEP_3" } }]);
});

test("a stored snapshot in error, or without the step that its state asks for, is refused", () => {
  const stored = dehydrate(checkoutMachine, MachineRun.at("STEP_3").snapshot) as object;
  expect(() => hydrate(checkoutMachine, { ...stored, status: "error", error: "broken" })).toThrow(InvariantError);
  expect(() => hydrate(checkoutMachine, { ...stored, children: {} })).toThrow("runs [], its state asks for [STEP_3]");
});

test("a hash of the context is short, and says whether two are the same", () => {
  const one = hashContext(MachineRun.at("STEP_1").snapshot);
  expect(one).toMatch(/^[0-9a-f]{16}$/);
  expect(hashContext(MachineRun.at("STEP_1").snapshot)).toBe(one);
  expect(hashContext(MachineRun.at("STEP_2").snapshot)).not.toBe(one);
});

test("only the wait for a payment has a deadline", () => {
  expect(isDeadline("xstate.after.paymentDeadline.checkout.PROCESSING.STEP_8.settling")).toBe(true);
  expect(isDeadline("xstate.after.paymentPoll.checkout.PROCESSING.STEP_8.settling")).toBe(false);
  expect(toPlainJson(undefined)).toBeNull();
});
