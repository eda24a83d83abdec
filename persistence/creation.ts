/** The birth of a checkout: the claim of the key, the cart, the context and its first entry, in one transaction. */
import { sql, type SQL } from "drizzle-orm";
import { TransientError } from "../machines/errors.ts";
import { rowsOf, type Database, type Orm } from "./connect.ts";
import type { CreateResult, IdempotencyClaim, NewCheckout } from "./store.ts";

export type CartConflict = Exclude<CreateResult, { kind: "created" | "exists" }>;

/** The fence of a checkout that was never claimed: create itself makes its node the owner. */
const FIRST_FENCE = 1;
/** Whoever refused us may be gone when we look who it was; then the way is free, and we try again. */
const ATTEMPTS_MAX = 5;

export async function createCheckout(database: Database, checkout: NewCheckout): Promise<CreateResult> {
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    try {
      await database.transaction(async (tx) => {
        await claimKeyAndCart(tx, checkout);
        await tx.execute(insertCheckout(checkout));
      });
      return { kind: "created", fence: FIRST_FENCE };
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
    }
    const claim = await findClaim(database, checkout.caller, checkout.idempotencyKey);
    if (claim !== null) return { kind: "exists", claim };
    const conflict = await findCartConflict(database, checkout.cartId, checkout.cartVersion);
    if (conflict !== null) return conflict;
  }
  throw new TransientError("CART_CONTENDED", "Other checkouts of this cart come and go. Try again shortly.", {
    retryAfterMs: 100,
  });
}

export async function findClaim(database: Database, caller: string, key: string): Promise<IdempotencyClaim | null> {
  const [row] = await database.rows<Omit<IdempotencyClaim, "answer"> & { status: number | null; body: string }>(
    `select k.context_id as "contextId", k.request_hash as "requestHash", k.answer_status as status, k.answer_body as body,
       c.parked_reason is not null as "isParked"
     from checkoutd.idempotency_keys k left join checkoutd.contexts c on c.id = k.context_id
     where k.caller = $1 and k.key = $2`,
    [caller, key],
  );
  if (row === undefined) return null;
  const { status, body, ...claim } = row;
  return { ...claim, answer: status === null ? null : { status, body } };
}

export async function findCartConflict(database: Database, cartId: string, cartVersion: number): Promise<CartConflict | null> {
  const [row] = await database.rows<CartRow>(CART_CONFLICT, [cartId]);
  if (row === undefined) return null;
  if (row.liveContextId !== null && row.liveUserId !== null) {
    return { kind: "cart_busy", contextId: row.liveContextId, userId: row.liveUserId };
  }
  if (row.completedVersion !== null && cartVersion <= row.completedVersion) {
    return { kind: "cart_completed", contextId: row.completedContextId ?? "", userId: row.completedUserId ?? "" };
  }
  if (row.highestSeen !== null && cartVersion < row.highestSeen) return { kind: "cart_stale", highestSeen: row.highestSeen };
  return null;
}

interface CartRow {
  readonly liveContextId: string | null;
  readonly liveUserId: string | null;
  readonly completedVersion: number | null;
  readonly completedContextId: string | null;
  readonly completedUserId: string | null;
  readonly highestSeen: number | null;
}

const CART_CONFLICT = `
select l.context_id as "liveContextId", live.user_id as "liveUserId", v.highest_seen as "highestSeen",
  v.completed_version as "completedVersion", v.completed_context_id as "completedContextId", done.user_id as "completedUserId"
from (select $1::text as cart_id) q
left join checkoutd.live_carts l on l.cart_id = q.cart_id
left join checkoutd.contexts live on live.id = l.context_id
left join checkoutd.cart_versions v on v.cart_id = q.cart_id
left join checkoutd.contexts done on done.id = v.completed_context_id`;

/** Thrown to roll the transaction back: what an earlier step of it claimed must not stay. */
class Refused extends Error {}

/**
 * Each step runs only if the one before it claimed something, and each waits for a concurrent transaction
 * that claims the same: always key, then cart, then version, so that two creations never deadlock.
 * 1. key      somebody else's = the same request, whatever its cart.
 * 2. cart     durable exclusivity: one live checkout a cart.
 * 3. version  never an older one than was seen, nor one that was sold.
 */
async function claimKeyAndCart(tx: Orm, checkout: NewCheckout): Promise<void> {
  const claimed = rowsOf<{ id: string }>(
    await tx.execute(sql`
    with key as (
      insert into checkoutd.idempotency_keys (caller, key, context_id, request_hash)
      values (${checkout.caller}, ${checkout.idempotencyKey}, ${checkout.id}, ${checkout.requestHash})
      on conflict (caller, key) do nothing returning context_id
    ), cart as (
      insert into checkoutd.live_carts (cart_id, context_id) select ${checkout.cartId}, context_id from key
      on conflict (cart_id) do nothing returning cart_id, context_id
    )
    insert into checkoutd.cart_versions as v (cart_id, context_id, highest_seen)
    select cart_id, context_id, ${checkout.cartVersion}::int from cart
    on conflict (cart_id) do update set highest_seen = excluded.highest_seen, context_id = excluded.context_id
      where v.highest_seen <= excluded.highest_seen and coalesce(v.completed_version, excluded.highest_seen - 1) < excluded.highest_seen
    returning context_id`),
  );
  if (claimed.length === 0) throw new Refused();
}

/** Inserts only, of rows that this transaction's id makes its own: nobody waits. */
function insertCheckout(checkout: NewCheckout): SQL {
  const { entry, checkpoint } = checkout;
  return sql`
    with context as (
      insert into checkoutd.contexts (id, caller, user_id, cart_id, cart_version, idempotency_key, machine_version, machine_hash,
        traceparent, state, status, seq, fence, last_commit, owner)
      values (${checkout.id}, ${checkout.caller}, ${checkout.userId}, ${checkout.cartId}, ${checkout.cartVersion},
        ${checkout.idempotencyKey}, ${checkout.machineVersion}, ${checkout.machineHash}, ${checkout.traceparent}, ${checkout.state},
        ${checkout.status}, ${entry.seq}, ${FIRST_FENCE}, ${checkout.commitId}, ${checkout.owner})
    ), request as (
      insert into checkoutd.requests (context_id, body) values (${checkout.id}, ${JSON.stringify(checkout.request)}::text::jsonb)
    ), stored_checkpoint as (
      insert into checkoutd.snapshots (context_id, seq, snapshot, timers)
      values (${checkout.id}, ${entry.seq}, ${JSON.stringify(checkpoint.snapshot)}::text::jsonb,
        ${JSON.stringify(checkpoint.timers)}::text::jsonb)
    )
    insert into checkoutd.journal (context_id, seq, at, event, from_state, to_state, context_hash)
    values (${checkout.id}, ${entry.seq}, to_timestamp(${entry.at}::double precision / 1000),
      ${JSON.stringify(entry.event)}::text::jsonb, ${entry.from}, ${entry.to}, ${entry.contextHash})`;
}
