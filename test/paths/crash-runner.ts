/**
 * Crashes on the way: one in a walk, at each place and boundary, and one at every place of a walk. A walk that is
 * interrupted must come to the same journal, the same events and the same end as the one that is not.
 */
import { initialKey, targetOf, type Path } from "./generate.ts";
import { canHappen, INTERRUPTIONS, type Interruption } from "./interruptions.ts";
import type { Graph } from "./model.ts";
import type { Atlas, Place } from "./places.ts";
import { Walk } from "./walk.ts";

export interface CrashReport {
  readonly paths: number;
  readonly walks: number;
  /** Places at which something was interrupted: a beginning of a path and its next event. */
  readonly places: number;
  readonly interruptions: Readonly<Record<Interruption, number>>;
}

/** An event of a route, counted from 0. */
interface Passage {
  readonly route: Route;
  readonly index: number;
}

interface Crash extends Passage {
  readonly interruption: Interruption;
}

interface Route {
  readonly path: Path;
  readonly places: readonly Place[];
}

/** What counts as the same place for a crash: the same beginning of a path, or the same edge of the graph. */
type Sameness = "beginning" | "edge";

interface Choice {
  readonly sameness: Sameness;
  /** Of what can interrupt a place, every so manieth; the others at the next place. */
  readonly share: number;
}

/**
 * Each place of the paths, and everything that can interrupt its next event (or a share of that), once: over a store in memory, from a copy of
 * what was durable there. What comes after it is the rest of another path each time, where there are several.
 */
export async function runSingleCrashes(atlas: Atlas, paths: readonly Path[], { sameness, share }: Choice): Promise<CrashReport> {
  const routes = paths.map((path) => ({ path, places: atlas.placesOf(path) }));
  const tally = new Tally();
  const crashesOn = singleCrashes(routes, sameness, share);
  for (const [route, crashes] of crashesOn) {
    const copies = await copiesAlong(atlas.id, route);
    for (const crash of crashes) {
      tally.count(crash);
      const walk = copies[crash.index]?.fork(route.places);
      if (walk !== undefined) await explained(crash, () => finish(walk, route, (index) => interruptionAt([crash], index)));
    }
  }
  return tally.report(paths.length, tally.crashes);
}

/** Each path again and again, until each of its places was interrupted in every way; in one walk at every place. */
export async function runCrashesEverywhere(
  open: (number: number, path: Path) => Promise<{ readonly walk: Walk; readonly places: readonly Place[] }>,
  paths: readonly Path[],
  offsetsOf: (pathIndex: number) => readonly number[] = () => INTERRUPTIONS.map((_, offset) => offset),
): Promise<CrashReport> {
  const tally = new Tally();
  let walks = 0;
  for (const [pathIndex, path] of paths.entries()) {
    for (const offset of offsetsOf(pathIndex)) {
      const { walk, places } = await open(walks++, path);
      const route = { path, places };
      const crashes = crashesFrom(route, offset);
      for (const crash of crashes) tally.count(crash);
      await explained({ route, offset }, () => finish(walk, route, (index) => interruptionAt(crashes, index)));
    }
  }
  return tally.report(paths.length, walks);
}

/** The shortest paths that together take every edge that any of them takes. */
export function coveringEdges(graph: Graph, paths: readonly Path[]): Path[] {
  const covered = new Set<string>();
  return paths
    .toSorted((left, right) => left.length - right.length)
    .filter((path) => {
      const before = covered.size;
      let at = initialKey(graph);
      for (const name of path) {
        covered.add(`${at} ${name}`);
        at = targetOf(graph, at, name);
      }
      return covered.size > before;
    });
}

function edgeOf({ path, places }: Route, index: number): string {
  return `${places[index]?.key} ${path[index]}`;
}

/** By the route on which each is tried. */
function singleCrashes(routes: readonly Route[], sameness: Sameness, share: number): ReadonlyMap<Route, readonly Crash[]> {
  const through = new Map<unknown, Passage[]>();
  for (const route of routes) {
    for (const [index, next] of route.places.slice(1).entries()) {
      const key = sameness === "edge" ? edgeOf(route, index) : next;
      const sharing = through.get(key) ?? [];
      sharing.push({ route, index });
      through.set(key, sharing);
    }
  }
  const crashesOn = new Map<Route, Crash[]>(routes.map((route) => [route, []]));
  for (const [place, sharing] of [...through.values()].entries()) {
    const crashes = crashesAt(sharing).filter((_, number) => (place + number) % share === 0);
    for (const crash of crashes) crashesOn.get(crash.route)?.push(crash);
  }
  return crashesOn;
}

function crashesAt(sharing: readonly Passage[]): Crash[] {
  return INTERRUPTIONS.flatMap((interruption, number) => {
    const passage = sharing[Math.floor((sharing.length * number) / INTERRUPTIONS.length)];
    return passage === undefined ? [] : crashOf(passage, interruption);
  });
}

function crashOf({ route, index }: Passage, interruption: Interruption): Crash[] {
  const [place, next] = [route.places[index], route.places[index + 1]];
  if (place === undefined || next === undefined || !canHappen(interruption, place, next)) return [];
  return [{ route, index, interruption }];
}

/** The same at the next place, and so on; where it can't happen, nothing does. */
function crashesFrom(route: Route, offset: number): Crash[] {
  return [...route.path.keys()].flatMap((index) => {
    const interruption = INTERRUPTIONS[(index + offset) % INTERRUPTIONS.length];
    return interruption === undefined ? [] : crashOf({ route, index }, interruption);
  });
}

function interruptionAt(crashes: readonly Crash[], index: number): Interruption | null {
  return crashes.find((crash) => crash.index === index)?.interruption ?? null;
}

/** What is durable at each place of a route, before its next event. */
async function copiesAlong(id: string, { places }: Route): Promise<readonly Walk[]> {
  const walk = await Walk.inMemory(id, places);
  const copies = [walk.fork(places)];
  for (const index of places.slice(1).keys()) {
    await walk.stepTo(index + 1);
    copies.push(walk.fork(places));
  }
  await walk.finish();
  return copies;
}

async function finish(walk: Walk, { places }: Route, at: (index: number) => Interruption | null): Promise<void> {
  while (walk.index < places.length - 1) await walk.step(at(walk.index));
  await walk.finish();
}

async function explained(
  what: Crash | { readonly route: Route; readonly offset: number },
  run: () => Promise<void>,
): Promise<void> {
  const { path } = what.route;
  const where = "index" in what ? `${path[what.index]} ${what.interruption}` : `every event, from interruption ${what.offset} on`;
  try {
    await run();
  } catch (error) {
    throw new Error(`On the path ${JSON.stringify(path)}: ${where}`, { cause: error });
  }
}

class Tally {
  crashes = 0;
  readonly #places = new Set<Place>();
  readonly #interruptions = Object.fromEntries(INTERRUPTIONS.map((name) => [name, 0])) as Record<Interruption, number>;

  count({ route, index, interruption }: Crash): void {
    const next = route.places[index + 1];
    if (next !== undefined) this.#places.add(next);
    this.crashes++;
    this.#interruptions[interruption]++;
  }

  report(paths: number, walks: number): CrashReport {
    return { paths, walks, places: this.#places.size, interruptions: this.#interruptions };
  }
}
