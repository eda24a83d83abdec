/** The machine walked from its first state, by @xstate/graph: what stands for each key, and where its events lead. */
import { getAdjacencyMap } from "@xstate/graph";
import type { AnyEventObject, AnyMachineSnapshot, AnyStateMachine } from "xstate";
import { eventsOf, modelInput, type Alphabet, type ModelEvent } from "./alphabet.ts";
import { eventKey, stateKey } from "./keys.ts";

/** Far above any graph that a test could walk in its time. */
const STATES_MAX = 1_000_000;

/** By a state's key, the initial one first, in the order in which they were found. */
export type Adjacency = ReadonlyMap<string, Reached>;

export interface Reached {
  /** The first snapshot that was found under the key: it stands for all others. */
  readonly snapshot: AnyMachineSnapshot;
  /** By an event's key. */
  readonly edges: ReadonlyMap<string, Edge>;
}

export interface Edge {
  readonly event: ModelEvent;
  /** Where it leads from that very snapshot. */
  readonly next: AnyMachineSnapshot;
}

/** Throws when there are more than STATES_MAX states. */
export function adjacencyOf(alphabet: Alphabet, machine: AnyStateMachine): Adjacency {
  const adjacency = getAdjacencyMap(machine, {
    input: modelInput(alphabet.retries),
    events: eventsOf(alphabet) as (snapshot: AnyMachineSnapshot) => AnyEventObject[],
    serializeState: stateKey,
    serializeEvent: eventKey,
    limit: STATES_MAX,
  });
  return new Map(
    Object.entries(adjacency).map(([key, { state, transitions }]) => {
      const taken = Object.entries(transitions as Record<string, { event: ModelEvent; state: AnyMachineSnapshot }>);
      const edges = new Map(taken.map(([name, { event, state: next }]) => [name, { event, next }]));
      return [key, { snapshot: state as AnyMachineSnapshot, edges }];
    }),
  );
}
