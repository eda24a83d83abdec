/** What XState would take in silence, and a checkout would then wait for, for ever. */
import { beforeAll, expect, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import { InvariantError } from "../../machines/errors.ts";
import type { Checkpoint } from "../../persistence/store.ts";
import { begin, decide, dehydrate, toPlainJson, type StampedEvent } from "../../runtime/engine.ts";
import { hydrateFitting } from "../../runtime/fit.ts";
import { newContext } from "../support/checkout-context.ts";

const failed: StampedEvent = {
  type: "xstate.error.actor.pinningFlags",
  error: { class: "TRANSIENT", code: "UNAVAILABLE", message: "Not now." },
  at: 1,
};

let running: Checkpoint;
let waiting: Checkpoint;
beforeAll(() => {
  const { executionContextId, userId, cartId, cartVersion, policy } = newContext();
  const first = begin(checkoutMachine, { executionContextId, userId, cartId, cartVersion, policy });
  const started = decide(checkoutMachine, first, {}, { type: "START", at: 0 });
  const backingOff = decide(checkoutMachine, started.snapshot, started.timers, failed);
  running = { snapshot: dehydrate(checkoutMachine, started.snapshot), timers: started.timers };
  waiting = { snapshot: dehydrate(checkoutMachine, backingOff.snapshot), timers: backingOff.timers };
});

function replaced({ snapshot, timers }: Checkpoint, from: string, to: string): Checkpoint {
  const text = JSON.stringify(snapshot);
  expect(text).toContain(from);
  return { snapshot: JSON.parse(text.replace(from, to)) as unknown, timers };
}

test("takes up what this version stored, with its running step or its timer", () => {
  for (const { snapshot, timers } of [running, waiting]) {
    expect(dehydrate(checkoutMachine, hydrateFitting(checkoutMachine, { snapshot, timers }))).toEqual(toPlainJson(snapshot));
  }
});

test.each([
  [
    "a state that it doesn't have",
    () => replaced(running, '"pinningFlags":"running"', '"pinning":"running"'),
    "does not fit this machine",
  ],
  [
    "a step that its state doesn't ask for",
    () => replaced(running, '"children":{"pinningFlags"', '"children":{"pinning"'),
    "runs [pinning]",
  ],
  [
    "an actor without an implementation",
    () => replaced(running, '"resolveFeatureFlags"', '"resolveFlags"'),
    "resolveFlags, which has no implementation",
  ],
  [
    "another actor than the state asks for",
    () => replaced(running, '"resolveFeatureFlags"', '"acquireLocks"'),
    "asks for resolveFeatureFlags",
  ],
  ["a context without a field", () => replaced(running, '"deferred":[]', '"late":[]'), "not of this version's shape: deferred"],
  ["a field of another type", () => replaced(running, '"round":1', '"round":"1"'), "payment.round"],
  ["a timer of another state", () => ({ ...running, timers: waiting.timers }), "knows no timer xstate.after.backoff"],
  ["a wait without its timer", () => ({ ...waiting, timers: {} }), "waits for the timer xstate.after.backoff"],
] as const)("refuses %s", (_, checkpoint, why) => {
  const refusal = () => hydrateFitting(checkoutMachine, checkpoint());
  expect(refusal).toThrow(InvariantError);
  expect(refusal).toThrow(why);
});

test("lets a field pass that a later version added: nothing here reads it", () => {
  expect(() => hydrateFitting(checkoutMachine, replaced(running, '"deferred":[]', '"deferred":[],"added":1'))).not.toThrow();
});
