/**
 * Where a user's personal data stands: in the request as it was sent, in the payload of a preference, in an attempt's return
 * URL, and nowhere else. No fold reads any of it, so it is erased in place (docs/decisions/0017).
 */
import type { Database } from "./connect.ts";

export interface UnfinishedCheckout {
  readonly id: string;
  readonly status: string;
}

export interface Erasure {
  /** Finished checkouts of this user, erased now or before. */
  readonly checkouts: number;
  /** What was erased now. */
  readonly requests: number;
  readonly payloads: number;
  readonly returnUrls: number;
  /** Left as they are: their steps still read it. */
  readonly unfinished: readonly UnfinishedCheckout[];
}

/** All or nothing, and idempotent. */
export async function eraseUser(database: Database, userId: string): Promise<Erasure> {
  const [erasure] = await database.rows<Erasure>(ERASE_USER, [userId]);
  return erasure ?? { checkouts: 0, requests: 0, payloads: 0, returnUrls: 0, unfinished: [] };
}

/** A finished checkout runs no step that reads a request, and makes no further attempt. */
const ERASE_USER = `
with own as materialized (
  select id, status, finished_at is not null as has_ended from checkoutd.contexts where user_id = $1
), ended as (
  select id from own where has_ended
), no_request as (
  delete from checkoutd.requests q using ended e where q.context_id = e.id returning 1
), no_payload as (
  update checkoutd.post_selling_preferences p set payload = null
  from ended e where p.context_id = e.id and p.payload is not null returning 1
), no_return_url as (
  update checkoutd.payment_attempts a set return_url = null
  from checkoutd.payment_collection_requirements r, ended e
  where r.context_id = e.id and a.pcr_id = r.id and a.return_url is not null returning 1
)
select (select count(*) from ended)::int as checkouts, (select count(*) from no_request)::int as requests,
  (select count(*) from no_payload)::int as payloads, (select count(*) from no_return_url)::int as "returnUrls",
  (select coalesce(jsonb_agg(jsonb_build_object('id', id, 'status', status) order by id), '[]') from own where not has_ended) as unfinished`;
