import { afterAll } from "vitest";
import { SqlLocks } from "../../locking/sql-locks.ts";
import type { Database } from "../../persistence/connect.ts";
import { migrate } from "../../persistence/migrate.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { lockManagerConformance } from "../conformance/lock-manager.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { createTestDatabase, describeOn } from "../support/server.ts";

const cleanUps: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const cleanUp of cleanUps.reverse()) await cleanUp();
});

async function locksOn(database: Database): Promise<SqlLocks> {
  cleanUps.push(() => database.close());
  await migrate(database);
  return new SqlLocks(database);
}

lockManagerConformance("SQL on PGlite", async () => locksOn(await openMemoryDatabase()));

describeOn("postgres", "on a real Postgres", (url) => {
  lockManagerConformance("SQL on Postgres", async () => {
    const testDatabase = await createTestDatabase(url);
    cleanUps.push(() => testDatabase.drop());
    return locksOn(connectPostgres(testDatabase.url));
  });
});
