import { afterAll, expect, test } from "vitest";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { countEdges, SIMPLE_PATH_EXCLUSIONS, simplePaths } from "./generate.ts";
import { graphOf, type Alphabet } from "./model.ts";
import { runPaths } from "./runner.ts";

const database = await openMemoryDatabase();
afterAll(() => database.close());

const ALPHABET: Alphabet = { retries: 0, hasWrongAmounts: false };

test("every simple path without retries leads the real runtime where the model says", { timeout: 600_000 }, async () => {
  const graph = graphOf(ALPHABET);
  const report = await runPaths(database, graph, ALPHABET, [...simplePaths(graph)]);
  process.stdout.write(
    `simple paths: ${report.paths}, ${report.events} events, through ${report.states} of ${graph.size} states ` +
      `(${countEdges(graph)} edges); left to the tours: ${SIMPLE_PATH_EXCLUSIONS.join(", ")}\n`,
  );
  expect(report.paths).toBe(1_373);
});
