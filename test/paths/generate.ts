/** Paths through the graph: all simple ones to an end, and tours that together take every edge. */
import type { AnyMachineSnapshot } from "xstate";
import type { StampedEvent } from "../../runtime/engine.ts";
import { eventsOf, type Alphabet } from "../../scripts/reachable/alphabet.ts";
import { eventKey } from "../../scripts/reachable/keys.ts";
import type { Graph, GraphState } from "./model.ts";

/** Events by their keys, from the initial state on. */
export type Path = readonly string[];

/** No tour is longer than this, so that one failure stays readable. */
const TOUR_MAX = 120;

export function countEdges(graph: Graph): number {
  return [...graph.values()].reduce((count, { edges }) => count + edges.size, 0);
}

/**
 * Left out of the simple paths and covered by the tours: failing undos, and what only repeats another kind of
 * event (an expiry is a failure, a poll an event that was lost, a wrong amount or a late capture one more refund).
 */
export const SIMPLE_PATH_EXCLUSIONS = [
  "failing undos",
  "failing refunds",
  "resolutions",
  "expiries",
  "polls",
  "wrong amounts",
  "captures while undoing",
] as const;

function isExcluded(from: GraphState, name: string): boolean {
  return (
    name.startsWith("xstate.error.actor.undo:") ||
    name.startsWith("payment_refund_failed") ||
    name.startsWith("RESOLVE") ||
    name.includes("_expired") ||
    name.includes("paymentPoll") ||
    name.includes("psp_mismatched") ||
    (from.isUndoing && name.includes("_success"))
  );
}

/** Every path that visits no state twice, from the beginning to the first finished state. */
export function* simplePaths(graph: Graph): Generator<Path> {
  const visited = new Set<string>();
  const path: string[] = [];
  function* walk(key: string): Generator<Path> {
    const state = stateAt(graph, key);
    if (state.isFinished) return yield [...path];
    visited.add(key);
    for (const [name, next] of state.edges) {
      if (visited.has(next) || isExcluded(state, name)) continue;
      path.push(name);
      yield* walk(next);
      path.pop();
    }
    visited.delete(key);
  }
  yield* walk(initialKey(graph));
}

/** Greedy: take an edge that no tour took yet, else walk the shortest way to one; a new tour where there is none. */
export function edgeTours(graph: Graph): Path[] {
  const search = new UntakenEdges(graph);
  const tours: Path[] = [];
  for (;;) {
    const tour: string[] = [];
    let at = 0;
    while (tour.length < TOUR_MAX) {
      const way = search.wayFrom(at);
      if (way === null) break;
      for (const { name, from, to } of way) {
        search.take(from, name);
        tour.push(name);
        at = to;
      }
    }
    if (tour.length === 0) return tours;
    tours.push(tour);
  }
}

interface Edge {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** States are numbers here, in the order of the graph: thousands of searches over its long keys take seconds. */
class UntakenEdges {
  readonly #edges: readonly (readonly Edge[])[];
  readonly #untaken: readonly Map<string, Edge>[];
  /** How each state was arrived at in the newest search that came to it. */
  readonly #arrivals: { readonly search: number; readonly edge: Edge }[] = [];
  #searches = 0;

  constructor(graph: Graph) {
    const numbers = new Map([...graph.keys()].map((key, number) => [key, number]));
    this.#edges = [...graph.values()].map(({ edges }, from) =>
      [...edges].map(([name, target]) => ({ name, from, to: numberOf(numbers, target) })),
    );
    this.#untaken = this.#edges.map((edges) => new Map(edges.map((edge) => [edge.name, edge])));
  }

  take(from: number, name: string): void {
    this.#untaken[from]?.delete(name);
  }

  /** The shortest sequence of edges from `from` that ends with one that no tour took yet. */
  wayFrom(from: number): Edge[] | null {
    const search = ++this.#searches;
    const queue = [from];
    for (const at of queue) {
      const [fresh] = this.#untaken[at]?.values() ?? [];
      if (fresh !== undefined) return [...this.#wayBack(from, at), fresh];
      for (const edge of this.#edges[at] ?? []) {
        if (edge.to === from || this.#arrivals[edge.to]?.search === search) continue;
        this.#arrivals[edge.to] = { search, edge };
        queue.push(edge.to);
      }
    }
    return null;
  }

  #wayBack(from: number, to: number): Edge[] {
    const way: Edge[] = [];
    for (let at = to; at !== from;) {
      const edge = this.#arrivals[at]?.edge;
      if (edge === undefined) throw new Error("The search lost its way");
      way.unshift(edge);
      at = edge.from;
    }
    return way;
  }
}

function numberOf(numbers: ReadonlyMap<string, number>, key: string): number {
  const number = numbers.get(key);
  if (number === undefined) throw new Error(`The graph has no state ${key}`);
  return number;
}

/** Some of these paths, the longest first, that together go through all that they go through: every state, and every event in every state of the chart. */
export function coveringAll(graph: Graph, paths: readonly Path[]): Path[] {
  const seen = new Set<string>();
  return paths
    .toSorted((a, b) => b.length - a.length)
    .filter((path) => {
      const before = seen.size;
      let key = initialKey(graph);
      for (const name of path) {
        seen.add(`${stateAt(graph, key).path} ${name}`);
        key = targetOf(graph, key, name);
        seen.add(key);
      }
      return seen.size > before;
    });
}

/** A fixed slice of paths, for a bed on which all of them take too long. */
export function everyNth(paths: readonly Path[], n: number): Path[] {
  return paths.filter((_, index) => index % n === 0);
}

export function targetOf(graph: Graph, at: string, name: string): string {
  const target = stateAt(graph, at).edges.get(name);
  if (target === undefined) throw new Error(`${at} takes no ${name}`);
  return target;
}

export function initialKey(graph: Graph): string {
  const [key] = graph.keys();
  if (key === undefined) throw new Error("The graph is empty");
  return key;
}

function stateAt(graph: Graph, key: string): GraphState {
  const state = graph.get(key);
  if (state === undefined) throw new Error(`The graph has no state ${key}`);
  return state;
}

/** The event of that key that this very state takes: payloads depend on what happened before. */
export function eventOfKey(snapshot: AnyMachineSnapshot, alphabet: Alphabet, key: string): StampedEvent {
  const event = eventsOf(alphabet)(snapshot).find((candidate) => eventKey(candidate) === key);
  if (event === undefined) throw new Error(`The state ${JSON.stringify(snapshot.value)} takes no ${key}`);
  return event as unknown as StampedEvent;
}
