/** The store's short statements. Times leave the database as milliseconds, so that both drivers give the same. */
const milliseconds = (column: string) => `(round(extract(epoch from ${column}) * 1000))::bigint`;

export const NOW = `select extract(epoch from clock_timestamp())::double precision * 1000 as now`;

const ENTRY = (table: string) => `${table}.seq, ${milliseconds(`${table}.at`)} as at, ${table}.event,
  ${table}.from_state as "from", ${table}.to_state as "to", ${table}.context_hash as "contextHash"`;

/** One statement, so that row, checkpoint and entries belong to one moment. */
export const LOAD = `
select c.id, c.caller, c.user_id as "userId", c.cart_id as "cartId", c.cart_version as "cartVersion",
  c.idempotency_key as "idempotencyKey", c.machine_version as "machineVersion", c.machine_hash as "machineHash", c.traceparent,
  c.seq, c.fence, c.owner, c.state, c.status, ${milliseconds("c.wake_at")} as "wakeAt", c.signals - c.consumed as signals,
  c.parked_reason as "parkedReason", ${milliseconds("c.created_at")} as "createdAt",
  not exists (select from checkoutd.idempotency_keys k where k.context_id = c.id and k.answer_status is null) as "isAnswered",
  jsonb_build_object('seq', s.seq, 'snapshot', s.snapshot, 'timers', s.timers) as checkpoint,
  (select coalesce(jsonb_agg(to_jsonb(e) order by e.seq), '[]')
    from (select ${ENTRY("j")} from checkoutd.journal j where j.context_id = c.id and j.seq >= s.seq) e) as entries
from checkoutd.contexts c join checkoutd.snapshots s on s.context_id = c.id
where c.id = $1`;

export const HISTORY = `
select ${ENTRY("j")} from checkoutd.journal j where j.context_id = $1 and j.seq > $2 order by j.seq limit $3`;

export const LIST = `
select id, user_id as "userId", caller, state, status, seq, parked_reason as "parkedReason",
  ${milliseconds("created_at")} as "createdAt", ${milliseconds("updated_at")} as "updatedAt"
from checkoutd.contexts order by created_at desc, id desc limit $1`;

export const OWNED = `
select id, signals - consumed as signals from checkoutd.contexts where owner = $1 and parked_reason is null limit $2`;

/** One branch an index, as for claims; `parked_reason` is in none of them, because few are parked. */
export const UNKNOWN_VERSIONS = `
with live as materialized (
  select id, machine_version, machine_hash from checkoutd.contexts
  where owner is not null and parked_reason is null and machine_hash <> all (string_to_array($1, ','))
  union all
  select id, machine_version, machine_hash from checkoutd.contexts
  where owner is null and parked_reason is null and wake_at is not null and machine_hash <> all (string_to_array($1, ','))
  union all
  select id, machine_version, machine_hash from checkoutd.contexts
  where owner is null and parked_reason is null and wake_at is null
    and (signals > consumed or (finished_at is null and wake_at is null)) and machine_hash <> all (string_to_array($1, ','))
)
select l.machine_version as "machineVersion", l.machine_hash as "machineHash", count(*)::integer as checkouts,
  to_jsonb((array_agg(l.id order by l.id))[1:5]) as ids,
  (select coalesce(jsonb_agg(to_jsonb(n.machine_hashes)), '[]') from checkoutd.nodes n
    where n.lease_until > clock_timestamp() and l.machine_hash = any (n.machine_hashes)) as "servedWith"
from live l group by l.machine_version, l.machine_hash order by checkouts desc, l.machine_hash`;

export const GIVE_UP = `
update checkoutd.contexts set owner = null, claims_without_progress = 0 where id = $1 and fence = $2 and owner is not null`;

export const PARK = `
update checkoutd.contexts set parked_reason = $3, owner = null, updated_at = now()
where id = $1 and fence = $2 and owner is not null`;

export const LEDGER = `
select l.seq, ${milliseconds("l.at")} as at, l.debit, l.credit, l.amount, l.currency, l.psp_reference as "pspReference"
from checkoutd.ledger l where l.context_id = $1 order by l.seq, l.line`;

/** Walks suspense_open from its oldest end and stops at the limit. */
export const UNSETTLED = `
select s.context_id as "contextId", s.currency, s.amount, ${milliseconds("s.since")} as since
from checkoutd.suspense s
where s.amount <> 0 and s.since < statement_timestamp() - $1::double precision * interval '1 ms'
order by s.since limit $2`;

const EVENT_COLUMNS = `o.context_id as "contextId", o.event_seq as "eventSeq", o.type, o.type_seq as "typeSeq", o.data,
  ${milliseconds("o.committed_at")} as "committedAt", ${milliseconds("o.acknowledged_at")} as "acknowledgedAt", o.tries,
  ${milliseconds("o.retry_at")} as "retryAt", o.parked_reason as "parkedReason", c.traceparent`;
const EVENT = `${EVENT_COLUMNS} from checkoutd.outbox o join checkoutd.contexts c on c.id = o.context_id`;

/**
 * Never by an id in order: the order of ids is not the order of commits. Walks outbox_pending from the oldest end of each
 * shard, $2 events far, past the checkouts whose next event must wait, which are few. Then everything of the $3 checkouts
 * that were met first.
 */
export const UNPUBLISHED = `
with met as materialized (
  select pending.* from unnest(string_to_array($1::text, ',')::smallint[]) as wanted (shard) cross join lateral (
    select o.context_id, o.committed_at from checkoutd.outbox o
    where o.acknowledged_at is null and o.shard = wanted.shard and o.context_id not in (
      select waiting.context_id from checkoutd.outbox waiting
      where waiting.acknowledged_at is null and (waiting.parked_reason is not null or waiting.retry_at is not null)
        and (waiting.parked_reason is not null or waiting.retry_at > clock_timestamp()))
    order by o.committed_at limit $2::integer) pending
), heads as materialized (
  select context_id, min(committed_at) as committed_at from met group by context_id order by 2 limit $3::integer
)
select ${EVENT} join heads h on h.context_id = o.context_id
where o.acknowledged_at is null order by h.committed_at, o.context_id, o.event_seq`;

/** Rows are locked in one order: two relays never wait for one another in a circle. */
export const MARK_PUBLISHED = `
with locked as materialized (
  select o.context_id, o.event_seq, m.kind, m."retryAfterMs", m.reason
  from jsonb_to_recordset($1::jsonb)
    as m ("contextId" text, "eventSeq" integer, kind text, "retryAfterMs" double precision, reason text)
  join checkoutd.outbox o on o.context_id = m."contextId" and o.event_seq = m."eventSeq"
  order by o.context_id, o.event_seq for update of o
)
update checkoutd.outbox o set tries = o.tries + 1,
  acknowledged_at = case when l.kind = 'acknowledged' then coalesce(o.acknowledged_at, clock_timestamp()) else o.acknowledged_at end,
  retry_at = case when l.kind = 'failed' then clock_timestamp() + l."retryAfterMs" * interval '1 ms' end,
  parked_reason = l.reason
from locked l where o.context_id = l.context_id and o.event_seq = l.event_seq`;

export const REDRIVE = `
update checkoutd.outbox set parked_reason = null, retry_at = null
where context_id = $1 and acknowledged_at is null and (parked_reason is not null or retry_at is not null)
returning event_seq`;

/** The index is walked no further than the count goes. */
export const BACKLOG = `
select (select count(*)::integer from (select from checkoutd.outbox where acknowledged_at is null limit 100000) as counted) as pending,
  (select count(*)::integer from checkoutd.outbox where acknowledged_at is null and parked_reason is not null) as parked,
  (select ${milliseconds("min(oldest.committed_at)")} from checkoutd.relay_shards s cross join lateral (
    select committed_at from checkoutd.outbox where acknowledged_at is null and shard = s.shard order by committed_at limit 1
  ) oldest) as "oldestAt"`;

/** By the primary key: a page begins where the one before it ended, however long the outbox is. */
export const ACKNOWLEDGED = `
select ${EVENT}
where o.acknowledged_at is not null and ${milliseconds("o.committed_at")} >= $1::double precision
  and ($2::text is null or (o.context_id, o.event_seq) > ($2::text, $3::integer))
order by o.context_id, o.event_seq limit $4`;

export const EVENTS = `select ${EVENT} where o.context_id = $1 order by o.event_seq`;
