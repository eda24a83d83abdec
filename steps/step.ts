/** What a documented step is: its execution, and its compensation by the same key. */
import type { ActorName, Actors, RollbackInput, RollbackOutput } from "../machines/step-inputs.ts";
import type { Clock } from "./ports.ts";
import type { CheckoutRequests, CheckoutServices, UndoReport } from "./services.ts";

export interface StepDeps {
  readonly services: CheckoutServices;
  readonly requests: CheckoutRequests;
  readonly clock: Clock;
}

/** `signal` is aborted when the checkout no longer waits; the effect then counts as perhaps done. */
export type Execute<Name extends ActorName> = (
  input: Actors[Name]["input"],
  signal: AbortSignal,
) => Promise<Actors[Name]["output"]>;
export type Compensate = (input: RollbackInput & { readonly signal?: AbortSignal }) => Promise<RollbackOutput>;

export interface Step<Name extends ActorName> {
  readonly execute: Execute<Name>;
  readonly compensate: Compensate;
}

/** Most undos only report conflicts; money comes back from the payment request's alone. */
export async function undone(report: Promise<UndoReport>): Promise<RollbackOutput> {
  const { conflicts } = await report;
  return { pcrId: null, refunds: [], conflicts };
}
