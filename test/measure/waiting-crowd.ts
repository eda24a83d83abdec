/** Many checkouts that wait for their payment: one that really came there, and copies of all of its rows under other ids. */
import { checkoutMachine } from "../../machines/checkout.ts";
import type { Database } from "../../persistence/connect.ts";
import { hashContext, hydrate } from "../../runtime/engine.ts";

export interface WaitingCheckout {
  readonly executionContextId: string;
  readonly pcrId: string;
  readonly attemptId: string;
}

/** Rows of nobody's, or of all checkouts together. */
const SHARED = ["migrations", "nodes", "relay_shards", "locks", "slot_stock", "coupon_stock", "order_numbers"];
/** Each copy's ids end in its number, in as many hexadecimal digits. */
const DIGITS = 6;
const ID = `([a-z]+_[0-9a-f]{${32 - DIGITS}})[0-9a-f]{${DIGITS}}`;
const COPIES_AT_ONCE = 2_000;

/** `original` is the only checkout in the database, and waits. The copies, without it. */
export async function copyWaiting(
  database: Database,
  original: WaitingCheckout,
  copies: number,
): Promise<readonly WaitingCheckout[]> {
  for (const { table, columns } of await database.rows<{ table: string; columns: string }>(TABLES, [SHARED.join()])) {
    const own = await database.rows<{ row: unknown }>(`select to_jsonb(t) as row from checkoutd.${table} t`);
    const rows = JSON.stringify(own.map(({ row }) => row));
    for (let from = 1; from <= copies; from += COPIES_AT_ONCE) {
      await database.rows(copyOf(table, columns), [rows, from, Math.min(copies, from + COPIES_AT_ONCE - 1)]);
    }
  }
  await renewHashes(database);
  await database.rows("analyze");
  return Array.from({ length: copies }, (_, place) => ({
    executionContextId: renamed(original.executionContextId, place + 1),
    pcrId: renamed(original.pcrId, place + 1),
    attemptId: renamed(original.attemptId, place + 1),
  }));
}

/** The journal's entry of a checkpoint has a hash of its context, ids included. (The entries before it keep the original's.) */
async function renewHashes(database: Database): Promise<void> {
  for (let after = "", isMore = true; isMore;) {
    const checkpoints = await database.rows<{ id: string; snapshot: unknown }>(CHECKPOINTS, [after, COPIES_AT_ONCE]);
    const hashes = checkpoints.map(({ id, snapshot }) => ({ id, hash: hashContext(hydrate(checkoutMachine, snapshot)) }));
    await database.rows(SET_HASHES, [JSON.stringify(hashes)]);
    after = checkpoints.at(-1)?.id ?? after;
    isMore = checkpoints.length === COPIES_AT_ONCE;
  }
}

function renamed(text: string, number: number): string {
  return text.replaceAll(new RegExp(ID, "g"), `$1${number.toString(16).padStart(DIGITS, "0")}`);
}

/** What the database generates, it generates for a copy. */
const TABLES = `
select c.table_name as "table", string_agg(quote_ident(c.column_name), ', ' order by c.ordinal_position) as columns
from information_schema.columns c
where c.table_schema = 'checkoutd' and c.is_generated = 'NEVER' and c.is_identity = 'NO'
  and not c.table_name = any (string_to_array($1, ','))
group by c.table_name`;

const copyOf = (table: string, columns: string) => `
insert into checkoutd.${table} (${columns})
select ${columns.replaceAll(/\w+/g, "(copy).$&")} from (
  select jsonb_populate_record(null::checkoutd.${table}, regexp_replace(
    regexp_replace(own::text, '${ID}', '\\1' || lpad(to_hex(n), ${DIGITS}, '0'), 'g'),
    '([A-Z]{3}-[0-9]{6,})', '\\1-' || n, 'g')::jsonb) as copy
  from jsonb_array_elements($1::text::jsonb) as own cross join generate_series($2::integer, $3::integer) as n
  offset 0
) copies`;

const CHECKPOINTS =
  "select context_id as id, snapshot from checkoutd.snapshots where context_id > $1 order by context_id limit $2::integer";

const SET_HASHES = `
update checkoutd.journal j set context_hash = h.hash
from jsonb_to_recordset($1::text::jsonb) as h (id text, hash text), checkoutd.snapshots s
where s.context_id = h.id and j.context_id = h.id and j.seq = s.seq`;
