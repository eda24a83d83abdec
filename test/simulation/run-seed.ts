/** One seed from its beginning to its verdict. */
import { coverageOf } from "./coverage.ts";
import { Simulation, type SimulationOptions } from "./simulation.ts";
import { breachesOfRun } from "./verdict.ts";

/** A replay takes about as long as the run, so every so-many-th seed's journals are folded once more at the end. */
const REPLAYED = 4;

export interface SeedReport {
  readonly seed: number;
  /** What is wrong, a line each; empty = nothing. */
  readonly breaches: readonly string[];
  readonly virtualMs: number;
  readonly checkouts: number;
  /** Times that each kind of fault struck, and the number of the last one. */
  readonly faults: ReadonlyMap<string, number>;
  readonly faultsStruck: number;
  readonly coverage: ReadonlyMap<string, number>;
}

export async function runSeed(seed: number, options: SimulationOptions = {}): Promise<SeedReport> {
  const mend = options.plant?.install?.();
  try {
    return await reportOf(new Simulation(seed, options));
  } finally {
    mend?.();
  }
}

async function reportOf(run: Simulation): Promise<SeedReport> {
  const isAtRest = await run.run();
  return {
    seed: run.seed,
    breaches: await breachesOfRun(run, isAtRest, run.seed % REPLAYED === 0),
    virtualMs: run.virtualMs,
    checkouts: run.store.rows.length,
    faults: run.faults.counts,
    faultsStruck: run.faults.struck,
    coverage: await coverageOf(run),
  };
}
