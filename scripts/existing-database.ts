/** For scripts that look into the database of a service: they open it and never make or change its schema. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { classify } from "../machines/errors.ts";
import type { Database } from "../persistence/connect.ts";
import { DataDirectoryLockedError } from "../persistence/data-directory-lock.ts";
import { openEmbedded } from "../persistence/embedded-database.ts";
import { isMigrated } from "../persistence/migrate.ts";
import { connectPostgres } from "../persistence/postgres-database.ts";
import { ConfigError, type Config } from "../server/config.ts";

/** As in sysexits.h, and as the service's own. */
export const EXIT = {
  fine: 0,
  found: 1,
  usage: 64,
  noDatabase: 66,
  unavailable: 69,
  software: 70,
  locked: 75,
  config: 78,
} as const;

class NoDatabaseError extends Error {}

/** Throws where there is none, or one of another build; `exitCodeFor` tells which. The caller closes it. */
export async function openExisting({ databaseUrl, dataDir }: Pick<Config, "databaseUrl" | "dataDir">): Promise<Database> {
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

export function exitCodeFor(error: unknown): number {
  if (error instanceof NoDatabaseError) return EXIT.noDatabase;
  if (error instanceof ConfigError) return EXIT.config;
  if (error instanceof DataDirectoryLockedError) return EXIT.locked;
  return classify(error).class === "TRANSIENT" ? EXIT.unavailable : EXIT.software;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
