/** How soon a planted bug is found, and how often. */
import { runSeed } from "../run-seed.ts";
import type { SimulationOptions } from "../simulation.ts";
import type { PlantedBug } from "./planted-bug.ts";

export interface Finding {
  readonly name: string;
  /** Null: none of the seeds found it. */
  readonly firstSeed: number | null;
  /** Of the first seeds that found it, the one whose run takes least. */
  readonly quickSeed: number | null;
  /** What the first seed finds. */
  readonly breach: string;
  readonly found: number;
  readonly tried: number;
}

export interface Extent {
  readonly from: number;
  /** A bug that is found is tried with as many. */
  readonly seeds: number;
  /** One that must be found and isn't, with up to as many. */
  readonly seedsMax: number;
  /** Once it is found, no bug takes much longer: a run that never comes to rest takes a hundred times as long as others. */
  readonly budgetMs: number;
}

/**
 * Replays fold a journal with the machine as it should be, so they find every other machine where it first differs. That
 * is no finding of the simulator's: a bug in the machine is in both.
 */
const REPLAYED = /I12: |I15: the replay/;
const QUICK_AMONG = 5;

/** What a seed finds of a planted bug, a line each. `limits`: as those of the run without it. */
export async function breachesWith(
  bug: PlantedBug,
  seed: number,
  limits: Pick<SimulationOptions, "restMaxMs"> = {},
): Promise<readonly string[]> {
  const plant = bug.plant();
  const { breaches } = await runSeed(seed, { ...limits, plant });
  return plant.machine === undefined ? breaches : breaches.filter((line) => !REPLAYED.test(line));
}

export async function measure(bug: PlantedBug, { from, seeds, seedsMax, budgetMs }: Extent): Promise<Finding> {
  const began = performance.now();
  const mustBeFound = bug.harmlessBecause === undefined;
  const hits: { readonly seed: number; readonly breach: string; readonly tookMs: number }[] = [];
  let tried = 0;
  while (tried < (mustBeFound && hits.length === 0 ? seedsMax : seeds)) {
    if (hits.length > 0 && performance.now() - began > budgetMs) break;
    const seed = from + tried++;
    const startedAt = performance.now();
    const [breach] = await breachesWith(bug, seed);
    const tookMs = performance.now() - startedAt;
    if (breach !== undefined && !(await isWrongWithout(seed))) hits.push({ seed, breach, tookMs });
  }
  const quick = hits.slice(0, QUICK_AMONG).toSorted((left, right) => left.tookMs - right.tookMs);
  return {
    name: bug.name,
    firstSeed: hits[0]?.seed ?? null,
    quickSeed: quick[0]?.seed ?? null,
    breach: hits[0]?.breach ?? "",
    found: hits.length,
    tried,
  };
}

const wrongWithout = new Map<number, Promise<boolean>>();

function isWrongWithout(seed: number): Promise<boolean> {
  const known = wrongWithout.get(seed) ?? runSeed(seed).then(({ breaches }) => breaches.length > 0);
  wrongWithout.set(seed, known);
  return known;
}
