/** Fifty checkouts' commits in one statement beside fifty statements, by turns, on the same checkouts. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import { openEmbedded } from "../../persistence/embedded-database.ts";
import { migrate } from "../../persistence/migrate.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { commitAfter, createdCheckout } from "../conformance/store-fixtures.ts";
import { describeOn } from "../support/server.ts";
import { startServer } from "../support/servers.ts";
import { isLong, median, tell, timed } from "./figures.ts";

const BATCH = 50;
const ROUNDS = isLong ? 25 : 7;
/** Statements are parsed on each connection's first use, and planned anew for five more. */
const WARM_UP_ROUNDS = 3;
const RATIO_MIN = 8;

/** As a Postgres is set up in production; test servers don't wait for the disk. */
const DURABLE = ["fsync=on", "full_page_writes=on", "synchronous_commit=on"];
const HASTY = ["fsync=off", "full_page_writes=off", "synchronous_commit=off"];

describeOn("postgres", "group commit on Postgres", () => {
  test.each([
    ["that waits for the disk", DURABLE],
    ["that doesn't", HASTY],
  ])(`%s: ${BATCH} at once are at least ${RATIO_MIN} times as fast as one by one`, async (_, settings) => {
    const server = await startServer("postgres", { args: settings.flatMap((setting) => ["-c", setting]) });
    if (server === null) throw new Error("This measurement sets a server up by itself, so it needs Postgres here.");
    const database = connectPostgres(server.url);
    try {
      await migrate(database);
      const shown = await database.rows<{ name: string; setting: string }>(SETTINGS);
      const ratio = await measured(database, shown.map(({ name, setting }) => `${name} ${setting}`).join(", "));
      expect(ratio, "commits in one statement, per commit by itself").toBeGreaterThanOrEqual(RATIO_MIN);
    } finally {
      await database.close();
      await server.stop();
    }
  });
});

describe("group commit embedded", () => {
  test(`${BATCH} at once are at least ${RATIO_MIN} times as fast as one by one`, async () => {
    const directory = await mkdtemp(join(tmpdir(), "checkoutd-measure-"));
    const database = await openEmbedded(directory);
    try {
      await migrate(database);
      expect(await measured(database, "PGlite, which never waits for the disk"), "the ratio").toBeGreaterThanOrEqual(RATIO_MIN);
    } finally {
      await database.close();
      await rm(directory, { recursive: true });
    }
  });
});

const SETTINGS = `select name, setting from pg_settings
  where name in ('fsync', 'synchronous_commit', 'full_page_writes', 'wal_sync_method', 'server_version') order by name`;

/** The median of the rounds' ratios. */
async function measured(database: Database, where: string): Promise<number> {
  const store = new SqlStore(database);
  const checkouts = await Promise.all(Array.from({ length: BATCH }, () => createdCheckout(store)));
  let seq = 1;
  const atOnce = async () => {
    const results = await store.commit(checkouts.map(({ id }) => commitAfter(id, seq)));
    expect(results).toEqual(checkouts.map(() => ({ kind: "applied", signals: 0 })));
  };
  const oneByOne = async () => {
    for (const { id } of checkouts) {
      expect(await store.commit([commitAfter(id, seq)])).toEqual([{ kind: "applied", signals: 0 }]);
    }
  };
  const rounds: { readonly atOnce: number; readonly oneByOne: number }[] = [];
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
    const times = { atOnce: 0, oneByOne: 0 };
    // By turns who begins, so that neither always finds what the other left behind.
    const order = round % 2 === 0 ? (["atOnce", "oneByOne"] as const) : (["oneByOne", "atOnce"] as const);
    for (const way of order) {
      times[way] = await timed(way === "atOnce" ? atOnce : oneByOne);
      seq++;
    }
    if (round >= WARM_UP_ROUNDS) rounds.push(times);
  }
  const ratio = median(rounds.map((times) => times.oneByOne / times.atOnce));
  const perSecond = (way: "atOnce" | "oneByOne") => (BATCH / median(rounds.map((times) => times[way]))).toFixed(0);
  tell(`${where}:`);
  tell(
    `  ${BATCH} at once ${perSecond("atOnce")} commits/s, one by one ${perSecond("oneByOne")}; ratio ${ratio.toFixed(1)} (median of ${ROUNDS} rounds)`,
  );
  return ratio;
}
