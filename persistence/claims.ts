/** Who acts on which checkout: node leases, claims and fences, all judged by the database's clock. */
import type { Database } from "./connect.ts";

/** A checkout that was claimed this often since its last commit crashes its node, and is parked instead. */
const CLAIMS_WITHOUT_PROGRESS_MAX = 5;
/** Other nodes look at the same candidates; with some to spare, each finds rows that nobody has locked. */
const CANDIDATES_PER_CLAIM = 4;

export async function claimRunnable(database: Database, nodeId: string, limit: number): Promise<readonly string[]> {
  const claimed = await database.rows<{ id: string }>(CLAIM_RUNNABLE, [nodeId, limit]);
  return claimed.map((row) => row.id);
}

export async function claimOne(database: Database, id: string, nodeId: string): Promise<number | null> {
  const [claimed] = await database.rows<{ fence: number }>(CLAIM_ONE, [nodeId, 1, id]);
  return claimed?.fence ?? null;
}

export async function heartbeat(
  database: Database,
  nodeId: string,
  ttlMs: number,
  machineHashes: readonly string[],
): Promise<boolean> {
  return (await database.rows(HEARTBEAT, [nodeId, ttlMs, machineHashes.join()])).length > 0;
}

export async function endLease(database: Database, nodeId: string): Promise<void> {
  // Ended, not deleted: a late heartbeat of the same process must find that it is over.
  await database.rows(END_LEASE, [nodeId]);
}

export async function endOtherLeases(database: Database, nodeId: string): Promise<void> {
  await database.rows("update checkoutd.nodes set lease_until = least(lease_until, clock_timestamp()) where id <> $1", [nodeId]);
}

/** Statements of their own: a share that another node claims in between is seen at the next call. */
export async function claimShards(database: Database, nodeId: string): Promise<readonly number[]> {
  await database.rows(SETTLE_SHARDS, [nodeId]);
  await database.rows(ASK_FOR_SHARDS, [nodeId]);
  const owned = await database.rows<{ shard: number }>(
    "select shard from checkoutd.relay_shards where owner = $1 order by shard",
    [nodeId],
  );
  return owned.map(({ shard }) => shard);
}

const LIVE_NODES = `live as (select id from checkoutd.nodes where lease_until > clock_timestamp())`;
/** All in one order: no two nodes wait for one another in a circle. */
const LOCKED_SHARDS = `locked as materialized (select shard from checkoutd.relay_shards order by shard for update)`;

/** What nobody publishes is taken, all of it: a node may live and publish nothing. What another asked for is handed over. */
const SETTLE_SHARDS = `
with ${LIVE_NODES}, ${LOCKED_SHARDS}
update checkoutd.relay_shards s
set owner = case when s.owner = $1 and s.wanted_by in (select id from live) then s.wanted_by else $1 end, wanted_by = null
from locked l
where l.shard = s.shard and $1 in (select id from live)
  and ((s.owner = $1 and s.wanted_by is not null) or s.owner is null or s.owner not in (select id from live))`;

/** Up to an equal share, of those who have more than theirs. */
const ASK_FOR_SHARDS = `
with ${LIVE_NODES}, ${LOCKED_SHARDS}, publishers as (
  select count(distinct id) as number from (select owner as id from checkoutd.relay_shards where owner is not null union select $1) p
), mine as (
  select count(*) as number from checkoutd.relay_shards where owner = $1 or wanted_by = $1
), surplus as (
  select s.shard, row_number() over (order by s.shard) as place from (
    select shard, wanted_by, owner, row_number() over (partition by owner order by shard) as own_place
    from checkoutd.relay_shards where owner <> $1
  ) s, publishers
  where s.own_place > ceil((select count(*) from checkoutd.relay_shards)::numeric / publishers.number) and s.wanted_by is null
)
update checkoutd.relay_shards s set wanted_by = $1
from surplus, publishers, mine, locked l
where s.shard = surplus.shard and l.shard = s.shard and $1 in (select id from live)
  and surplus.place <= floor((select count(*) from checkoutd.relay_shards)::numeric / publishers.number) - mine.number`;

/** An orderly end is no crash: the checkouts that this node gives up start counting anew. */
const END_LEASE = `
with ended as (
  update checkoutd.nodes set lease_until = least(lease_until, clock_timestamp()) where id = $1
)
update checkoutd.contexts set claims_without_progress = 0 where owner = $1 and claims_without_progress > 0`;

const HAS_LIVE_OWNER = `exists (select from checkoutd.nodes n where n.id = c.owner and n.lease_until > clock_timestamp())`;

/** The node's own row says which versions it runs; the others' checkouts are none of its candidates, however many there are. */
const IS_KNOWN = `c.machine_hash = any ((select n.machine_hashes from checkoutd.nodes n where n.id = $1)::text[])`;

/*
 * 1. candidates  seen without a lock, with the fence that they had.
 * 2. locked      those still at that fence: a claim that committed meanwhile has raised it. (Asking again whether
 *                the owner is alive would not do: a recheck under FOR UPDATE doesn't run the anti-join anew.)
 *                SKIP LOCKED: whoever holds a row's lock is committing or claiming it. Lateral, so that it is by the
 *                key of each: a join that is planned for many candidates reads the whole table.
 * 3. claimed     a new fence each; or parked, when it was claimed too often without a commit.
 * A node whose own lease is over gets nothing.
 */
const claim = (candidates: string) => `
with candidates as materialized (${candidates}), locked as materialized (
  select c.id from candidates k cross join lateral (
    select c.id from checkoutd.contexts c
    where c.id = k.id and c.fence = k.fence and c.parked_reason is null for update skip locked
  ) c
  where exists (select from checkoutd.nodes n where n.id = $1 and n.lease_until > clock_timestamp())
  limit $2
), claimed as (
  update checkoutd.contexts c
  set fence = c.fence + 1,
    claims_without_progress = c.claims_without_progress + 1,
    owner = case when c.claims_without_progress < ${CLAIMS_WITHOUT_PROGRESS_MAX} then $1 end,
    parked_reason = case when c.claims_without_progress < ${CLAIMS_WITHOUT_PROGRESS_MAX} then null
      else 'claimed ' || c.claims_without_progress || ' times without progress; the last owner was ' || coalesce(c.owner, 'nobody') end
  from locked l where c.id = l.id
  returning c.id, c.fence, c.owner
)
select id, fence from claimed where owner is not null`;

/**
 * One branch an index; a timer is compared with the statement's time, because clock_timestamp() may change from row to row
 * and so can't be looked up: every waiting checkout would be read. An orphan is looked at whatever it was doing; what is
 * given up finished has left nothing to do.
 */
const CLAIM_RUNNABLE = claim(`
  (select c.id, c.fence from checkoutd.contexts c
    where c.owner is not null and c.parked_reason is null and ${IS_KNOWN} and not ${HAS_LIVE_OWNER}
    limit $2::int * ${CANDIDATES_PER_CLAIM})
  union
  (select c.id, c.fence from checkoutd.contexts c
    where c.owner is null and c.parked_reason is null and c.wake_at <= statement_timestamp() and ${IS_KNOWN}
    order by c.wake_at limit $2::int * ${CANDIDATES_PER_CLAIM})
  union
  (select c.id, c.fence from checkoutd.contexts c
    where c.owner is null and c.parked_reason is null
      and (c.signals > c.consumed or (c.finished_at is null and c.wake_at is null)) and ${IS_KNOWN}
    order by c.id limit $2::int * ${CANDIDATES_PER_CLAIM})`);

const CLAIM_ONE = claim(`
  select c.id, c.fence from checkoutd.contexts c
  where c.id = $3 and ${IS_KNOWN} and (c.owner is null or c.owner = $1 or not ${HAS_LIVE_OWNER})`);

const LONG_AGO = `(statement_timestamp() - $1::double precision * interval '1 ms')`;

/** Since when a checkout that could go on has not, one branch an index, as above. */
export const STUCK = `
with idle as (
  select c.*, greatest(c.updated_at, case when c.wake_at < ${LONG_AGO} then c.wake_at end) as since from checkoutd.contexts c
  where c.owner is not null and c.parked_reason is null and c.updated_at < ${LONG_AGO}
    and (c.wake_at is null or c.wake_at < ${LONG_AGO}
      or not exists (select from checkoutd.nodes n where n.id = c.owner and n.lease_until > ${LONG_AGO}))
  union all
  select c.*, c.wake_at from checkoutd.contexts c
  where c.owner is null and c.parked_reason is null and c.wake_at < ${LONG_AGO}
  union all
  select c.*, c.updated_at from checkoutd.contexts c
  where c.owner is null and c.parked_reason is null
    and (c.signals > c.consumed or (c.finished_at is null and c.wake_at is null)) and c.updated_at < ${LONG_AGO}
)
select id as "contextId", state, seq, owner, (round(extract(epoch from min(since)) * 1000))::bigint as since
from idle group by id, state, seq, owner order by min(since) limit $2`;

/** Prolongs only what is not over. Leases that ended a day ago are forgotten on the way. */
const HEARTBEAT = `
with forgotten as (
  delete from checkoutd.nodes where id in (
    select id from checkoutd.nodes where lease_until < clock_timestamp() - interval '1 day' and id <> $1 for update skip locked)
)
insert into checkoutd.nodes as n (id, lease_until, machine_hashes)
values ($1, clock_timestamp() + $2::double precision * interval '1 ms', string_to_array($3, ','))
on conflict (id) do update set lease_until = excluded.lease_until where n.lease_until > clock_timestamp()
returning n.id`;
