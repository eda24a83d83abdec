/** For scripts that look into the database of a service: they open it and never make or change its schema. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Database } from "../persistence/connect.ts";
import { openEmbedded } from "../persistence/embedded-database.ts";
import { isMigrated } from "../persistence/migrate.ts";
import { connectPostgres } from "../persistence/postgres-database.ts";
import type { Config } from "../server/config.ts";

export class NoDatabaseError extends Error {}

type Place = Pick<Config, "databaseUrl" | "dataDir">;

/** What `--data DIR` says goes before the environment. */
export function placeOf(config: Place, dataDir: string | null): Place {
  return dataDir === null ? config : { databaseUrl: null, dataDir };
}

/** Throws where there is none, or one of another build. The caller closes it. */
export async function openExisting({ databaseUrl, dataDir }: Place): Promise<Database> {
  if (databaseUrl === null && !existsSync(join(dataDir, "postgres", "PG_VERSION"))) {
    throw new NoDatabaseError(
      `There is no database in ${dataDir}. Name the one that the service has as DATA_DIR or DATABASE_URL.`,
    );
  }
  const database = databaseUrl === null ? await openEmbedded(dataDir) : connectPostgres(databaseUrl);
  try {
    if (await isMigrated(database)) return database;
    throw new NoDatabaseError(
      "This database is not at this build's schema. Run the build that its service runs, or start this one's first.",
    );
  } catch (error) {
    await database.close();
    throw error;
  }
}
