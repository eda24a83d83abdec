/**
 * An in-memory database as a node finds it: the real migrations, from the built template where there is one. To open one
 * takes up to two seconds of a core, to empty one a tenth of that, so what one test file gave back serves the next.
 */
import type { PGlite } from "@electric-sql/pglite";
import type { Database } from "../../persistence/connect.ts";
import { embeddedDatabase, openClient } from "../../persistence/embedded-database.ts";
import { migrate } from "../../persistence/migrate.ts";

interface Pristine {
  readonly client: PGlite;
  /** Its tables, sequences, functions and triggers when it was new. */
  readonly catalog: string;
}

const empty: Pristine[] = [];

export async function openMemoryDatabase(): Promise<Database> {
  const pristine = empty.pop() ?? (await openPristine());
  return embeddedDatabase(lend(pristine));
}

async function openPristine(): Promise<Pristine> {
  const client = await openClient(undefined);
  // Nothing to do after a template; everything without one (`npm run template` builds it).
  await migrate(await embeddedDatabase(lend({ client, catalog: "" })));
  return { client, catalog: await catalogOf(client) };
}

/** A client of its own for whoever has it now: once it is closed, what still comes late from there is refused. */
function lend(pristine: Pristine): PGlite {
  const { client } = pristine;
  let isClosed = false;
  const open = () => {
    if (isClosed) throw new Error("PGlite is closed");
    return client;
  };
  const lent: Pick<PGlite, "query" | "transaction" | "exec" | "close"> = {
    query: async (...call) => open().query(...call),
    transaction: async (work) => open().transaction(work),
    exec: async (...call) => open().exec(...call),
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      await takeBack(pristine);
    },
  };
  return Object.assign(Object.create(client) as PGlite, lent);
}

async function takeBack(pristine: Pristine): Promise<void> {
  const { client, catalog } = pristine;
  if ((await catalogOf(client)) !== catalog) return client.close();
  await client.exec("discard all");
  await client.exec(EMPTY);
  empty.push(pristine);
}

/** A test that makes a table, a trigger or a constraint of its own has had a database for itself. */
async function catalogOf(client: PGlite): Promise<string> {
  const { rows } = await client.query<{ catalog: string }>(CATALOG);
  return rows[0]?.catalog ?? "";
}

const CATALOG = `select concat_ws(' ',
  (select string_agg(oid::text, ',' order by oid) from pg_class where relnamespace not in ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)),
  (select string_agg(oid::text, ',' order by oid) from pg_proc where oid >= 16384),
  (select string_agg(oid::text, ',' order by oid) from pg_trigger),
  (select string_agg(oid::text, ',' order by oid) from pg_constraint),
  (select string_agg(oid::text, ',' order by oid) from pg_namespace where nspname not like 'pg_temp%' and nspname not like 'pg_toast_temp%')
) as catalog`;

/** Only what has rows: to truncate all of them takes four times as long. The shards of the outbox are rows for ever. */
const EMPTY = `do $$ declare one record; filled text[] := '{}'; has_rows boolean; begin
  for one in select oid::regclass::text as name from pg_class
    where relnamespace = 'checkoutd'::regnamespace and relkind = 'r' and relname not in ('migrations', 'relay_shards') loop
    execute 'select exists (select from ' || one.name || ')' into has_rows;
    if has_rows then filled := filled || one.name; end if;
  end loop;
  if filled <> '{}' then execute 'truncate ' || array_to_string(filled, ', ') || ' restart identity'; end if;
  update checkoutd.relay_shards set owner = null, wanted_by = null;
  for one in select oid::regclass::text as name from pg_class where relnamespace = 'checkoutd'::regnamespace and relkind = 'S' loop
    execute 'alter sequence ' || one.name || ' restart';
  end loop;
end $$`;
