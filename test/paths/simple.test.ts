import { expect, test } from "vitest";
import type { Alphabet } from "../../scripts/reachable/alphabet.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { memoryBed, sqlBed } from "./beds.ts";
import { countEdges, everyNth, SIMPLE_PATH_EXCLUSIONS, simplePaths } from "./generate.ts";
import { graphOf } from "./model.ts";
import { runPaths } from "./runner.ts";

const ALPHABET: Alphabet = { retries: 0, hasWrongAmounts: false };
const PATHS = 1_373;
/**
 * The tours take every edge that these paths take (219 of them), and all of the tours are in every run: what the slice
 * leaves out is the order in which edges follow one another. The full run takes all paths, on both beds.
 */
const isFull = process.env["TEST_FULL"] === "1";
const IN_MEMORY = isFull ? 1 : 30;
const OVER_PGLITE = isFull ? 1 : 60;

const graph = graphOf(ALPHABET);
const all = [...simplePaths(graph)];

test("every simple path without retries leads the real runtime where the model says", { timeout: 600_000 }, async () => {
  const report = await runPaths(memoryBed(), graph, ALPHABET, everyNth(all, IN_MEMORY));
  process.stdout.write(
    `simple paths, ${sliceOf(IN_MEMORY)}: ${report.paths} of ${all.length}, ${report.events} events, ` +
      `through ${report.states} of ${graph.size} states (${countEdges(graph)} edges); ` +
      `left to the tours: ${SIMPLE_PATH_EXCLUSIONS.join(", ")}\n`,
  );
  expect(all).toHaveLength(PATHS);
  expect(report.paths).toBe(Math.ceil(PATHS / IN_MEMORY));
});

test("so does it over PGlite", { timeout: 600_000 }, async () => {
  const database = await openMemoryDatabase();
  try {
    const { paths, events } = await runPaths(sqlBed(database), graph, ALPHABET, everyNth(all, OVER_PGLITE));
    process.stdout.write(`simple paths over PGlite, ${sliceOf(OVER_PGLITE)}: ${paths} of ${all.length}, ${events} events\n`);
    expect(paths).toBe(Math.ceil(PATHS / OVER_PGLITE));
  } finally {
    await database.close();
  }
});

function sliceOf(every: number): string {
  return every === 1 ? "all" : `every ${every}th (npm run test:full takes all)`;
}
