/** What arrives from outside. Kept by (source, event id), signalled to the checkout that it is for, in one statement. */
import type { Receipt } from "./store.ts";

/*
 * 1. stored     the inbox row; seen before = nothing below happens.
 * 2. counted    locks the PCR's row and sees its newest version, not the statement's: whoever comes second, we or the
 *               commit that learns the PCR, sees what the other did. So each arrival is signalled once: here when the
 *               checkout is known by now, by that commit, which takes `arrived` along, when it isn't.
 * 3. signalled  the checkout that knows the PCR.
 *
 * No deadlock: we lock the PCR's row, then the checkout's; a commit locks its checkout's row, then the PCR's. But a commit
 * wants only a PCR that nobody knows, and whoever holds such a row never goes on to a checkout's. (Left over: two checkouts
 * learn one PCR while a second node commits for the first of them. Postgres ends that wait, and the loser tries again.)
 *
 * What it answers for a duplicate it reads without a lock: a hint where to look, and whether the two say the same. The
 * latter is null when the stored one was committed while we waited for it: only the next statement sees its content.
 */
export const RECEIVE_PAYMENT = `
with stored as (
  insert into checkoutd.inbox (source, event_id, pcr_id, event) values ($1, $2, $3, $4::text::jsonb)
  on conflict (source, event_id) do nothing returning pcr_id
), counted as (
  insert into checkoutd.pcr_contexts as p (pcr_id, arrived) select pcr_id, 1 from stored where pcr_id is not null
  on conflict (pcr_id) do update set arrived = p.arrived + 1
  returning p.context_id
), signalled as (
  update checkoutd.contexts c set signals = c.signals + 1 from counted k where c.id = k.context_id
)
select n.is_new as "isNew",
  case when n.is_new then (select context_id from counted)
    else (select p.context_id from checkoutd.pcr_contexts p where p.pcr_id = $3) end as "contextId",
  case when n.is_new then false
    else (select b.event <> $4::text::jsonb from checkoutd.inbox b where b.source = $1 and b.event_id = $2)
  end as "isContradiction"
from (select exists (select from stored) as is_new) n`;

export type KeptPayment = Omit<Receipt, "isContradiction"> & { readonly isContradiction: boolean | null };

/** The inbox row first, then the checkout's: a commit that holds the checkout's row never waits for an inbox row that isn't there yet. */
export const RECEIVE_COMMAND = `
with stored as (
  insert into checkoutd.inbox (source, event_id, context_id, event) values ($1, $2, $3, $4::text::jsonb)
  on conflict (source, event_id) do nothing returning context_id
), signalled as (
  update checkoutd.contexts c set signals = c.signals + 1 from stored s where c.id = s.context_id
)
select context_id from stored`;

export const FIND_RECEIVED = `
select event, consumed_seq as "consumedSeq" from checkoutd.inbox where source = $1 and event_id = $2`;

/** Commands of the checkout, and payment events of the PCRs that it knows: an index scan each, of rows that wait. */
export const UNCONSUMED = `
select source, event_id as "eventId", event from (
  select b.source, b.event_id, b.event, b.arrival from checkoutd.inbox b
  where b.context_id = $1 and b.consumed_seq is null
  union all
  select b.source, b.event_id, b.event, b.arrival
  from checkoutd.pcr_contexts p join checkoutd.inbox b on b.pcr_id = p.pcr_id
  where p.context_id = $1 and b.consumed_seq is null
) waiting order by arrival limit 500`;
