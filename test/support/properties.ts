/** How much a property is tried. fast-check prints the seed and the shrunk counterexample of a failure. */

const isFull = process.env["TEST_FULL"] === "1";
/** One seed for all runs, so that a failure is the change's and not the day's. PROPERTY_SEED=… tries another. */
const SEED = Number(process.env["PROPERTY_SEED"] ?? 20_270_108);
const FULL_TIMES = 10;

export function tried(numRuns: number): { readonly seed: number; readonly numRuns: number } {
  return { seed: SEED, numRuns: isFull ? FULL_TIMES * numRuns : numRuns };
}
