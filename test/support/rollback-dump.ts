/** Every row of every table, for "changes nothing". */
import type { Database } from "../../persistence/connect.ts";

export interface WatchedTables {
  /** The rows that are gone (-) and new (+) since the last look; a table is left out for a reason that stands where it is named. */
  changes(leftOut?: string): Promise<readonly string[]>;
}

/** Table and row, with the transaction that wrote it: a row written again with the same values is another one. */
type Dump = ReadonlySet<string>;

/** For a stage on which no node runs: nothing is left out, and a node's heartbeats and renewals would show. */
export async function watchTables(database: Database): Promise<WatchedTables> {
  const tables = await database.rows<{ name: string }>(
    "select tablename as name from pg_tables where schemaname = 'checkoutd' order by 1",
  );
  const each = tables.map(
    ({ name }) => `select '${name} ' || xmin::text || ' ' || to_jsonb(t)::text as row from checkoutd.${name} t`,
  );
  const dump = async (): Promise<Dump> => {
    const rows = await database.rows<{ row: string }>(each.join(" union all "));
    return new Set(rows.map(({ row }) => row));
  };
  let last = await dump();
  return {
    changes: async (leftOut = "no table") => {
      const [before, after] = [last, await dump()];
      last = after;
      const onlyIn = (one: Dump, other: Dump) => [...one].filter((row) => !other.has(row) && !row.startsWith(`${leftOut} `));
      return [...onlyIn(before, after).map((row) => `- ${row}`), ...onlyIn(after, before).map((row) => `+ ${row}`)];
    },
  };
}
