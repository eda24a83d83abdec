/** Fixed seeds, so that a failure is the change's and not the day's; fresh ones are for `npm run simulate`. */
import { expect, test } from "vitest";
import { REGRESSIONS } from "./regressions.ts";
import { runSeed } from "./run-seed.ts";
import { Tally } from "./tally.ts";

const SEEDS = 2_000;
const FROM = 1;
const FAILURES_MAX = 3;

test(
  `${SEEDS} seeds: whatever fails, everything comes to rest, each checkout in its one right end`,
  { timeout: 900_000 },
  async () => {
    const tally = new Tally();
    const failures: string[] = [];
    for (let seed = FROM; seed < FROM + SEEDS && failures.length < FAILURES_MAX; seed++) {
      const report = await runSeed(seed);
      tally.add(report);
      if (report.breaches.length > 0)
        failures.push(`npm run simulate -- --seed ${seed} --shrink --trace\n  ${report.breaches.join("\n  ")}`);
    }
    expect(failures.join("\n\n")).toBe("");
    process.stdout.write(`${tally.headline(FROM)}\n`);
    // A simulation that never meets something would pass whatever the product does there.
    expect(tally.missed).toEqual([]);
  },
);

test.each([7, 8, 9])("seed %i replays exactly, to the last line", async (seed) => {
  const story = async () => {
    const lines: string[] = [];
    await runSeed(seed, { trace: (line) => lines.push(line) });
    return lines;
  };
  const first = await story();
  expect(first.length).toBeGreaterThan(10);
  expect(await story()).toEqual(first);
});

test.each(REGRESSIONS)("seed $seed is well, which once found: $found", async ({ seed }) => {
  expect((await runSeed(seed)).breaches).toEqual([]);
});
