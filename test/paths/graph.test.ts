/** The model's graph itself, before anything runs on it: nothing waits for what never comes. */
import type { AnyStateMachine } from "xstate";
import { expect, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import type { Alphabet } from "../../scripts/reachable/alphabet.ts";
import { configAt, mutant } from "../support/machine-mutants.ts";
import { strandedStates } from "./liveness.ts";
import { graphOf } from "./model.ts";

const ALPHABET: Alphabet = { retries: 1, hasWrongAmounts: false };

function strandedWith(change: Parameters<typeof mutant>[1]): readonly string[] {
  const machine = mutant(checkoutMachine, change).provide(checkoutMachine.implementations as never);
  return strandedStates(graphOf(ALPHABET, machine as AnyStateMachine));
}

test("every state has a running step, or a timer, or rests in an end; and from each an end can be reached", () => {
  expect(strandedStates(graphOf(ALPHABET))).toEqual([]);
});

test("a state that waits for nothing is found", () => {
  const found = strandedWith((root) => delete configAt(root, ["PROCESSING", "STEP_3", "backingOff"]).after);
  expect(found).not.toEqual([]);
  expect(found.every((line) => line.includes("PROCESSING.STEP_3.backingOff waits for nothing"))).toBe(true);
});

test("a wait for a payment with neither its deadline nor its poll is found", () => {
  const settling = ["PROCESSING", "STEP_8", "settling"];
  const found = strandedWith((root) => {
    delete configAt(root, settling).after;
    delete configAt(root, [...settling, "awaitingPayment"]).after;
  });
  expect(found.some((line) => line.includes("settling.awaitingPayment waits for nothing"))).toBe(true);
});

test("a circle without a way out is found, although each of its states has a step or a timer", () => {
  const found = strandedWith((root) => {
    const running = configAt(root, ["PROCESSING", "undoing", "deferred", "running"]);
    if (running.invoke !== undefined) running.invoke.onDone = { target: "#checkout.PROCESSING.undoing.deferred", reenter: true };
    configAt(root, ["PROCESSING", "undoing", "deferred", "backingOff"]).on = {};
  });
  expect(found.some((line) => line.includes("undoing.deferred") && line.includes("leads to no end"))).toBe(true);
});
