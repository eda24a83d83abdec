/** The store's short statements. Times leave the database as milliseconds, so that both drivers give the same. */
const milliseconds = (column: string) => `(round(extract(epoch from ${column}) * 1000))::bigint`;

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
where s.amount <> 0 and s.since < clock_timestamp() - $1::double precision * interval '1 ms'
order by s.since limit $2`;

const EVENT = `o.context_id as "contextId", o.event_seq as "eventSeq", o.type, o.type_seq as "typeSeq", o.data,
  ${milliseconds("o.committed_at")} as "committedAt", ${milliseconds("o.acknowledged_at")} as "acknowledgedAt", o.tries, c.traceparent
from checkoutd.outbox o join checkoutd.contexts c on c.id = o.context_id`;

/** Never by an id in order: the order of ids is not the order of commits. Walks outbox_pending and stops at the limit. */
export const UNPUBLISHED = `
select ${EVENT}
where o.acknowledged_at is null and not exists (
  select from checkoutd.outbox earlier
  where earlier.context_id = o.context_id and earlier.event_seq < o.event_seq and earlier.acknowledged_at is null)
order by o.tries, o.committed_at limit $1`;

export const MARK_PUBLISHED = `
update checkoutd.outbox set tries = tries + 1,
  acknowledged_at = case when $3::boolean then coalesce(acknowledged_at, clock_timestamp()) else acknowledged_at end
where context_id = $1 and event_seq = $2`;

export const EVENTS = `select ${EVENT} where o.context_id = $1 order by o.event_seq`;
