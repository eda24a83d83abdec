/** Postgres's counters, read when they are complete. */
import type { Database } from "../../persistence/connect.ts";

/**
 * Resolves when `observer`'s connection is the last one to its database: each backend has then reported what it counted,
 * which it does when it ends, and otherwise when it finds the time.
 */
export async function untilAlone(observer: Database): Promise<void> {
  await untilNobody(observer, "backend_type = 'client backend'");
}

/**
 * Resolves when no other session sees an earlier state of `observer`'s database. While one does (the server's own analyze,
 * say), no page is freed of the row versions that it may still read.
 */
export async function untilNobodyLooksBack(observer: Database): Promise<void> {
  await untilNobody(observer, "backend_xmin is not null");
}

async function untilNobody(observer: Database, condition: string): Promise<void> {
  const others = `select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and ${condition}`;
  while ((await observer.rows(others)).length > 0);
}
