import { expect, test } from "vitest";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { memoryBed, sqlBed } from "./beds.ts";
import { countEdges, everyNth, SIMPLE_PATH_EXCLUSIONS, simplePaths } from "./generate.ts";
import { graphOf, type Alphabet } from "./model.ts";
import { runPaths } from "./runner.ts";

const ALPHABET: Alphabet = { retries: 0, hasWrongAmounts: false };
const isFull = process.env["TEST_FULL"] === "1";
const SLICE = 30;

test("every simple path without retries leads the real runtime where the model says", { timeout: 600_000 }, async () => {
  const graph = graphOf(ALPHABET);
  const report = await runPaths(memoryBed(), graph, ALPHABET, [...simplePaths(graph)]);
  process.stdout.write(
    `simple paths: ${report.paths}, ${report.events} events, through ${report.states} of ${graph.size} states ` +
      `(${countEdges(graph)} edges); left to the tours: ${SIMPLE_PATH_EXCLUSIONS.join(", ")}\n`,
  );
  expect(report.paths).toBe(1_373);
});

test("so does it over PGlite", { timeout: 600_000 }, async () => {
  const database = await openMemoryDatabase();
  try {
    const graph = graphOf(ALPHABET);
    const { paths, events } = await runPaths(
      sqlBed(database),
      graph,
      ALPHABET,
      everyNth([...simplePaths(graph)], isFull ? 1 : SLICE),
    );
    process.stdout.write(`simple paths over PGlite, ${isFull ? "all" : `every ${SLICE}th`}: ${paths}, ${events} events\n`);
    expect(paths).toBe(isFull ? 1_373 : 46);
  } finally {
    await database.close();
  }
});
