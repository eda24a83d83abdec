/** An in-memory database with all tables as the schema modules define them, for tests of the participants. */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { generateDrizzleJson, generateMigration } from "drizzle-kit/api";
import { drizzle } from "drizzle-orm/pglite";
import type { Database, Orm } from "../../persistence/connect.ts";
import * as schema from "../../persistence/schema.ts";
import * as serviceSchema from "../../persistence/service-schema.ts";

export async function openMemoryDatabase(): Promise<Database> {
  const client = await createClient();
  const orm: Orm = drizzle(client);
  return {
    kind: "embedded",
    orm,
    rows: async <Row>(text: string, parameters: readonly unknown[] = []) => (await client.query<Row>(text, [...parameters])).rows,
    transaction: (work) => orm.transaction(work),
    ping: async () => void (await client.query("select 1")),
    close: () => client.close(),
  };
}

/** The schema modules as one script for an empty database. */
export async function tablesAsSql(): Promise<string> {
  const statements = await generateMigration(generateDrizzleJson({}), generateDrizzleJson({ ...schema, ...serviceSchema }));
  return statements.join("\n");
}

/** A fresh start takes seconds, one from a template a fraction: the first test file on a machine leaves one, named by the tables in it. */
async function createClient(): Promise<PGlite> {
  const ddl = await tablesAsSql();
  const folder = join(tmpdir(), "checkoutd-test-templates");
  const template = join(folder, `${createHash("sha256").update(ddl).digest("hex")}.tar`);
  const stored = await readFile(template).catch(() => null);
  if (stored !== null) return PGlite.create({ loadDataDir: new Blob([stored]) });
  const client = await PGlite.create();
  await client.exec(ddl);
  const dump = Buffer.from(await (await client.dumpDataDir("none")).arrayBuffer());
  await mkdir(folder, { recursive: true });
  // Renamed into place: another worker reads a whole template or none.
  const draft = `${template}.${process.pid}`;
  await writeFile(draft, dump);
  await rename(draft, template);
  return client;
}
