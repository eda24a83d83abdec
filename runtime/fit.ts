/** Whether what another version of the machine stored is something that this one can go on from. */
import type { CheckoutMachine } from "../machines/checkout.ts";
import { InvariantError } from "../machines/errors.ts";
import type { Checkpoint } from "../persistence/store.ts";
import { contextMisfit } from "./context-schema.ts";
import { awaitedBy, hydrate, persistedSteps, runningSteps, statePath, type CheckoutSnapshot, type Timers } from "./engine.ts";

/** `hydrate`, and everything that XState takes in silence. InvariantError: nobody may go on from it. */
export function hydrateFitting(machine: CheckoutMachine, { snapshot: persisted, timers }: Checkpoint): CheckoutSnapshot {
  // First, because hydrating drops the steps whose implementation is unknown.
  for (const { id, src } of persistedSteps(persisted)) {
    if (!(src in machine.implementations.actors)) throw new InvariantError(`${id} runs ${src}, which has no implementation.`);
  }
  const snapshot = hydrate(machine, persisted);
  assertFits(snapshot, timers);
  return snapshot;
}

/** InvariantError where the context is not of this version's shape, or steps and timers are not those of the state. */
export function assertFits(snapshot: CheckoutSnapshot, timers: Timers): void {
  const path = statePath(snapshot);
  const misfit = contextMisfit(snapshot.context);
  if (misfit !== null) throw new InvariantError(`The context of ${path} is not of this version's shape: ${misfit}.`);
  const awaited = awaitedBy(snapshot);
  for (const { id, src } of runningSteps(snapshot)) {
    const asked = awaited.steps.find((step) => step.id === id)?.src;
    if (asked !== src) throw new InvariantError(`${id} runs ${src}, its state asks for ${asked ?? "nothing"}.`);
  }
  const stray = Object.keys(timers).find((id) => !awaited.timers.includes(id));
  if (stray !== undefined) throw new InvariantError(`${path} knows no timer ${stray}.`);
  const unset = awaited.timers.find((id) => !(id in timers));
  // It is set when the state is entered, and never again: the checkout would wait for it for ever.
  if (unset !== undefined) throw new InvariantError(`${path} waits for the timer ${unset}, which is not set.`);
}
