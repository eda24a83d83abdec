/**
 * What is removed of checkouts that ended long ago. One that was never asked to pay goes entirely. Of any other a tombstone
 * stays, because money may still come for it: its row, its newest checkpoint with the journal from there on, its payment
 * requirement, its ledger, and the last number of each type of its events (docs/decisions/0017).
 */
import { sql, type SQL } from "drizzle-orm";
import { rowsOf, type Database, type Orm } from "./connect.ts";

/** Checkouts looked at at once: some ten thousand rows, locked for as long as they take to be deleted. */
const BATCH = 500;

/** Where a batch ended, by the time of the end and the id. */
export interface RetentionCursor {
  readonly finishedAt: string;
  readonly id: string;
}

export interface RemovedBatch {
  /** Checkouts of which something was removed. */
  readonly checkouts: number;
  /** Those of them of which a tombstone stays. */
  readonly tombstones: number;
  /** In all tables. */
  readonly rows: number;
  /** Null: nothing more finished before then. */
  readonly last: RetentionCursor | null;
}

export type Removable = Pick<RemovedBatch, "checkouts" | "tombstones">;

/**
 * Removes the next checkouts after `after`, the oldest first, that finished more than `days` days ago, by the database's
 * clock, and owe nothing. One transaction: all of a checkout or nothing. May run beside nodes, and beside another one of its
 * kind: what somebody has locked is left out.
 */
export async function removeFinished(database: Database, days: number, after: RetentionCursor | null): Promise<RemovedBatch> {
  const [batch] = await database.transaction(async (tx) => {
    await readByIndex(tx);
    return rowsOf<Omit<RemovedBatch, "last"> & RetentionCursor>(await tx.execute(removal(days, after)));
  });
  if (batch === undefined) return { checkouts: 0, tombstones: 0, rows: 0, last: null };
  const { checkouts, tombstones, rows, ...last } = batch;
  return { checkouts, tombstones, rows, last };
}

/** What `removeFinished` would remove until it finds nothing more. Changes nothing. */
export async function countRemovable(database: Database, days: number): Promise<Removable> {
  const [counted] = await database.transaction(async (tx) => {
    await readByIndex(tx);
    return rowsOf<Removable>(await tx.execute(count(days)));
  });
  return counted ?? { checkouts: 0, tombstones: 0 };
}

/**
 * For the rest of a transaction. A batch is small whatever the tables hold, and the planner doesn't know: by statistics that
 * are old, or of tables that are still short, it would read all that stays. What is off counts as very costly: without
 * `jit` it would be compiled each time.
 */
export async function readByIndex(tx: Orm): Promise<void> {
  const settings = ["enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "enable_sort", "jit"];
  await tx.execute(sql.raw(`select ${settings.map((setting) => `set_config('${setting}', 'off', true)`).join()}`));
}

/** In the order of the index, without what retention has been at. */
const finished = (days: number, { finishedAt, id }: RetentionCursor) => sql`
  select c.id, c.finished_at from checkoutd.contexts c
  where c.finished_at < now() - ${days}::int * interval '1 day' and (c.finished_at, c.id) > (${finishedAt}::timestamptz, ${id}::text)
    and c.signals is distinct from c.retained_signals`;

/*
 * Whether such a one has nothing to do and nothing to tell. A checkout that anybody touched since has another `updated_at`,
 * `signals` or owner, and a lock looks at those anew: so what the statement sees of its other rows is how they are.
 */
const removable = (days: number) => sql`
  select c.id, (select s.seq from checkoutd.snapshots s where s.context_id = c.id) as checkpoint_seq,
    exists (select from checkoutd.pcr_contexts p where p.context_id = c.id)
      or exists (select from checkoutd.ledger l where l.context_id = c.id) as stays
  from checkoutd.contexts c
  where c.id = f.id and c.updated_at < now() - ${days}::int * interval '1 day' and c.signals = c.consumed
    and c.signals is distinct from c.retained_signals
    and c.owner is null and c.wake_at is null and c.parked_reason is null
    and not exists (select from checkoutd.suspense m where m.context_id = c.id and m.amount <> 0)
    and not exists (select from checkoutd.outbox o where o.context_id = c.id and o.acknowledged_at is null)`;

const THE_FIRST: RetentionCursor = { finishedAt: "-infinity", id: "" };

/*
 * 1. finished   the next ones, bounded: what stays of them is not looked at again by the next batch.
 * 2. removable  locked. Skipped when locked: a node is at work on it, or another retention.
 * 3. numbered   of the events that go, the last number of each type.
 * 4. known_as   the names under which a checkout's inbox rows arrived: its own, and its PCR's.
 * 5. what goes of each, by its index. Nobody else writes these rows while their checkout's row is locked, but the relay,
 *    which has none of them left to mark.
 * 6. tombstones, and those that go entirely. A preference whose undo was done by hand may still have its payload, and
 *    nobody could find it by its user any more.
 */
export const removal = (days: number, after: RetentionCursor | null): SQL => sql`
with finished as materialized (${finished(days, after ?? THE_FIRST)}
  order by c.finished_at, c.id limit ${sql.raw(String(BATCH))}
), removable as materialized (
  select r.* from finished f cross join lateral (${removable(days)}
    for update of c skip locked) r
), numbered as (
  select context_id, jsonb_object_agg(type, last) as type_seqs from (
    select o.context_id, o.type, max(o.type_seq) as last from checkoutd.outbox o join removable r on r.id = o.context_id
    group by o.context_id, o.type
  ) types group by context_id
), known_as as materialized (
  select id as name from removable
  union all select p.pcr_id from checkoutd.pcr_contexts p join removable r on r.id = p.context_id
), no_journal as (
  delete from checkoutd.journal j using removable r
  where j.context_id = r.id and (not r.stays or j.seq < r.checkpoint_seq) returning 1
), no_outbox as (
  delete from checkoutd.outbox o using removable r where o.context_id = r.id returning 1
), no_inbox as (
  delete from checkoutd.inbox b using known_as k
  where coalesce(b.context_id, b.pcr_id) = k.name and b.consumed_seq is not null returning 1
), no_request as (
  delete from checkoutd.requests q using removable r where q.context_id = r.id returning 1
), no_key as (
  delete from checkoutd.idempotency_keys k using removable r where k.context_id = r.id returning 1
), no_checkpoint as (
  delete from checkoutd.snapshots s using removable r where s.context_id = r.id and not r.stays returning 1
), no_payload as (
  update checkoutd.post_selling_preferences p set payload = null
  from removable r where p.context_id = r.id and not r.stays and p.payload is not null
), tombstones as (
  update checkoutd.contexts c
  set retained_signals = c.signals, type_seqs = coalesce(c.type_seqs, '{}') || coalesce(n.type_seqs, '{}')
  from removable r left join numbered n on n.context_id = r.id where c.id = r.id and r.stays returning 1
), gone as (
  delete from checkoutd.contexts c using removable r where c.id = r.id and not r.stays returning 1
)
select (select count(*) from removable)::int as checkouts, (select count(*) from tombstones)::int as tombstones,
  ((select count(*) from no_journal) + (select count(*) from no_outbox) + (select count(*) from no_inbox)
    + (select count(*) from no_request) + (select count(*) from no_key) + (select count(*) from no_checkpoint)
    + (select count(*) from gone))::int as rows,
  last.finished_at::text as "finishedAt", last.id
from (select finished_at, id from finished order by finished_at desc, id desc limit 1) last`;

const count = (days: number): SQL => sql`
with finished as (${finished(days, THE_FIRST)}
)
select count(*)::int as checkouts, count(*) filter (where stays)::int as tombstones from finished f cross join lateral (${removable(days)}) removable`;
