import { fileURLToPath } from "node:url";
import { readMigrationFiles } from "drizzle-orm/migrator";
import { sql } from "drizzle-orm";
import { bigint, text } from "drizzle-orm/pg-core";
import { InvariantError } from "../machines/errors.ts";
import type { Database, Orm } from "./connect.ts";
import { checkoutd } from "./schema.ts";

/** Beside this file in the sources and in the installed package alike. */
export const MIGRATIONS_FOLDER = fileURLToPath(new URL("./migrations", import.meta.url));

/** Any number, the same on all nodes: whoever migrates this database holds it. */
const MIGRATION_LOCK = 7_315_044_200_001;

/** Made by `migrate` itself, so it is no part of the generated migrations. */
const migrations = checkoutd.table("migrations", {
  hash: text("hash").primaryKey(),
  generatedAt: bigint("generated_at", { mode: "number" }).notNull(),
});

/**
 * Brings the database to this build's schema, in one transaction; nothing to do is fine. Nodes that
 * start together queue on an advisory lock, and the later ones find the work done.
 */
export async function migrate(database: Database): Promise<void> {
  const wanted = readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER });
  await database.transaction(async (tx) => {
    // An embedded database has one session: nobody to exclude, and the statement is harmless.
    await tx.execute(sql`select pg_advisory_xact_lock(${MIGRATION_LOCK}::bigint)`);
    await tx.execute(sql`create schema if not exists checkoutd`);
    await tx.execute(
      sql`create table if not exists checkoutd.migrations (hash text primary key, generated_at bigint not null, applied_at timestamptz not null default now())`,
    );
    const applied = new Set((await tx.select({ hash: migrations.hash }).from(migrations)).map((row) => row.hash));
    const pending = wanted.filter((migration) => !applied.has(migration.hash));
    if (pending.length > 0 && applied.size > wanted.length - pending.length) throw foreignSchema();
    for (const migration of pending) await apply(tx, migration);
  });
}

/** Whether the database is at this build's schema, or ahead of it. Reads only. */
export async function isMigrated(database: Database): Promise<boolean> {
  const [found] = await database.rows<{ exists: boolean }>("select to_regclass('checkoutd.migrations') is not null as exists");
  if (found?.exists !== true) return false;
  const applied = await database.rows<{ hash: string }>("select hash from checkoutd.migrations");
  const hashes = new Set(applied.map(({ hash }) => hash));
  return readMigrationFiles({ migrationsFolder: MIGRATIONS_FOLDER }).every(({ hash }) => hashes.has(hash));
}

async function apply(tx: Orm, migration: ReturnType<typeof readMigrationFiles>[number]): Promise<void> {
  for (const statement of migration.sql) await tx.execute(sql.raw(statement));
  await tx.insert(migrations).values({ hash: migration.hash, generatedAt: migration.folderMillis });
}

/** A database ahead of us is fine (a newer node runs beside us); one that went another way is not. */
function foreignSchema(): InvariantError {
  return new InvariantError("This database was migrated by a different build. Use that build, or a new database.");
}
