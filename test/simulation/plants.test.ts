import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { PLANTED_BUGS } from "./plants.ts";
import { breachesWith } from "./plants/measure.ts";
import found from "./plants/seeds.json" with { type: "json" };
import { runSeed } from "./run-seed.ts";

/** The seed that finds a bug, by its name: written by plants-table.ts, which searches for them. */
const SEEDS: Readonly<Record<string, number>> = found;
const harmless = PLANTED_BUGS.filter(({ harmlessBecause }) => harmlessBecause !== undefined);
const seen = PLANTED_BUGS.filter((bug) => !harmless.includes(bug));

/** Two hours of a checkout that never comes to rest take ten seconds to look at; a sound one needs minutes of them. */
const QUICK = { restMaxMs: 600_000 };

/** Enough to meet most kinds of faults, with one node and with several. */
const CONTROL_SEEDS = [2, 3, 4, 5, 6, 8];

test("the page tells of each planted bug", () => {
  const page = readFileSync("docs/planted-bugs.md", "utf8");
  for (const { name } of seen) expect(page).toContain(`| ${name} |`);
  for (const { name } of harmless) expect(page).toContain(`- **${name}**`);
});

test("every planted bug that does harm has a seed that finds it", () => {
  expect(seen.length).toBeGreaterThanOrEqual(40);
  expect(seen.map(({ name }) => name).toSorted()).toEqual(Object.keys(SEEDS).toSorted());
});

test.each(seen)("$name: its seed finds it, and nothing without it", async (bug) => {
  const seed = SEEDS[bug.name] ?? 0;
  expect(await breachesWith(bug, seed, QUICK), `seed ${seed} finds it no more: npm run simulate:plants -- --write`).not.toEqual(
    [],
  );
  expect((await runSeed(seed, QUICK)).breaches).toEqual([]);
});

test.each(harmless)("$name: does no harm", async (bug) => {
  for (const seed of CONTROL_SEEDS) expect(await breachesWith(bug, seed)).toEqual([]);
});

test("what a plant has changed in the product is mended after its run", async () => {
  for (const bug of PLANTED_BUGS.filter(({ plant }) => plant().install !== undefined)) await breachesWith(bug, 1);
  expect((await runSeed(1)).breaches).toEqual([]);
});
