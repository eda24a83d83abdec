/** Looks at the tables from outside, past all product code but the schema. */
import type { Database } from "../../persistence/connect.ts";

/** Effects that an undone checkout must not have, one query each; every row found is something left over. */
const LEFTOVERS: Readonly<Record<string, string>> = {
  "live order": "select id from checkoutd.checkout_orders where context_id = $1 and status <> 'CANCELLED'",
  "live line item": "select id from checkoutd.line_items where context_id = $1 and status <> 'REVERTED'",
  "mapped preference": "select preference_id as id from checkoutd.line_item_preferences where context_id = $1",
  "live preference": "select id from checkoutd.post_selling_preferences where context_id = $1 and status <> 'VOID'",
  "held slot": "select slot_id as id from checkoutd.slot_bookings where context_id = $1 and status <> 'FREED'",
  "held coupon": "select code as id from checkoutd.coupon_uses where context_id = $1 and status <> 'RELEASED'",
  "live payment group": "select id from checkoutd.payment_groups where context_id = $1 and status <> 'RELEASED'",
  "live opt-in": "select id from checkoutd.opt_ins where context_id = $1 and status <> 'REVOKED'",
  "open charge": "select id from checkoutd.provider_charges where context_id = $1 and status in ('created', 'requires_action')",
  "held capture":
    "select psp_reference as id from checkoutd.provider_captures where context_id = $1 and refunded_amount <> amount",
  "payment not reversed":
    "select id from checkoutd.payment_collection_requirements where context_id = $1 and (reversed_at is null or captured_amount <> refunded_amount)",
  "busy cart": "select cart_id as id from checkoutd.live_carts where context_id = $1",
  "busy payment group": "select payment_group_id as id from checkoutd.live_payment_groups where context_id = $1",
};

export async function leftovers(database: Database, executionContextId: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const [what, query] of Object.entries(LEFTOVERS)) {
    const rows = await database.rows<{ id: string }>(query, [executionContextId]);
    found.push(...rows.map(({ id }) => `${what} ${id}`));
  }
  return found;
}

/** Stock that the bookings don't account for: a slot or a coupon that an undo freed twice, or not at all. */
export async function stockMismatches(database: Database): Promise<readonly string[]> {
  const slots = await database.rows<{ id: string }>(`
    select slot_id || ' ' || date as id from checkoutd.slot_stock s where taken <> (
      select count(*) from checkoutd.slot_bookings b where b.slot_id = s.slot_id and b.date = s.date and b.status = 'HELD')`);
  const coupons = await database.rows<{ id: string }>(`
    select code as id from checkoutd.coupon_stock s where used <> (
      select count(*) from checkoutd.coupon_uses u where u.code = s.code and u.limited and u.status = 'HELD')`);
  return [...slots, ...coupons].map(({ id }) => id);
}

/** Of one checkout, by the provider's books: how often it was captured, and what the customer has paid and not got back. */
export async function moneyOf(database: Database, executionContextId: string): Promise<{ captures: number; net: number }> {
  const [row] = await database.rows<{ captures: number; net: number }>(
    `select count(*)::int as captures, coalesce(sum(amount - refunded_amount), 0)::int as net
       from checkoutd.provider_captures where context_id = $1`,
    [executionContextId],
  );
  return row ?? { captures: 0, net: 0 };
}

/** Rows of every table but the nodes' own: equal before and after = a request left no trace. */
export async function rowCounts(database: Database): Promise<Readonly<Record<string, number>>> {
  const tables = await database.rows<{ name: string }>(
    "select tablename as name from pg_tables where schemaname = 'checkoutd' and tablename not in ('migrations', 'nodes', 'locks') order by 1",
  );
  const counts = tables.map(({ name }) => `select '${name}' as name, count(*)::int as rows from checkoutd.${name}`);
  const rows = await database.rows<{ name: string; rows: number }>(counts.join(" union all "));
  return Object.fromEntries(rows.map((row) => [row.name, row.rows]));
}
