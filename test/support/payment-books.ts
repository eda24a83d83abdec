/**
 * A whole database's money, all checkouts at once: the provider's own books against contexts, orders, ledger, suspense and
 * events. Every row that a query finds is wrong once everything has come to rest.
 */
import type { Database } from "../../persistence/connect.ts";

const CHECKOUTS = `
with held as (
  select context_id, sum(amount) as captured, sum(refunded_amount) as refunded,
    count(*) filter (where refunded_amount < amount) as unrefunded,
    coalesce(sum(amount) filter (where refunded_amount = 0), 0) as kept
  from checkoutd.provider_captures group by context_id
), booked as (
  select context_id,
    sum(case 'PROVIDER' when debit then amount when credit then -amount else 0 end) as provider,
    sum(case 'SUSPENSE' when debit then amount when credit then -amount else 0 end) as suspense,
    sum(case 'ORDER' when debit then amount when credit then -amount else 0 end) as paid
  from checkoutd.ledger group by context_id
), told as (
  select context_id, count(*) filter (where type = 'line_items_confirmed') as confirmed,
    count(*) filter (where type = 'checkout_rolled_back') as rolled_back
  from checkoutd.outbox group by context_id
), checkouts as (
  select c.id, c.status, c.finished_at, c.parked_reason, o.status as order_status, p.amount as due,
    c.status = 'CONFIRMED' or o.status = 'CONFIRMED' or told.confirmed > 0 as is_confirmed,
    coalesce(p.captured_amount, 0) as our_captured, coalesce(p.refunded_amount, 0) as our_refunded,
    coalesce(held.captured, 0) as captured, coalesce(held.refunded, 0) as refunded,
    coalesce(held.unrefunded, 0) as unrefunded, coalesce(held.kept, 0) as kept,
    coalesce(booked.provider, 0) as provider, coalesce(booked.suspense, 0) as suspense, coalesce(booked.paid, 0) as paid,
    coalesce(told.confirmed, 0) as told_confirmed, coalesce(told.rolled_back, 0) as told_rolled_back
  from checkoutd.contexts c
  left join checkoutd.checkout_orders o on o.context_id = c.id
  left join checkoutd.payment_collection_requirements p on p.context_id = c.id
  left join held on held.context_id = c.id
  left join booked on booked.context_id = c.id
  left join told on told.context_id = c.id
)`;

const wrongCheckouts = (condition: string) => `${CHECKOUTS} select id from checkouts where ${condition}`;

/** The requirement itself, and what makes it worth something. */
const MONEY: Readonly<Record<string, string>> = {
  "captured, and neither confirmed nor refunded": wrongCheckouts("captured <> refunded and not is_confirmed"),
  "captured for nobody": `select psp_reference as id from checkoutd.provider_captures p
    where refunded_amount < amount and not exists (select from checkoutd.contexts c where c.id = p.context_id)`,
  "confirmed, and not captured": wrongCheckouts("is_confirmed and captured = refunded"),
  "confirmed, and the provider doesn't hold exactly one capture of the amount due": wrongCheckouts(
    "is_confirmed and not (unrefunded = 1 and kept = due and captured - refunded = due)",
  ),
  "refunded more than captured": `select psp_reference as id from checkoutd.provider_captures where refunded_amount > amount
    union all select id from checkoutd.provider_charges where refunded_amount > captured_amount`,
  "the provider's charge differs from its captures": `select id from checkoutd.provider_charges c
    where (captured_amount || ' ' || refunded_amount) <> (select coalesce(sum(p.amount), 0) || ' ' || coalesce(sum(p.refunded_amount), 0)
      from checkoutd.provider_captures p where p.charge_id = c.id)`,
  "a charge of a finished checkout that can still be paid": `select p.id from checkoutd.provider_charges p
    join checkoutd.contexts c on c.id = p.context_id where c.finished_at is not null and p.status in ('created', 'requires_action')`,
  "checkout, order and events disagree whether it is confirmed": wrongCheckouts(
    "is_confirmed and not (status = 'CONFIRMED' and order_status is not distinct from 'CONFIRMED' and told_confirmed = 1 and told_rolled_back = 0)",
  ),
  "rolled back, and its order or its events say otherwise": wrongCheckouts(
    "status = 'ROLLED_BACK' and (order_status <> 'CANCELLED' or told_confirmed > 0 or told_rolled_back <> 1)",
  ),
  "our payment records differ from the provider's books": wrongCheckouts("our_captured <> captured or our_refunded <> refunded"),
  "the ledger's PROVIDER differs from what the provider holds": wrongCheckouts("provider <> captured - refunded"),
  "the ledger's ORDER is not what was due": wrongCheckouts("-paid <> case when is_confirmed then due else 0 end"),
  "the ledger's SUSPENSE is not zero": wrongCheckouts("suspense <> 0"),
  "money in suspense": "select context_id as id from checkoutd.suspense where amount <> 0",
  "a refund that was not accepted": "select id from checkoutd.payment_refunds where failed_at is null and accepted_at is null",
  "a refund without its one payment_refunded": `select r.id from checkoutd.payment_refunds r where r.failed_at is null and 1 <> (
    select count(*) from checkoutd.outbox o
     where o.context_id = r.context_id and o.type = 'payment_refunded' and o.data->>'refundId' = r.id)`,
  "a payment_refunded twice, or of no refund": `select o.data->>'refundId' as id from checkoutd.outbox o
    left join checkoutd.payment_refunds r on r.id = o.data->>'refundId' and r.accepted_at is not null
    where o.type = 'payment_refunded' group by 1 having count(*) <> count(r.id) or count(*) > 1`,
};

const REST: Readonly<Record<string, string>> = {
  unfinished: "select id from checkoutd.contexts where finished_at is null or status not in ('CONFIRMED', 'ROLLED_BACK')",
  parked: "select id from checkoutd.contexts where parked_reason is not null",
  "an event that no checkout consumed": "select event_id as id from checkoutd.inbox where consumed_seq is null",
  "a signal that was not consumed": "select id from checkoutd.contexts where signals <> consumed",
  "an unpublished event": "select context_id || ':' || event_seq as id from checkoutd.outbox where acknowledged_at is null",
  "an event that the provider has yet to send": "select id from checkoutd.provider_sends where closed_at is null",
  "money in suspense": "select context_id as id from checkoutd.suspense where amount <> 0",
  "a busy cart": "select cart_id as id from checkoutd.live_carts",
};

const EXAMPLES_MAX = 5;

/** One line for each kind of what is wrong with the money. */
export function moneyViolations(database: Database): Promise<readonly string[]> {
  return found(database, MONEY);
}

/** One line for each kind of what is still going on, or never will. */
export function unrest(database: Database): Promise<readonly string[]> {
  return found(database, REST);
}

async function found(database: Database, queries: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const [what, query] of Object.entries(queries)) {
    const rows = await database.rows<{ id: string }>(query);
    if (rows.length === 0) continue;
    const examples = rows.slice(0, EXAMPLES_MAX).map(({ id }) => id);
    lines.push(`${rows.length} × ${what}: ${examples.join(", ")}`);
  }
  return lines;
}

export interface MoneyTotals {
  readonly checkouts: number;
  readonly confirmed: number;
  readonly rolledBack: number;
  readonly captures: number;
  readonly refundedCaptures: number;
  /** Minor units. */
  readonly captured: number;
  readonly refunded: number;
  readonly due: number;
}

/** Captured and refunded by the provider's books, due for what is confirmed by our orders. */
export async function moneyTotals(database: Database): Promise<MoneyTotals> {
  const [totals] = await database.rows<MoneyTotals>(`${CHECKOUTS}
    select count(*)::float8 as checkouts,
      (count(*) filter (where is_confirmed))::float8 as confirmed,
      (count(*) filter (where status = 'ROLLED_BACK'))::float8 as "rolledBack",
      (select count(*) from checkoutd.provider_captures)::float8 as captures,
      (select count(*) from checkoutd.provider_captures where refunded_amount > 0)::float8 as "refundedCaptures",
      coalesce(sum(captured), 0)::float8 as captured,
      coalesce(sum(refunded), 0)::float8 as refunded,
      coalesce(sum(due) filter (where is_confirmed), 0)::float8 as due
    from checkouts`);
  if (totals === undefined) throw new Error("An aggregate has one row.");
  return totals;
}

/** How often each of these happened, by the tables. */
export async function happenings(database: Database): Promise<Readonly<Record<string, number>>> {
  const rows = await database.rows<{ name: string; count: number }>(
    Object.entries(HAPPENINGS)
      .map(([name, query]) => `select '${name}' as name, count(*)::int as count from (${query}) as found`)
      .join(" union all "),
  );
  return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
}

const successes = `select c.instrument_id, c.id, i.event_id, i.received_at, p.reversed_at, x.finished_at from checkoutd.inbox i
  join checkoutd.provider_charges c on c.id = i.event->'data'->>'pspReference'
  join checkoutd.payment_collection_requirements p on p.id = c.pcr_id
  join checkoutd.contexts x on x.id = c.context_id
  where i.event->>'type' = 'payment_collection_requirement_success'`;

const HAPPENINGS: Readonly<Record<string, string>> = {
  "late successes": `select from (${successes}) s where instrument_id = 'ins_late' and received_at > reversed_at`,
  "late successes after the rollback": `select from (${successes}) s where received_at > finished_at and reversed_at is not null`,
  "doubled successes": `select from (${successes}) s where instrument_id = 'ins_double' group by id having count(*) > 1`,
  "flaky instruments": "select from checkoutd.provider_charges where instrument_id = 'ins_flaky' and tries > 2",
  "replies lost by the instrument":
    "select from checkoutd.provider_charges where instrument_id = 'ins_reply_lost' and status = 'captured'",
  declines: "select from checkoutd.provider_charges where instrument_id = 'ins_decline' and status = 'declined'",
  "failures by event": "select from checkoutd.provider_charges where instrument_id = 'ins_async_fail' and status = 'declined'",
  "further attempts": "select from checkoutd.payment_attempts where round > 1",
  cancellations: "select from checkoutd.inbox where event->>'type' = 'CANCEL'",
  "refunds sent back": "select from checkoutd.provider_refunds where failed_at is not null",
  "refunds LATE": refunds("LATE"),
  "refunds DUPLICATE": refunds("DUPLICATE"),
  "refunds ROLLBACK": refunds("ROLLBACK"),
  "refunds AMOUNT_MISMATCH": refunds("AMOUNT_MISMATCH"),
};

function refunds(reason: string): string {
  return `select from checkoutd.payment_refunds where reason = '${reason}' and accepted_at is not null and failed_at is null`;
}

/** Of each capture that an event made us owe: milliseconds from that event's arrival to the journal entry that recorded its refund. */
export async function lateRefundTimes(database: Database): Promise<readonly number[]> {
  const rows = await database.rows<{ ms: number }>(`
    with arrived as (
      select pcr_id, event->'data'->>'pspReference' as psp_reference, min(received_at) as at from checkoutd.inbox
      where event->>'type' = 'payment_collection_requirement_success' group by 1, 2
    ), given as (
      select l.context_id, l.psp_reference, min(j.at) as at from checkoutd.ledger l
      join checkoutd.journal j on j.context_id = l.context_id and j.seq = l.seq
      where l.debit = 'SUSPENSE' and l.credit = 'PROVIDER' group by 1, 2
    )
    select (extract(epoch from g.at - a.at) * 1000)::float8 as ms
    from (select distinct context_id, pcr_id, psp_reference from checkoutd.payment_refunds where reason = 'LATE') r
    join arrived a on a.pcr_id = r.pcr_id and a.psp_reference = r.psp_reference
    join given g on g.context_id = r.context_id and g.psp_reference = r.psp_reference order by 1`);
  return rows.map(({ ms }) => ms);
}

/** Of each accepted refund that the bank sent back: milliseconds from that news to the journal entry that recorded the next one. */
export async function repeatedRefundTimes(database: Database): Promise<readonly number[]> {
  const rows = await database.rows<{ ms: number }>(`
    select (extract(epoch from min(j.at) - i.received_at) * 1000)::float8 as ms
    from checkoutd.inbox i
    join checkoutd.pcr_contexts p on p.pcr_id = i.pcr_id
    join checkoutd.ledger l on l.context_id = p.context_id and l.psp_reference = i.event->'data'->>'pspReference'
      and l.seq > i.consumed_seq and l.debit = 'SUSPENSE' and l.credit = 'PROVIDER'
    join checkoutd.journal j on j.context_id = l.context_id and j.seq = l.seq
    where i.event->>'type' = 'payment_refund_failed' group by i.source, i.event_id order by 1`);
  return rows.map(({ ms }) => ms);
}
