/** One checkout of a store many times over, under other ids: as much of it as there is after years. */
import type { Database } from "../../persistence/connect.ts";

const TABLES = ["contexts", "journal", "snapshots", "requests", "idempotency_keys", "outbox", "pcr_contexts", "ledger", "inbox"];

/**
 * The checkout's rows in the runtime's tables, `count` times, as `<id>_<name>_1` and so on. Its PCR, its cart and its keys get the
 * same endings. (The hashes of their journals are the first one's: they are for counting and removing, not for folding.)
 */
export async function copyCheckout(database: Database, id: string, name: string, count: number): Promise<void> {
  const [own] = await database.rows<{ cart: string; key: string; pcr: string | null }>(
    `select cart_id as cart, idempotency_key as key, (select pcr_id from checkoutd.pcr_contexts where context_id = c.id) as pcr
      from checkoutd.contexts c where id = $1`,
    [id],
  );
  if (own === undefined) throw new Error(`There is no checkout ${id} to copy.`);
  const names = [id, own.cart, own.key, ...(own.pcr === null ? [] : [own.pcr])];
  const copied = names.reduce((text, one) => `replace(${text}, '"${one}"', '"${one}_${name}_' || n || '"')`, "to_jsonb(t)::text");
  for (const table of TABLES) {
    const columns = await columnsOf(database, table);
    const owner = { contexts: "t.id = $1", inbox: `t.pcr_id = '${own.pcr}' or t.context_id = $1` }[table] ?? "t.context_id = $1";
    await database.rows(
      `insert into checkoutd.${table} (${columns}) select ${columns} from (
        select r.* from checkoutd.${table} t cross join generate_series(1, $2::int) n
        cross join lateral jsonb_populate_record(null::checkoutd.${table}, ${distinct(table, copied)}) r where ${owner}) copies`,
      [id, count],
    );
  }
}

/** An inbox row is the only one with a name of its own. */
function distinct(table: string, copied: string): string {
  if (table !== "inbox") return `(${copied})::jsonb`;
  return `(${copied})::jsonb || jsonb_build_object('event_id', t.event_id || '_' || gen_random_uuid())`;
}

async function columnsOf(database: Database, table: string): Promise<string> {
  const rows = await database.rows<{ name: string }>(
    `select column_name as name from information_schema.columns
      where table_schema = 'checkoutd' and table_name = $1 and is_generated = 'NEVER' and is_identity = 'NO' order by ordinal_position`,
    [table],
  );
  return rows.map(({ name }) => name).join();
}
