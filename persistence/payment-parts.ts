/** What a commit adds to its statement when it learns a payment requirement or moves money. */
import type { Commit } from "./store.ts";

export function hasPaymentParts(commit: Commit): boolean {
  return commit.pcrId !== undefined || (commit.transfers?.length ?? 0) > 0;
}

export function paymentInput(commit: Commit): Record<string, unknown> {
  return {
    pcr_id: commit.pcrId,
    transfers: commit.transfers?.map(({ pspReference, ...transfer }) => ({ ...transfer, psp_reference: pspReference })),
  };
}

/** Spliced into the full statement, in this order. */
export interface PaymentParts {
  readonly columns: string;
  readonly beforeApplied: string;
  readonly set: string;
  readonly from: string;
  readonly afterApplied: string;
}

export const NO_PAYMENT_PARTS: PaymentParts = { columns: "", beforeApplied: "", set: "", from: "", afterApplied: "" };

/*
 * a. learned    PCRs that nobody knew, in the order of their ids, so that two batches wait for one another instead of
 *               deadlocking. The upsert locks the row and sees its newest version: the events that it counts were not
 *               signalled, and every later one will be. So `applied` adds `arrived`, and `waiting` has it already.
 *               A PCR that somebody knows is left alone, without a lock: see RECEIVE_PAYMENT. The first checkout that
 *               knows it keeps it; of two in one batch, the one with the lower id.
 * b. ledgered   the transfers as they came. The table's checks refuse what is no transfer.
 * c. suspended  what the rows of b change, added up, since a row can be touched once in a statement. A commit whose
 *               transfers cancel out changes nothing, nor since when there is money. `since` counts from zero on.
 */
export const PAYMENT_PARTS: PaymentParts = {
  columns: ", pcr_id text, transfers jsonb",
  beforeApplied: `, learned as (
  insert into checkoutd.pcr_contexts as p (pcr_id, context_id, arrived)
  select distinct on (i.pcr_id) i.pcr_id, i.id, 0 from accepted i
  where i.pcr_id is not null and (select k.context_id from checkoutd.pcr_contexts k where k.pcr_id = i.pcr_id) is null
  order by i.pcr_id, i.id
  on conflict (pcr_id) do update set context_id = excluded.context_id where p.context_id is null
  returning p.context_id, p.arrived
)`,
  set: "signals = c.signals + coalesce(p.arrived, 0), ",
  from: " left join learned p on p.context_id = i.id",
  afterApplied: `, ledgered as (
  insert into checkoutd.ledger (context_id, seq, line, at, debit, credit, amount, currency, psp_reference)
  select a.id, a.seq, t.line, to_timestamp(i.at / 1000), t.debit, t.credit, t.amount, t.currency, t.psp_reference
  from applied a join input i on i.id = a.id cross join lateral rows from (
    jsonb_to_recordset(i.transfers) as (debit text, credit text, amount bigint, currency text, psp_reference text)
  ) with ordinality as t(debit, credit, amount, currency, psp_reference, line)
  returning context_id, currency, amount, debit, credit
), suspended as (
  insert into checkoutd.suspense as s (context_id, currency, amount, since)
  select context_id, currency, sum(case 'SUSPENSE' when debit then amount when credit then -amount else 0 end) as change, clock_timestamp()
  from ledgered group by context_id, currency
  having sum(case 'SUSPENSE' when debit then amount when credit then -amount else 0 end) <> 0
  on conflict (context_id, currency) do update set amount = s.amount + excluded.amount,
    since = case when s.amount = 0 then excluded.since else s.since end
)`,
};
