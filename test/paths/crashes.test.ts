import { describe, expect, test } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import { migrate } from "../../persistence/migrate.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import type { Alphabet } from "../../scripts/reachable/alphabet.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { createTestDatabase, describeOn } from "../support/server.ts";
import { coveringEdges, runCrashesEverywhere, runSingleCrashes, type CrashReport } from "./crash-runner.ts";
import { everyNth, SIMPLE_PATH_EXCLUSIONS, simplePaths, type Path } from "./generate.ts";
import { INTERRUPTIONS } from "./interruptions.ts";
import { graphOf } from "./model.ts";
import { Atlas } from "./places.ts";
import { SqlWalkBed } from "./walk-beds.ts";
import { WalkClock } from "./walk-clock.ts";
import { Walk } from "./walk.ts";
import { Ways } from "./ways.ts";

const ALPHABET: Alphabet = { retries: 0, hasWrongAmounts: false };
const isFull = process.env["TEST_FULL"] === "1";
const graph = graphOf(ALPHABET);
const all = [...simplePaths(graph)];
/** As many walks again as there are interruptions, so a slice in the full run too. */
const EVERYWHERE_SLICE = isFull ? 5 : 400;
const GRAPH_SLICE = isFull ? 1 : 300;
/** Fewer on PGlite, which takes three times as long over the same statements. */
const SQL_SLICES = { Postgres: isFull ? 20 : 119, PGlite: isFull ? 20 : 238 } as const;

describe("a crash on a simple path, over the store in memory, leaves no trace", () => {
  test("at each place and boundary, one in a walk", { timeout: 3_600_000 }, async () => {
    const atlas = new Atlas(graph, ALPHABET, "ctx_walk");
    const report = isFull
      ? await runSingleCrashes(atlas, all, { sameness: "beginning", share: 1 })
      : await runSingleCrashes(atlas, coveringEdges(graph, all), { sameness: "edge", share: 3 });
    print(`single crashes, ${isFull ? "each at every beginning" : "a third at every edge"} of ${all.length} paths`, report);
    expectAllKinds(report);
    if (isFull) expect(report.interruptions["dies before the commit"]).toBe(6_907);
  });

  test("at each edge of the graph, one in a walk, undos and refunds that fail among them", { timeout: 3_600_000 }, async () => {
    const ways = new Ways(graph, () => true).throughEdges();
    const paths = coveringEdges(graph, everyNth(ways, GRAPH_SLICE));
    const report = await runSingleCrashes(new Atlas(graph, ALPHABET, "ctx_walk"), paths, {
      sameness: "edge",
      share: isFull ? 1 : 6,
    });
    const slice = isFull ? "each" : `a sixth, on every ${GRAPH_SLICE}th way,`;
    print(`single crashes, ${slice} at every edge of ${ways.length}`, report, ["retries", "wrong amounts"]);
    if (isFull) expect(report.interruptions["dies before the commit"]).toBe(ways.length);
  });

  test("at every place of one walk", { timeout: 3_600_000 }, async () => {
    const atlas = new Atlas(graph, ALPHABET, "ctx_walk");
    const open = async (_: number, path: Path) => {
      const places = atlas.placesOf(path);
      return { places, walk: await Walk.inMemory(atlas.id, places) };
    };
    const report = await runCrashesEverywhere(open, everyNth(all, EVERYWHERE_SLICE));
    print(`crashes at every place of ${sliceOf(EVERYWHERE_SLICE)}`, report);
    expectAllKinds(report);
  });
});

test("nor does a crash over PGlite, at every place of one walk", { timeout: 600_000 }, async () => {
  const database = await openMemoryDatabase();
  try {
    await crashEverywhereOver("PGlite", database);
  } finally {
    await database.close();
  }
});

describeOn("postgres", "nor does a crash over Postgres", (url) => {
  test("at every place of one walk", { timeout: 600_000 }, async () => {
    const created = await createTestDatabase(url);
    const database = connectPostgres(created.url, { connectionsMax: 4 });
    try {
      await migrate(database);
      await crashEverywhereOver("Postgres", database);
    } finally {
      await database.close();
      await created.drop();
    }
  });
});

async function crashEverywhereOver(name: keyof typeof SQL_SLICES, database: Database): Promise<void> {
  const bed = new SqlWalkBed(database);
  const open = async (number: number, path: Path) => {
    const atlas = new Atlas(graph, ALPHABET, `ctx_walk_${number}`);
    const places = atlas.placesOf(path);
    await bed.create(atlas.id, atlas.beginning);
    return { places, walk: Walk.on(bed, atlas.id, new WalkClock(), places) };
  };
  // One interruption is the first of each path; together those of Postgres begin with all of them.
  const report = await runCrashesEverywhere(open, everyNth(all, SQL_SLICES[name]), (index) => [index % INTERRUPTIONS.length]);
  print(`crashes at every place, over ${name}, of ${sliceOf(SQL_SLICES[name])}`, report);
  expect(Object.values(report.interruptions).reduce((sum, count) => sum + count, 0)).toBeGreaterThan(70);
}

function expectAllKinds({ interruptions }: CrashReport): void {
  expect(Object.entries(interruptions).filter(([, count]) => count === 0)).toEqual([]);
}

function sliceOf(every: number): string {
  return `every ${every}th of ${all.length} paths`;
}

function print(
  what: string,
  { paths, walks, places, interruptions }: CrashReport,
  leftOut: readonly string[] = SIMPLE_PATH_EXCLUSIONS,
): void {
  const crashes = Object.values(interruptions).reduce((sum, count) => sum + count, 0);
  const kinds = Object.entries(interruptions).map(([kind, count]) => `${count} ${kind}`);
  process.stdout.write(
    `${what}: ${paths} paths, ${walks} walks, ${crashes} crashes at ${places} places: ${kinds.join(", ")}; ` +
      `left out: ${leftOut.join(", ")}\n`,
  );
}
