/** The shortest ways of a graph: from its beginning to a state, and from a state to an end at rest. */
import { initialKey, type Path } from "./generate.ts";
import type { Graph } from "./model.ts";

interface Hop {
  readonly name: string;
  readonly to: string;
}

export class Ways {
  readonly #from = new Map<string, Path>();
  readonly #hops = new Map<string, Hop>();

  /** To an end only by the events that `mayTake` lets pass. */
  constructor(
    private readonly graph: Graph,
    mayTake: (name: string) => boolean,
  ) {
    this.#walkForward();
    this.#walkBackward(mayTake);
  }

  to(key: string): Path {
    const way = this.#from.get(key);
    if (way === undefined) throw new Error(`Nothing leads to ${key}`);
    return way;
  }

  toEnd(key: string): Path {
    const way: string[] = [];
    for (let at = key; !this.isEnd(at);) {
      const hop = this.#hops.get(at);
      if (hop === undefined) throw new Error(`${at} leads to no end`);
      way.push(hop.name);
      at = hop.to;
    }
    return way;
  }

  /** For each edge, the shortest way through it to an end. */
  throughEdges(): Path[] {
    return [...this.graph].flatMap(([from, { edges }]) => {
      return [...edges].map(([name, to]) => [...this.to(from), name, ...this.toEnd(to)]);
    });
  }

  isEnd(key: string): boolean {
    const state = this.graph.get(key);
    return state !== undefined && state.isFinished && state.path.endsWith(".atRest");
  }

  #walkForward(): void {
    const queue = [initialKey(this.graph)];
    for (const key of queue) this.#from.set(key, this.#from.get(key) ?? []);
    for (const at of queue) {
      for (const [name, next] of this.graph.get(at)?.edges ?? []) {
        if (this.#from.has(next)) continue;
        this.#from.set(next, [...this.to(at), name]);
        queue.push(next);
      }
    }
  }

  #walkBackward(mayTake: (name: string) => boolean): void {
    const arrivals = new Map<string, { readonly at: string; readonly name: string }[]>();
    for (const [at, { edges }] of this.graph) {
      for (const [name, to] of edges) {
        if (!mayTake(name)) continue;
        const known = arrivals.get(to) ?? [];
        known.push({ at, name });
        arrivals.set(to, known);
      }
    }
    const queue = [...this.graph.keys()].filter((key) => this.isEnd(key));
    for (const to of queue) {
      for (const { at, name } of arrivals.get(to) ?? []) {
        if (this.#hops.has(at) || this.isEnd(at)) continue;
        this.#hops.set(at, { name, to });
        queue.push(at);
      }
    }
  }
}
