/**
 * Writers whose batches share checkouts, while fences move, payments and commands arrive, and two relays mark: nobody
 * deadlocks, and what was acknowledged is what is stored.
 */
import { expect, test } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import { migrate } from "../../persistence/migrate.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import type { Commit, PublicationMark } from "../../persistence/store.ts";
import { checkpointAt, commitAfter, createdCheckout, liveNode, paymentOf, randomId } from "../conformance/store-fixtures.ts";
import { createTestDatabase, describeOn } from "../support/server.ts";
import { untilAlone } from "../support/statistics.ts";
import { isLong, tell, timed } from "./figures.ts";

const WRITERS = 6;
const BATCHES_A_WRITER = isLong ? 1_000 : 150;
const CHECKOUTS = 24;
const ROUNDS_BEFORE_A_PASSIVATION = 9;
const EVERY_SHARD = Array.from({ length: 16 }, (_, shard) => shard);
const CONNECTIONS = 16;

/** What the store said. */
interface Acknowledged {
  readonly applied: Map<string, number>;
  refused: number;
  transfers: number;
  arrived: number;
  marked: number;
}

describeOn("postgres", "contended commits", (url) => {
  test(`no deadlock in ${WRITERS * BATCHES_A_WRITER} batches, and acknowledged is stored`, async () => {
    const created = await createTestDatabase(url);
    const observer = connectPostgres(created.url, { connectionsMax: 1 });
    await migrate(observer);
    const database = connectPostgres(created.url, { connectionsMax: CONNECTIONS });
    try {
      const before = await deadlocks(observer);
      const { acknowledged, seconds } = await contend(new SqlStore(database));
      await database.close();
      await untilAlone(observer);
      const met = (await deadlocks(observer)) - before;
      const { applied, refused, arrived, marked } = acknowledged;
      const commits = [...applied.values()].reduce((sum, count) => sum + count, 0);
      tell(
        `${WRITERS} writers, ${WRITERS * BATCHES_A_WRITER} batches in ${seconds.toFixed(1)} s: ${met} deadlocks; ` +
          `${commits} commits applied, ${refused} refused; ${arrived} arrivals and ${marked} marks meanwhile`,
      );
      expect(met, "pg_stat_database.deadlocks").toBe(0);
      // Otherwise nothing was contended.
      for (const number of [commits, refused, arrived, marked]) expect(number, "of each there was some").toBeGreaterThan(100);
      await expectStored(observer, acknowledged);
    } finally {
      await database.close();
      await observer.close();
      await created.drop();
    }
  });
});

/** An error of any of them, 40P01 (deadlock detected) among others, rejects. */
async function contend(store: SqlStore): Promise<{ readonly acknowledged: Acknowledged; readonly seconds: number }> {
  const ids = await Promise.all(Array.from({ length: CHECKOUTS }, async () => (await createdCheckout(store)).id));
  const acknowledged: Acknowledged = {
    applied: new Map(ids.map((id) => [id, 0])),
    refused: 0,
    transfers: 0,
    arrived: 0,
    marked: 0,
  };
  const node = await liveNode(store);
  let isOver = false;
  const meanwhile = (work: () => Promise<void>) => repeat(work, () => isOver);
  const seconds = await timed(async () => {
    const writers = Array.from({ length: WRITERS }, (_, writer) => write(store, ids, writer, acknowledged));
    await Promise.all([
      Promise.all(writers).finally(() => (isOver = true)),
      meanwhile(() => arrive(store, ids, acknowledged)),
      meanwhile(() => arrive(store, ids.toReversed(), acknowledged)),
      meanwhile(() => mark(store, acknowledged)),
      meanwhile(() => mark(store, acknowledged)),
      meanwhile(async () => void (await store.claimRunnable(node, 5))),
    ]);
  });
  return { acknowledged, seconds };
}

async function repeat(work: () => Promise<void>, isOver: () => boolean): Promise<void> {
  while (!isOver()) await work();
}

/** One that believes what it is told: it moves on after an applied commit, and adopts what a refusal shows. */
async function write(store: SqlStore, ids: readonly string[], writer: number, acknowledged: Acknowledged): Promise<void> {
  const seen = new Map(ids.map((id) => [id, { seq: 1, fence: 1 }]));
  for (let round = 0; round < BATCHES_A_WRITER; round++) {
    // A different half of them, in a different order, for each writer and round.
    const mine = ids.filter((_, i) => (i + round + writer) % 2 === 0);
    if (writer % 2 === 0) mine.reverse();
    const looked = mine[round % mine.length] ?? "";
    const consumes = await store.unconsumed(looked);
    const batch = mine.map((id) => {
      const { seq, fence } = seen.get(id) ?? { seq: 1, fence: 1 };
      return commitAfter(id, seq, { fence, ...partsOf(id, seq), ...(id === looked ? { consumes } : {}) });
    });
    const results = await store.commit(batch);
    for (const [i, result] of results.entries()) {
      const commit = batch[i];
      if (commit === undefined || result.kind === "unknown_checkout") throw new Error("an answer to nothing");
      seen.set(commit.id, result.kind === "applied" ? { seq: commit.entry.seq, fence: commit.fence } : result);
      if (result.kind === "refused") acknowledged.refused++;
      else {
        acknowledged.applied.set(commit.id, (acknowledged.applied.get(commit.id) ?? 0) + 1);
        acknowledged.transfers += commit.transfers?.length ?? 0;
      }
    }
    const owner = (await store.load(looked))?.owner;
    if (owner) await store.claim(looked, owner);
  }
}

/** An event each, as STEP_8 has; payment requirements, money and rests now and then. */
function partsOf(id: string, seq: number): Partial<Commit> {
  return {
    events: [{ type: "moved", data: { seq } }],
    ...(seq % 3 === 0 ? { pcrId: pcrOf(id, seq) } : {}),
    ...(seq % 4 === 1 ? { transfers: [CAPTURE] } : {}),
    ...(seq % ROUNDS_BEFORE_A_PASSIVATION === 0 ? { passivate: true, checkpoint: checkpointAt(seq + 1) } : {}),
  };
}

const CAPTURE = { debit: "PROVIDER", credit: "SUSPENSE", amount: 1, currency: "INR", pspReference: "psp" } as const;
const pcrOf = (id: string, seq: number) => `pcr_${id}_${seq}`;

/** Payments of requirements that are known, are about to be, or will never be; and commands. */
async function arrive(store: SqlStore, ids: readonly string[], acknowledged: Acknowledged): Promise<void> {
  for (const id of ids) {
    const seq = (acknowledged.applied.get(id) ?? 0) + 1;
    const pcrId = pcrOf(id, seq - (seq % 3) + 3 * Math.floor(Math.random() * 2));
    const { isNew } = await store.receivePayment("provider", randomId("evt"), pcrId, paymentOf(pcrId));
    const isHeard = await store.receiveCommand("client", randomId("cmd"), id, { type: "CANCEL" });
    acknowledged.arrived += Number(isNew) + Number(isHeard);
  }
}

async function mark(store: SqlStore, acknowledged: Acknowledged): Promise<void> {
  const events = await store.unpublished(EVERY_SHARD, 8);
  const marks = events.map(({ contextId, eventSeq, tries }): PublicationMark => {
    const place = { contextId, eventSeq };
    return tries === 0 && eventSeq % 5 === 0 ? { ...place, kind: "failed", retryAfterMs: 0 } : { ...place, kind: "acknowledged" };
  });
  await store.markPublished(marks);
  acknowledged.marked += marks.length;
}

async function expectStored(database: Database, { applied, transfers, arrived }: Acknowledged): Promise<void> {
  const rows = await database.rows<{ id: string } & Record<string, number>>(STORED);
  expect(rows).toHaveLength(applied.size);
  for (const { id, ...stored } of rows) {
    const commits = applied.get(id) ?? -1;
    expect(stored, `journal of ${id}`).toMatchObject({ seq: commits + 1, entries: commits + 1, last_entry: commits + 1 });
    expect(stored, `outbox of ${id}`).toMatchObject({ event_seq: commits, events: commits, last_type_seq: commits });
    expect([stored["signals"], stored["consumed"]], `inbox of ${id}`).toEqual([stored["heard"], stored["taken"]]);
  }
  const [all] = await database.rows(
    "select (select count(*) from checkoutd.inbox) as inbox, (select count(*) from checkoutd.ledger) as ledger",
  );
  expect(all).toEqual({ inbox: arrived, ledger: transfers });
}

const HEARD = `from checkoutd.inbox b where coalesce(b.context_id, (select p.context_id from checkoutd.pcr_contexts p where p.pcr_id = b.pcr_id)) = c.id`;
const STORED = `
select c.id, c.seq, c.event_seq, c.signals, c.consumed,
  (select count(*) from checkoutd.journal j where j.context_id = c.id) as entries,
  (select max(seq) from checkoutd.journal j where j.context_id = c.id) as last_entry,
  (select count(*) from checkoutd.outbox o where o.context_id = c.id) as events,
  (select max(type_seq) from checkoutd.outbox o where o.context_id = c.id) as last_type_seq,
  (select count(*) ${HEARD}) as heard, (select count(*) ${HEARD} and b.consumed_seq is not null) as taken
from checkoutd.contexts c`;

async function deadlocks(database: Database): Promise<number> {
  const [row] = await database.rows<{ deadlocks: number }>(
    "select deadlocks from pg_stat_database where datname = current_database()",
  );
  return row?.deadlocks ?? Number.NaN;
}
