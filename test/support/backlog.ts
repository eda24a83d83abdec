/** An outbox with something to publish. */
import type { Database } from "../../persistence/connect.ts";

const TYPES = ["checkout_initiated", "line_items_updated", "line_items_confirmed", "checkout_completed"];

/** So many events, of a quarter as many checkouts that have ended. */
export async function fillOutbox(database: Database, prefix: string, events: number): Promise<void> {
  await database.rows(FILL, [prefix, events / TYPES.length, TYPES.join()]);
}

const FILL = `
with filled as (
  insert into checkoutd.contexts (id, caller, user_id, cart_id, cart_version, idempotency_key, machine_version, machine_hash, state, status, seq, fence, last_commit, event_seq, finished_at)
  select $1 || '_' || n, 'shop', 'usr_1', 'cart_' || n, 1, $1 || n, '1', 'h', 'COMPLETED', 'CONFIRMED', 20, 1, 'cmt', 4, now()
  from generate_series(1, $2::integer) n returning id
)
insert into checkoutd.outbox (context_id, event_seq, type, type_seq, data, committed_at)
select id, place, type, 1, jsonb_build_object('cartId', id, 'lineItems', jsonb_build_array(jsonb_build_object('lineItemId', 'li_1', 'total', 249900))), clock_timestamp()
from filled, unnest(string_to_array($3::text, ',')) with ordinality as types (type, place)`;
