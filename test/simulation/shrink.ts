/** From a run that fails to a small one that fails too: fewer shoppers, fewer nodes, fewer wishes, fewer faults. */
import { runSeed, type SeedReport } from "./run-seed.ts";
import { drawScenario, type Scenario } from "./scenario.ts";
import type { SimulationOptions } from "./simulation.ts";

export interface SmallRun {
  readonly options: SimulationOptions & { readonly scenario: Scenario; readonly leftOut: ReadonlySet<number> };
  readonly report: SeedReport;
  /** How many runs it took to find. */
  readonly tries: number;
}

const TRIES_MAX = 400;

/** Whatever still fails counts, with whichever breach: the smaller one tells more. */
export async function shrink(seed: number, planted: Pick<SimulationOptions, "plant"> = {}): Promise<SmallRun> {
  let scenario = drawScenario(seed);
  let leftOut: ReadonlySet<number> = new Set();
  let report = await runSeed(seed, { ...planted, scenario });
  let tries = 1;
  const small = (): SmallRun => ({ options: { ...planted, scenario, leftOut }, report, tries });
  // Nothing is wrong with it: what is wrong with a smaller one is another story.
  if (report.breaches.length === 0) return small();
  const attempt = async (candidate: Scenario, without: ReadonlySet<number>): Promise<boolean> => {
    if (tries >= TRIES_MAX) return false;
    tries++;
    const tried = await runSeed(seed, { ...planted, scenario: candidate, leftOut: without });
    if (tried.breaches.length === 0) return false;
    [scenario, leftOut, report] = [candidate, without, tried];
    return true;
  };
  for (let isSmaller = true; isSmaller && tries < TRIES_MAX;) {
    isSmaller = false;
    for (const candidate of simpler(scenario)) {
      isSmaller = await attempt(candidate, leftOut);
      if (isSmaller) break;
    }
  }
  // Halves, then quarters, down to single faults.
  for (let size = report.faultsStruck; size >= 1; size = Math.floor(size / 2)) {
    for (let first = 1; first <= report.faultsStruck; first += size) {
      const some = Array.from({ length: size }, (_, place) => first + place).filter((number) => !leftOut.has(number));
      if (some.length > 0) await attempt(scenario, new Set([...leftOut, ...some]));
    }
  }
  return small();
}

/** Each is smaller by one thing. */
function* simpler(scenario: Scenario): Generator<Scenario> {
  const { shoppers, nodes, rates, operatorAfterMs } = scenario;
  if (shoppers.length > 1) for (const one of shoppers) yield { ...scenario, shoppers: shoppers.filter((other) => other !== one) };
  if (nodes > 1) yield { ...scenario, nodes: nodes - 1 };
  for (const one of shoppers) {
    const without = (change: Partial<typeof one>) => ({
      ...scenario,
      shoppers: shoppers.map((other) => (other === one ? { ...one, ...change } : other)),
    });
    if (one.copies > 1) yield without({ copies: 1 });
    if (one.paidLater > 0) yield without({ paidLater: 0 });
    if (one.next !== null) yield without({ next: null });
  }
  if (operatorAfterMs !== null) yield { ...scenario, operatorAfterMs: null };
  for (const [kind, rate] of Object.entries(rates)) if (rate > 0) yield { ...scenario, rates: { ...rates, [kind]: 0 } };
}
