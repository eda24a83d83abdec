/** One database handle over two drivers: Postgres by URL, PGlite in a directory. */
import type { PgDatabase, PgQueryResultHKT } from "drizzle-orm/pg-core";
import type { Listening } from "./inbox-calls.ts";

/** What drizzle gives inside and outside a transaction. */
export type Orm = PgDatabase<PgQueryResultHKT>;

export interface Database {
  readonly kind: "embedded" | "postgres";
  readonly orm: Orm;
  /** Raw SQL with `$1…` parameters; the rows, in the same shape on both drivers. Not for use inside `transaction`. */
  rows<Row>(text: string, parameters?: readonly unknown[]): Promise<Row[]>;
  /** Commits when `work` resolves, rolls back when it throws. `work` talks to the database only, through `tx`. */
  transaction<Result>(work: (tx: Orm) => Promise<Result>): Promise<Result>;
  /**
   * Hears the payloads of a channel's notifications, on a connection of its own, from when it resolves until it is ended
   * or its connection is lost. Null where there is no other process, or a pooler keeps no session.
   */
  readonly listen: ((channel: string, heard: (payload: string) => void) => Promise<Listening>) | null;
  /** Readiness: resolves when the database answers. */
  ping(): Promise<void>;
  /** Safe twice. */
  close(): Promise<void>;
}

/** Of a raw statement inside a transaction: an array on postgres.js, an object with `rows` on PGlite. */
export function rowsOf<Row>(result: unknown): Row[] {
  return (Array.isArray(result) ? result : (result as { rows: Row[] }).rows) as Row[];
}
