/** `npm run retention` as an operator runs it: a process of its own, on a database with years of checkouts in it. */
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import { openEmbedded } from "../../persistence/embedded-database.ts";
import { migrate } from "../../persistence/migrate.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { readArguments } from "../../scripts/retention/arguments.ts";
import { commitAfter, commitOne, createdCheckout, randomId } from "../conformance/store-fixtures.ts";
import { copyCheckout } from "../support/copies.ts";
import { runScriptProcess, spawnScript } from "../support/script-process.ts";
import { createTestDatabase, describeOn, type TestDatabase } from "../support/server.ts";

const TIMEOUT_MS = 300_000;
const MANY = 10_000;
/** As many as a checkout that is paid at once leaves. */
const ENTRIES = 25;

describe("what retention is told", () => {
  test.each([
    [["--days", "30"], { days: 30, isDryRun: false, dataDir: null }],
    [["--days", "1", "--dry-run", "--data", "/srv/data"], { days: 1, isDryRun: true, dataDir: "/srv/data" }],
    [["--help"], null],
  ])("%j", (given, expected) => expect(readArguments(given)).toEqual(expected));

  test.each([
    [[], "--days must be a whole number from 1 to 36500."],
    [["--days", "0"], "--days must be a whole number from 1 to 36500."],
    [["--days", "1.5"], "--days must be a whole number from 1 to 36500."],
    [["--days", "36501"], "--days must be a whole number from 1 to 36500."],
    [["--days", "7", "--data", ""], "--data must name the directory"],
    [["--all"], "Unknown option"],
  ])("%j is refused: %s", (given, message) => expect(() => readArguments(given)).toThrow(message));
});

/** Finished 40 days ago: of so many, half were never asked to pay. */
async function fill(database: Database, count: number): Promise<readonly string[]> {
  const ids = await Promise.all([finishedCheckout(database, null), finishedCheckout(database, randomId("pcr"))]);
  for (const id of ids) await copyCheckout(database, id, "copy", count / 2 - 1);
  await database.rows(
    "update checkoutd.contexts set finished_at = now() - interval '40 days', updated_at = now() - interval '40 days'",
  );
  return ids;
}

async function finishedCheckout(database: Database, pcrId: string | null): Promise<string> {
  const store = new SqlStore(database);
  const { id } = await createdCheckout(store);
  const paying = pcrId === null ? {} : { pcrId };
  const events = ["checkout_initiated", "checkout_rolled_back"].map((type) => ({ type, data: { note: "…".repeat(100) } }));
  await commitOne(store, commitAfter(id, 1, { ...paying, events }));
  for (let seq = 2; seq < ENTRIES; seq++) await commitOne(store, commitAfter(id, seq));
  const end = { snapshot: { note: "…".repeat(500) }, timers: {} };
  await commitOne(
    store,
    commitAfter(id, ENTRIES, { finished: true, passivate: true, checkpoint: end, release: { completed: false } }),
  );
  await database.rows("update checkoutd.outbox set acknowledged_at = now() where context_id = $1", [id]);
  return id;
}

/** What is left: whole checkouts, tombstones, and anything that is neither. */
async function census(database: Database) {
  const [found] = await database.rows<{ whole: number; tombstones: number; odd: number; orphans: number }>(CENSUS);
  return found;
}

const CENSUS = `
with kept as (
  select c.id, c.type_seqs is not null as is_tombstone,
    (select count(*) from checkoutd.journal j where j.context_id = c.id) as entries,
    (select count(*) from checkoutd.outbox o where o.context_id = c.id) as events,
    (select count(*) from checkoutd.snapshots s where s.context_id = c.id) as checkpoints,
    (select count(*) from checkoutd.requests q where q.context_id = c.id)
      + (select count(*) from checkoutd.idempotency_keys k where k.context_id = c.id) as requests
  from checkoutd.contexts c
), sorted as (
  select *, not is_tombstone and entries = ${ENTRIES + 1} and events = 2 and checkpoints = 1 and requests = 2 as is_whole,
    is_tombstone and entries = 1 and events = 0 and checkpoints = 1 and requests = 0 as is_rest
  from kept
)
select count(*) filter (where is_whole)::int as whole, count(*) filter (where is_rest)::int as tombstones,
  count(*) filter (where not is_whole and not is_rest)::int as odd,
  (select count(*)::int from checkoutd.journal j where not exists (select from checkoutd.contexts c where c.id = j.context_id)) as orphans
from sorted`;

describeOn("postgres", "npm run retention", (postgresUrl) => {
  let created: TestDatabase;
  let database: Database;
  beforeAll(async () => {
    created = await createTestDatabase(postgresUrl);
    database = connectPostgres(created.url);
    await migrate(database);
    await fill(database, MANY);
  }, TIMEOUT_MS);
  afterAll(async () => {
    await database.close();
    await created.drop();
  });
  const run = (...args: string[]) => runScriptProcess("retention", args, { DATABASE_URL: created.url });

  test("a dry run says how much there is, and changes nothing", { timeout: TIMEOUT_MS }, async () => {
    const { code, stdout } = await run("--days", "30", "--dry-run");
    expect([code, stdout]).toEqual([
      0,
      `${MANY} checkouts finished more than 30 days ago and owe nothing; ${MANY / 2} of them would leave a tombstone.\n`,
    ]);
    expect((await run("--days", "41")).stdout).toMatch(/^0 checkouts removed, 0 rows/);
    expect(await census(database)).toEqual({ whole: MANY, tombstones: 0, odd: 0, orphans: 0 });
  });

  test(
    "killed in the midst of a batch: every checkout is whole, a tombstone or gone; the next run ends it",
    { timeout: TIMEOUT_MS },
    async () => {
      // Some way in, a row that it wants to delete is locked: it stands in the midst of a batch.
      const [held] = await database.rows<{ id: string }>(
        "select id from checkoutd.contexts order by finished_at, id offset 2200 limit 1",
      );
      await database.transaction(async (tx) => {
        await tx.execute(sql`select from checkoutd.journal where context_id = ${held?.id ?? ""} for update`);
        const script = await spawnScript("retention", ["--days", "30"], { DATABASE_URL: created.url });
        await comes(database, true);
        script.kill("SIGKILL");
        await once(script, "close");
      });
      await comes(database, false);
      const left = (await census(database)) ?? { whole: 0, tombstones: 0 };
      expect(left).toMatchObject({ odd: 0, orphans: 0 });
      expect(left.whole).toBeGreaterThan(0);
      expect(left.whole).toBeLessThan(MANY);

      const startedAt = performance.now();
      const { code, stdout } = await run("--days", "30");
      const seconds = (performance.now() - startedAt) / 1000;
      process.stdout.write(`retention: ${left.whole} checkouts in ${seconds.toFixed(1)} s, start of the process included\n`);
      expect([code, stdout]).toEqual([0, expect.stringMatching(new RegExp(`^${left.whole} checkouts removed, \\d+ rows; `))]);
      expect(await census(database)).toEqual({ whole: 0, tombstones: MANY / 2, odd: 0, orphans: 0 });
      expect((await run("--days", "30")).stdout).toMatch(/^0 checkouts removed, 0 rows; 0 of them/);
    },
  );
});

/** Whether a batch waits for a row. */
function comes(database: Database, isWaiting: boolean): Promise<void> {
  return vi.waitFor(async () => expect(await isBlocked(database)).toBe(isWaiting), { timeout: 60_000, interval: 40 });
}

async function isBlocked(database: Database): Promise<boolean> {
  const waiting = await database.rows(
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%finished as materialized%'",
  );
  return waiting.length > 0;
}

test("an embedded directory is named with --data; one that a service uses is left alone", { timeout: TIMEOUT_MS }, async () => {
  const directory = await mkdtemp(join(tmpdir(), "checkoutd-retention-"));
  try {
    const database = await openEmbedded(directory);
    await migrate(database);
    await fill(database, 20);
    expect(await runScriptProcess("retention", ["--days", "30", "--data", directory])).toMatchObject({ code: 75 });
    await database.close();
    const { code, stdout } = await runScriptProcess("retention", ["--days", "30", "--data", directory]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^20 checkouts removed, \d+ rows; 10 of them left a tombstone/)]);
    expect(await runScriptProcess("retention", ["--days", "30", "--data", join(directory, "elsewhere")])).toMatchObject({
      code: 66,
    });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
});
