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
  const untaken = new Map([...graph].map(([key, { edges }]) => [key, new Set(edges.keys())]));
  const tours: Path[] = [];
  for (;;) {
    const tour: string[] = [];
    let at = initialKey(graph);
    while (tour.length < TOUR_MAX) {
      const way = wayToUntaken(graph, untaken, at);
      if (way === null) break;
      for (const name of way) {
        untaken.get(at)?.delete(name);
        tour.push(name);
        at = targetOf(graph, at, name);
      }
    }
    if (tour.length === 0) return tours;
    tours.push(tour);
  }
}

interface Arrival {
  readonly from: string;
  readonly name: string;
}

/** The shortest sequence of events from `from` that ends with an edge that no tour took yet. */
function wayToUntaken(graph: Graph, untaken: ReadonlyMap<string, ReadonlySet<string>>, from: string): string[] | null {
  const arrivals = new Map<string, Arrival>();
  const queue = [from];
  for (const at of queue) {
    const [fresh] = untaken.get(at) ?? [];
    if (fresh !== undefined) return [...wayBack(arrivals, from, at), fresh];
    for (const [name, next] of stateAt(graph, at).edges) {
      if (next === from || arrivals.has(next)) continue;
      arrivals.set(next, { from: at, name });
      queue.push(next);
    }
  }
  return null;
}

function wayBack(arrivals: ReadonlyMap<string, Arrival>, from: string, to: string): string[] {
  const way: string[] = [];
  for (let at = to; at !== from;) {
    const arrival = arrivals.get(at);
    if (arrival === undefined) throw new Error("The search lost its way");
    way.unshift(arrival.name);
    at = arrival.from;
  }
  return way;
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
