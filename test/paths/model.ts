/** The machine as a graph: each state's key, what it waits for, and where its events lead. */
import { getNextTransitions, type AnyMachineSnapshot, type AnyStateMachine } from "xstate";
import { checkoutMachine } from "../../machines/checkout.ts";
import type { CheckoutContext } from "../../machines/context.ts";
import { pathOf } from "../../machines/view.ts";
import { adjacencyOf } from "../../scripts/reachable/adjacency.ts";
import { isUndoing, type Alphabet } from "../../scripts/reachable/alphabet.ts";
import { stateKey } from "../../scripts/reachable/keys.ts";

/** States by key; of each, the events that it takes by theirs, and where they lead. */
export type Graph = ReadonlyMap<string, GraphState>;

export interface GraphState {
  readonly path: string;
  /** What runs in it, and what will ring: without either it would stand still. */
  readonly steps: readonly string[];
  readonly timers: readonly string[];
  readonly isFinished: boolean;
  readonly isUndoing: boolean;
  /** Knows its payment request and takes no news of it: what was paid would be lost. */
  readonly isDeaf: boolean;
  readonly edges: ReadonlyMap<string, string>;
}

/** The whole graph. The first state is the initial one. */
export function graphOf(alphabet: Alphabet, machine: AnyStateMachine = checkoutMachine): Graph {
  return new Map(
    [...adjacencyOf(alphabet, machine)].map(([key, { snapshot, edges }]) => [
      key,
      {
        path: pathOf(snapshot.value),
        steps: snapshot._nodes.flatMap((node) => node.invoke.map(({ id }) => id)),
        timers: snapshot._nodes.flatMap((node) => node.after.map(({ eventType }) => eventType)),
        isFinished: snapshot.hasTag("finished"),
        isUndoing: isUndoing(snapshot),
        isDeaf: isDeaf(snapshot),
        edges: new Map([...edges].map(([name, { next }]) => [name, stateKey(next)])),
      },
    ]),
  );
}

function isDeaf(snapshot: AnyMachineSnapshot): boolean {
  const { payment } = snapshot.context as CheckoutContext;
  const takes = getNextTransitions(snapshot).map(({ eventType }) => eventType);
  return payment.pcrId !== null && !takes.includes("payment_collection_requirement_success");
}
