/** States of a graph in which a checkout could stand for ever (I20). */
import type { Graph } from "./model.ts";

export function strandedStates(graph: Graph): readonly string[] {
  const live = statesWithAnEndAhead(graph);
  return [...graph].flatMap(([key, { path, isFinished, steps, timers }]) => {
    const waits = steps.length > 0 || timers.length > 0 || (isFinished && path.endsWith(".atRest"));
    // INITIALIZED is left by whoever creates or adopts it: an owner starts it at once.
    if (!waits && path !== "INITIALIZED") return [`${path} waits for nothing: ${key}`];
    return live.has(key) ? [] : [`${path} leads to no end: ${key}`];
  });
}

/** From which an end at rest can be reached: walked backwards from the ends. */
function statesWithAnEndAhead(graph: Graph): ReadonlySet<string> {
  const sources = new Map<string, string[]>();
  for (const [key, { edges }] of graph) {
    for (const target of edges.values()) sources.set(target, [...(sources.get(target) ?? []), key]);
  }
  const ends = [...graph].filter(([, { path, isFinished }]) => isFinished && path.endsWith(".atRest")).map(([key]) => key);
  const reached = new Set(ends);
  for (const at of reached) for (const source of sources.get(at) ?? []) reached.add(source);
  return reached;
}
