import { afterAll, expect, test } from "vitest";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { countEdges, edgeTours } from "./generate.ts";
import { graphOf, type Alphabet } from "./model.ts";
import { runPaths } from "./runner.ts";

const database = await openMemoryDatabase();
afterAll(() => database.close());

/** With captures of a wrong amount the graph is nearly twice as large: they belong to the full run. */
const isFull = process.env["TEST_FULL"] === "1";
const ALPHABET: Alphabet = { retries: 1, hasWrongAmounts: isFull };
const EXPECTED = isFull ? { states: 4_790, edges: 24_587 } : { states: 3_103, edges: 15_544 };

test("every event in every state leads the real runtime where the model says", { timeout: 900_000 }, async () => {
  const graph = graphOf(ALPHABET);
  expect([...graph].filter(([, { isDeaf }]) => isDeaf).map(([key]) => key)).toEqual([]);
  const report = await runPaths(database, graph, ALPHABET, edgeTours(graph));
  const { states, edges } = report;
  process.stdout.write(
    `tours: ${report.paths}, ${report.events} events, ${edges} of ${countEdges(graph)} edges, ${states} of ${graph.size} states\n`,
  );
  expect({ states: graph.size, edges: countEdges(graph) }).toEqual(EXPECTED);
  expect({ states, edges }).toEqual(EXPECTED);
});
