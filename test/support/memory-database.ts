/** An in-memory database as a node finds it: the real migrations, from the built template where there is one. */
import type { Database } from "../../persistence/connect.ts";
import { embeddedDatabase, openClient } from "../../persistence/embedded-database.ts";
import { migrate } from "../../persistence/migrate.ts";

export async function openMemoryDatabase(): Promise<Database> {
  const database = await embeddedDatabase(await openClient(undefined));
  // Nothing to do after a template; everything without one (`npm run template` builds it).
  await migrate(database);
  return database;
}
