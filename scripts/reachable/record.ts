/** What is kept of a machine version when it is released: its reachable states as they would be stored, and their edges. */
import type { CheckoutMachine } from "../../machines/checkout.ts";
import {
  decide,
  dehydrate,
  hashContext,
  statePath,
  toPlainJson,
  type CheckoutSnapshot,
  type StampedEvent,
  type Timers,
} from "../../runtime/engine.ts";
import type { ReleasedEdge, ReleasedGraph, ReleasedState } from "./released-versions.ts";
import { adjacencyOf } from "./adjacency.ts";
import type { Alphabet } from "./alphabet.ts";
import { stateKey } from "./keys.ts";

/** The tours' graph, see test/paths: one retry, bounded attempts, failing undos, and no captures of a wrong amount. */
const RELEASED_ALPHABET: Alphabet = { retries: 1, hasWrongAmounts: false };

export function recordGraph(machine: CheckoutMachine, hash: string, alphabet: Alphabet = RELEASED_ALPHABET): ReleasedGraph {
  const recorder = new Recorder(machine);
  for (const [key, { snapshot, edges }] of adjacencyOf(alphabet, machine)) {
    recorder.record(
      key,
      snapshot as CheckoutSnapshot,
      [...edges.values()].map(({ event }) => event as StampedEvent & { readonly at: number }),
    );
  }
  return { machineVersion: machine.version ?? "", hash, events: recorder.events, states: recorder.states };
}

/** States are told apart by all that is stored of them, so that an edge names exactly what it led to. */
class Recorder {
  readonly events: StampedEvent[] = [];
  readonly states: ReleasedState[] = [];
  readonly #indexes = { events: new Map<string, number>(), states: new Map<string, number>() };
  /** Of the state that stands for each key: timers are no part of a snapshot, they come with the way there. */
  readonly #timers = new Map<string, Timers>();

  constructor(private readonly machine: CheckoutMachine) {}

  record(key: string, snapshot: CheckoutSnapshot, events: readonly StampedEvent[]): void {
    // Only the initial state is not led to by any edge before it.
    const timers = this.#timers.get(key) ?? {};
    const edges = events.map((event): ReleasedEdge => {
      const plain = toPlainJson(event) as StampedEvent;
      const next = decide(this.machine, snapshot, timers, plain);
      const nextKey = stateKey(next.snapshot);
      if (!this.#timers.has(nextKey)) this.#timers.set(nextKey, next.timers);
      return [this.#eventIndex(plain), this.#stateIndex(next.snapshot, next.timers)];
    });
    const index = this.#stateIndex(snapshot, timers);
    const state = this.states[index];
    if (state !== undefined) this.states[index] = { ...state, edges };
  }

  #eventIndex(event: StampedEvent): number {
    return indexIn(this.#indexes.events, JSON.stringify(event), () => this.events.push(event));
  }

  #stateIndex(snapshot: CheckoutSnapshot, timers: Timers): number {
    const stored = { snapshot: dehydrate(this.machine, snapshot), timers };
    // One machine writes its keys in one order; where it did not, a state would only be kept twice.
    return indexIn(this.#indexes.states, JSON.stringify(stored), () =>
      this.states.push({ ...stored, path: statePath(snapshot), contextHash: hashContext(snapshot) }),
    );
  }
}

/** `add` answers with the new length of its list. */
function indexIn(known: Map<string, number>, text: string, add: () => number): number {
  const index = known.get(text) ?? add() - 1;
  known.set(text, index);
  return index;
}
