import { sql, type SQL } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import { migrate } from "../../persistence/migrate.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import type { Commit, NewCheckout } from "../../persistence/store.ts";
import {
  commitAfter,
  commitOne,
  createdCheckout,
  MACHINE_HASH,
  passivated,
  paymentOf,
  randomId,
  receiveCommand,
} from "../conformance/store-fixtures.ts";
import { storeConformance } from "../conformance/store.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { createTestDatabase, describeOn } from "../support/server.ts";
import { startServer } from "../support/servers.ts";
import { untilAlone, untilNobodyLooksBack } from "../support/statistics.ts";

storeConformance("SQL on PGlite", async () => {
  const database = await openMemoryDatabase();
  return { store: new SqlStore(database), close: () => database.close() };
});

describeOn("postgres", "on a real Postgres", (url) => {
  storeConformance("SQL on Postgres", async () => {
    const { database, drop } = await migratedDatabase(url);
    return { store: new SqlStore(database), close: drop };
  });

  let database: Database;
  let store: SqlStore;
  let drop: () => Promise<void>;
  beforeAll(async () => {
    ({ database, drop } = await migratedDatabase(url));
    store = new SqlStore(database);
  });
  afterAll(() => drop());

  test("happy-path commits are HOT updates: they touch no index", async () => {
    // Its own server where there can be one: a transaction that lasts, in any database, keeps Postgres from freeing versions.
    const server = await startServer("postgres");
    const created = await createTestDatabase(server?.url ?? url);
    const [observer, writing] = [1, 2].map(() => connectPostgres(created.url, { connectionsMax: 1 })) as [Database, Database];
    try {
      await migrate(observer);
      await observer.rows("alter table checkoutd.contexts set (autovacuum_enabled = off)");
      const checkouts: NewCheckout[] = [];
      // One after the other, so that pages are as full as they get; then all rows of a page change at once.
      for (let i = 0; i < 40; i++) checkouts.push(await createdCheckout(new SqlStore(writing)));
      const commits = 24;
      for (let seq = 1; seq <= commits; seq++) {
        await untilNobodyLooksBack(observer);
        // One batch in two carries an event, as STEP_8's does, or touches payments: they take the longer statements.
        await new SqlStore(writing).commit(checkouts.map(({ id }) => commitAfter(id, seq, extras(seq))));
      }
      await writing.close();
      await untilAlone(observer);
      const [updates] = await observer.rows<{ all: number; hot: number }>(
        `select n_tup_upd as "all", n_tup_hot_upd as hot from pg_stat_user_tables where relname = 'contexts'`,
      );
      expect(updates?.all).toBe(commits * checkouts.length);
      // A statement of the server's own that begins in the middle of a batch may cost one of them.
      expect((updates?.hot ?? 0) / commits / checkouts.length).toBeGreaterThan(0.95);
    } finally {
      await writing.close();
      await observer.close();
      await created.drop();
      await server?.stop();
    }
  });

  test("a commit that waited for an arriving event counts it and consumes what it took", async () => {
    const { id } = await createdCheckout(store);
    const consumed = await receiveCommand(store, id);
    let commit: Promise<unknown> = Promise.resolve();
    // Holds the checkout's row as `receiveCommand` does, until the commit is seen waiting for it.
    await holdingRow(database, id, async () => {
      commit = commitOne(store, commitAfter(id, 1, { consumes: [consumed], events: [{ type: "note", data: {} }] }));
      await until(() => isBlocked(database, "jsonb_to_recordset"));
    });
    expect(await commit).toEqual({ kind: "applied", signals: 1 });
    expect((await store.events(id)).map((event) => event.eventSeq)).toEqual([1]);
  });

  test("a commit that waited for a payment event, and then for its own row, counts what arrived meanwhile", async () => {
    const { id } = await createdCheckout(store);
    const pcrId = randomId("pcr");
    let commit: Promise<unknown> = Promise.resolve();
    await holdingRow(database, id, async () => {
      // As `receivePayment` does before anybody knows the PCR.
      const arrival = sql`insert into checkoutd.pcr_contexts (pcr_id, arrived) values (${pcrId}, 3)`;
      await holding(database, arrival, async () => {
        commit = commitOne(store, commitAfter(id, 1, { pcrId }));
        await until(() => isBlocked(database, "jsonb_to_recordset"));
      });
    });
    expect(await commit).toEqual({ kind: "applied", signals: 4 });
  });

  test.each([
    ["is new", 0],
    ["was counted", 2],
  ])("a commit counts the payment event whose arrival it waited for, when the payment requirement %s", async (_, before) => {
    const { id } = await createdCheckout(store);
    const pcrId = randomId("pcr");
    for (let i = 0; i < before; i++) await store.receivePayment("provider", randomId("evt"), pcrId, paymentOf(pcrId));
    let commit: Promise<unknown> = Promise.resolve();
    const arrival = sql`insert into checkoutd.pcr_contexts as p (pcr_id, arrived) values (${pcrId}, 1)
      on conflict (pcr_id) do update set arrived = p.arrived + 1`;
    await holding(database, arrival, async () => {
      commit = commitOne(store, commitAfter(id, 1, { pcrId }));
      await until(() => isBlocked(database, "jsonb_to_recordset"));
    });
    expect(await commit).toEqual({ kind: "applied", signals: before + 1 });
  });

  test.each([
    ["is new", 0],
    ["was counted", 2],
  ])(
    "a payment event that waited for the commit that learns its payment requirement signals, when that %s",
    async (_, before) => {
      const { id } = await createdCheckout(store);
      const pcrId = randomId("pcr");
      for (let i = 0; i < before; i++) await store.receivePayment("provider", randomId("evt"), pcrId, paymentOf(pcrId));
      let receipt: Promise<unknown> = Promise.resolve();
      // What that commit does to this row; its checkout's row would only hold the event up once more.
      const learning = sql`insert into checkoutd.pcr_contexts (pcr_id, context_id, arrived) values (${pcrId}, ${id}, 0)
      on conflict (pcr_id) do update set context_id = excluded.context_id`;
      await holding(database, learning, async () => {
        receipt = store.receivePayment("provider", randomId("evt"), pcrId, paymentOf(pcrId));
        await until(() => isBlocked(database, "checkoutd.inbox"));
      });
      expect(await receipt).toEqual({ isNew: true, isContradiction: false, contextId: id });
      expect((await store.load(id))?.signals).toBe(1);
      expect(await store.unconsumed(id)).toHaveLength(before + 1);
    },
  );

  test.each([
    ["another content", 6, true],
    ["the same", 5, false],
  ])("a payment event that waited for one under its id with %s says so", async (_, amount, isContradiction) => {
    const [eventId, pcrId] = [randomId("evt"), randomId("pcr")];
    const event = paymentOf(pcrId);
    let receipt: Promise<unknown> = Promise.resolve();
    const arrival = sql`insert into checkoutd.inbox (source, event_id, pcr_id, event)
      values ('provider', ${eventId}, ${pcrId}, ${JSON.stringify(event)}::text::jsonb)`;
    await holding(database, arrival, async () => {
      receipt = store.receivePayment("provider", eventId, pcrId, { ...event, amount });
      await until(() => isBlocked(database, "checkoutd.inbox"));
    });
    expect(await receipt).toEqual({ isNew: false, isContradiction, contextId: null });
  });

  test("a claim passes by a row that is locked", async () => {
    const { id } = await passivated(store, 1);
    await holdingRow(database, id, async () => {
      await store.heartbeat("node_impatient", 60_000, [MACHINE_HASH]);
      expect(await store.claimRunnable("node_impatient", 100)).not.toContain(id);
      expect(await store.claim(id, "node_impatient")).toBeNull();
    });
  });
});

async function migratedDatabase(url: string): Promise<{ database: Database; drop: () => Promise<void> }> {
  const created = await createTestDatabase(url);
  const database = connectPostgres(created.url);
  await migrate(database);
  const drop = async () => {
    await database.close();
    await created.drop();
  };
  return { database, drop };
}

/** Raises `signals` in an open transaction while `work` runs. */
function holdingRow(database: Database, id: string, work: () => Promise<void>): Promise<void> {
  return holding(database, sql`update checkoutd.contexts set signals = signals + 1 where id = ${id}`, work);
}

/** Keeps the locks of `statement` until `work` is done, then commits it. */
async function holding(database: Database, statement: SQL, work: () => Promise<void>): Promise<void> {
  await database.transaction(async (tx) => {
    await tx.execute(statement);
    await work();
  });
}

/** True when a statement that contains `part` waits for a lock. */
async function isBlocked(database: Database, part: string): Promise<boolean> {
  const rows = await database.rows(
    "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and position($1 in query) > 0",
    [part],
  );
  return rows.length > 0;
}

/** What some of the happy path's commits carry. */
function extras(seq: number): Partial<Commit> {
  if (seq === 4) return { pcrId: randomId("pcr") };
  if (seq === 6)
    return { transfers: [{ debit: "SUSPENSE", credit: "PROVIDER", amount: 1, currency: "MXN", pspReference: "psp" }] };
  return seq % 2 === 0 ? { events: [{ type: "line_items_updated", data: {} }] } : {};
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition()));
}
