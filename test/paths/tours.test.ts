import { expect, test } from "vitest";
import type { Alphabet } from "../../scripts/reachable/alphabet.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { memoryBed, sqlBed } from "./beds.ts";
import { countEdges, coveringAll, edgeTours, everyNth } from "./generate.ts";
import { graphOf } from "./model.ts";
import { runPaths } from "./runner.ts";

/** With captures of a wrong amount the graph is nearly twice as large: they belong to the full run. */
const isFull = process.env["TEST_FULL"] === "1";
const ALPHABET: Alphabet = { retries: 1, hasWrongAmounts: isFull };
const EXPECTED = isFull ? { states: 4_790, edges: 24_587 } : { states: 3_103, edges: 15_544 };
const SLICE = 25;

const graph = graphOf(ALPHABET);
/** Edges between states that only the model's key tells apart belong to the full run too. */
const tours = isFull ? edgeTours(graph) : coveringAll(graph, edgeTours(graph));

test("every event in every state leads the real runtime where the model says", { timeout: 900_000 }, async () => {
  expect([...graph].filter(([, { isDeaf }]) => isDeaf).map(([key]) => key)).toEqual([]);
  const report = await runPaths(memoryBed(), graph, ALPHABET, tours);
  const { states, edges } = report;
  const all = { states: graph.size, edges: countEdges(graph) };
  const left = isFull ? "" : " (npm run test:full takes all)";
  process.stdout.write(
    `tours: ${report.paths}, ${report.events} events, ${states} of ${all.states} states, ${edges} of ${all.edges} edges${left}\n`,
  );
  expect(all).toEqual(EXPECTED);
  expect(states).toBe(all.states);
  expect(edges).toBeGreaterThanOrEqual(isFull ? all.edges : all.edges / 2);
});

test("so does it over PGlite", { timeout: 900_000 }, async () => {
  const database = await openMemoryDatabase();
  try {
    const report = await runPaths(sqlBed(database), graph, ALPHABET, everyNth(tours, isFull ? 1 : SLICE));
    const { paths, events, states, edges } = report;
    const slice = isFull ? "all" : `every ${SLICE}th of ${tours.length} (npm run test:full takes all)`;
    process.stdout.write(`tours over PGlite, ${slice}: ${paths}, ${events} events, ${edges} edges, ${states} states\n`);
    expect(paths).toBeGreaterThan(15);
  } finally {
    await database.close();
  }
});
