/** Small tests, so that a mutant is met by the seeds that reach it, and by no others. */
import { expect, test } from "vitest";

const SEEDS = Array.from({ length: 40 }, (_, index) => index + 1);

test.each(SEEDS)("seed %i comes to rest, each checkout in its one right end", async (seed) => {
  const { runSeed } = await import("../simulation/run-seed.ts");
  expect((await runSeed(seed)).breaches).toEqual([]);
});
