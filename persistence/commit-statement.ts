/**
 * Group commit: one statement for many checkouts. Each is applied only where its seq and fence still
 * match, and the others commit whatever happens to one.
 */
import { InvariantError } from "../machines/errors.ts";
import { NO_PAYMENT_PARTS, PAYMENT_PARTS, hasPaymentParts, paymentInput, type PaymentParts } from "./payment-parts.ts";
import type { Commit, CommitResult } from "./store.ts";

/** `$1` of the statement: serialised once, in the shape of its `input`. */
export function commitParameter(batch: readonly Commit[]): string {
  const ids = new Set(batch.map((commit) => commit.id));
  if (ids.size < batch.length)
    throw new InvariantError("Two commits of one checkout in a batch: the second depends on the first.");
  return JSON.stringify(batch.map(toInput));
}

function toInput(commit: Commit): Record<string, unknown> {
  const { entry } = commit;
  if (entry.seq !== commit.expectedSeq + 1)
    throw new InvariantError(`Journal entry ${entry.seq} can't follow seq ${commit.expectedSeq}.`);
  return {
    id: commit.id,
    expected_seq: commit.expectedSeq,
    fence: commit.fence,
    commit_id: commit.commitId,
    state: commit.state,
    status: commit.status,
    at: entry.at,
    event: entry.event,
    from_state: entry.from,
    to_state: entry.to,
    context_hash: entry.contextHash,
    ...(hasRareParts(commit) ? rareParts(commit) : {}),
  };
}

function rareParts(commit: Commit): Record<string, unknown> {
  return {
    events: commit.events,
    consumes: commit.consumes?.map((key) => ({ source: key.source, event_id: key.eventId })) ?? [],
    sets_wake_at: commit.wakeAt !== undefined,
    wake_at: commit.wakeAt,
    has_checkpoint: commit.checkpoint !== undefined,
    snapshot: commit.checkpoint?.snapshot,
    timers: commit.checkpoint?.timers,
    answer_status: commit.answer?.status,
    answer_body: commit.answer?.body,
    releases: commit.release !== undefined,
    completes: commit.release?.completed === true,
    passivates: commit.passivate === true,
    finishes: commit.finished === true,
    machine_version: commit.machine?.machineVersion,
    machine_hash: commit.machine?.machineHash,
    ...(hasPaymentParts(commit) ? paymentInput(commit) : {}),
  };
}

function hasRareParts(commit: Commit): boolean {
  return (
    commit.events.length > 0 ||
    commit.wakeAt !== undefined ||
    commit.checkpoint !== undefined ||
    commit.answer !== undefined ||
    commit.release !== undefined ||
    commit.passivate === true ||
    commit.finished === true ||
    commit.machine !== undefined ||
    (commit.consumes?.length ?? 0) > 0 ||
    hasPaymentParts(commit)
  );
}

/**
 * Most batches are nothing but steps that succeed: they skip the planning and running of eight parts of the statement.
 * The three parts that only payments need are skipped by all the others.
 */
export function commitStatement(batch: readonly Commit[]): string {
  if (batch.some(hasPaymentParts)) return PAYMENT_STATEMENT;
  return batch.some(hasRareParts) ? FULL_STATEMENT : PLAIN_STATEMENT;
}

export interface CommitRow {
  readonly id: string;
  /** Null when it was not applied. */
  readonly waiting: number | null;
  /** Null when there is no such checkout. */
  readonly seq: number | null;
  readonly fence: number;
  readonly owner: string | null;
}

export function commitResult(row: CommitRow | undefined): CommitResult {
  if (row === undefined || row.seq === null) return { kind: "unknown_checkout" };
  if (row.waiting !== null) return { kind: "applied", signals: row.waiting };
  return { kind: "refused", seq: row.seq, fence: row.fence, owner: row.owner };
}

const COMMON_COLUMNS = `id text, expected_seq int, fence bigint, commit_id text, state text, status text,
    at double precision, event jsonb, from_state text, to_state text, context_hash text`;

const RARE_COLUMNS = `, events jsonb, consumes jsonb, sets_wake_at boolean, wake_at double precision,
    has_checkpoint boolean, snapshot jsonb, timers jsonb, answer_status int, answer_body text, releases boolean,
    completes boolean, passivates boolean, finishes boolean, machine_version text, machine_hash text`;

/*
 * 1. input     what the caller sent.
 * 2. locked    the checkouts' rows, locked in the order of their ids: two batches that share checkouts wait
 *              for one another instead of deadlocking. A locked row shows its newest version, not the statement's.
 * 3. accepted  those whose seq and fence match and that somebody owns: nobody writes to a passivated or parked one.
 */
const accept = (columns: string) => `
with input as materialized (
  select * from jsonb_to_recordset($1::text::jsonb) as t(${columns})
), locked as materialized (
  select c.id, c.seq, c.fence, c.owner
  from checkoutd.contexts c join input i on i.id = c.id
  order by c.id for update of c
), accepted as materialized (
  select i.* from input i join locked l on l.id = i.id
  where l.seq = i.expected_seq and l.fence = i.fence and l.owner is not null
)`;

const JOURNAL = `, journaled as (
  insert into checkoutd.journal (context_id, seq, at, event, from_state, to_state, context_hash)
  select a.id, a.seq, to_timestamp(i.at / 1000), i.event, i.from_state, i.to_state, i.context_hash
  from applied a join input i on i.id = a.id
)`;

const OUTCOME = `
select i.id, a.waiting, l.seq, l.fence, l.owner
from input i left join applied a on a.id = i.id left join locked l on l.id = i.id`;

/*
 * 4. applied   touches no indexed column, so the update is HOT. Checks seq and fence once more, so that no
 *              change of the steps above can let a stale write through.
 * 5. journaled
 */
const PLAIN_STATEMENT = `${accept(COMMON_COLUMNS)}, applied as (
  update checkoutd.contexts c
  set seq = i.expected_seq + 1, state = i.state, status = i.status, last_commit = i.commit_id,
    claims_without_progress = 0, updated_at = now()
  from accepted i
  where c.id = i.id and c.seq = i.expected_seq and c.fence = i.fence
  returning c.id, c.seq, c.signals - c.consumed as waiting
)${JOURNAL}${OUTCOME}`;

/*
 * 4. consumed  inbox rows taken by these transitions, counted per checkout: the counter on the checkout's
 *              row can't drift from them. A row is the checkout's that it names, or that knew its PCR before. Locked
 *              after the checkout's own row; whoever receives only inserts.
 * 5. applied   as above, and what the rare parts set; columns that a commit leaves alone keep their value, which
 *              keeps the update HOT for the happy path that shares the batch.
 * 6. journaled
 * 7. published outbox rows. event_seq counts on from the checkout's row; type_seq from the rows there are, which
 *              nobody else can add while the checkout's row is locked, and from those that retention removed.
 * 8. checkpointed, answered, freed, completed: one row each, owned by a checkout that is locked already.
 * With payment parts: the PCRs that are learned come before \`applied\`, the money after it. See payment-parts.ts.
 */
const fullStatement = (payment: PaymentParts) => `${accept(COMMON_COLUMNS + RARE_COLUMNS + payment.columns)}, consumed as (
  update checkoutd.inbox b set consumed_seq = i.expected_seq + 1
  from accepted i cross join lateral jsonb_to_recordset(i.consumes) as k(source text, event_id text)
  where b.source = k.source and b.event_id = k.event_id and b.consumed_seq is null
    and i.id = coalesce(b.context_id, (select p.context_id from checkoutd.pcr_contexts p where p.pcr_id = b.pcr_id))
  returning i.id
), consumed_count as materialized (
  select id, count(*)::int as rows from consumed group by id
)${payment.beforeApplied}, applied as (
  update checkoutd.contexts c
  set seq = i.expected_seq + 1, state = i.state, status = i.status, last_commit = i.commit_id,
    claims_without_progress = 0, updated_at = now(),
    event_seq = c.event_seq + coalesce(jsonb_array_length(i.events), 0),
    ${payment.set}consumed = c.consumed + coalesce(n.rows, 0),
    wake_at = case when i.sets_wake_at then to_timestamp(i.wake_at / 1000) else c.wake_at end,
    machine_version = coalesce(i.machine_version, c.machine_version), machine_hash = coalesce(i.machine_hash, c.machine_hash),
    owner = case when i.passivates then null else c.owner end,
    finished_at = case when i.finishes then coalesce(c.finished_at, now()) else c.finished_at end
  from accepted i left join consumed_count n on n.id = i.id${payment.from}
  where c.id = i.id and c.seq = i.expected_seq and c.fence = i.fence
  returning c.id, c.seq, c.event_seq, c.type_seqs, c.cart_id, c.cart_version, c.signals - c.consumed as waiting
)${JOURNAL}, published as (
  insert into checkoutd.outbox (context_id, event_seq, type, type_seq, data, committed_at)
  select a.id, a.event_seq - jsonb_array_length(i.events) + e.place, e.event->>'type',
    (select greatest(max(o.type_seq), (a.type_seqs->>(e.event->>'type'))::int, 0)
      from checkoutd.outbox o where o.context_id = a.id and o.type = e.event->>'type')
      + row_number() over (partition by a.id, e.event->>'type' order by e.place),
    e.event->'data', now()
  from applied a join input i on i.id = a.id cross join lateral jsonb_array_elements(i.events) with ordinality as e(event, place)
), checkpointed as (
  insert into checkoutd.snapshots (context_id, seq, snapshot, timers)
  select a.id, a.seq, i.snapshot, i.timers from applied a join input i on i.id = a.id where i.has_checkpoint
  on conflict (context_id) do update set seq = excluded.seq, snapshot = excluded.snapshot, timers = excluded.timers
), answered as (
  update checkoutd.idempotency_keys k set answer_status = i.answer_status, answer_body = i.answer_body
  from applied a join input i on i.id = a.id
  where k.context_id = a.id and i.answer_status is not null and k.answer_status is null
), freed_cart as (
  delete from checkoutd.live_carts l using applied a join input i on i.id = a.id
  where i.releases and l.cart_id = a.cart_id and l.context_id = a.id
), freed_groups as (
  delete from checkoutd.live_payment_groups g using applied a join input i on i.id = a.id
  where i.releases and g.context_id = a.id
), completed as (
  update checkoutd.cart_versions v
  set completed_version = a.cart_version, completed_context_id = a.id, context_id = a.id
  from applied a join input i on i.id = a.id
  where i.completes and v.cart_id = a.cart_id and coalesce(v.completed_version, a.cart_version - 1) < a.cart_version
)${payment.afterApplied}${OUTCOME}`;

const FULL_STATEMENT = fullStatement(NO_PAYMENT_PARTS);
const PAYMENT_STATEMENT = fullStatement(PAYMENT_PARTS);
