import { existsSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { PGlite } from "@electric-sql/pglite";
import type { Database, Orm } from "./connect.ts";
import { lockDataDirectory } from "./data-directory-lock.ts";
import { readTemplate } from "./template.ts";

export interface EmbeddedOptions {
  /** Called once when a new database is made without a template, which takes several seconds. */
  readonly onSlowStart?: (message: string) => void;
}

/**
 * Postgres inside this process (PGlite): one session, so statements and transactions queue behind one
 * another. Survives kill -9 of the process, not a power cut: it doesn't fsync.
 * Throws DataDirectoryLockedError when a live process holds the directory.
 */
export async function openEmbedded(dataDirectory: string, options: EmbeddedOptions = {}): Promise<Database> {
  makeDirectory(dataDirectory);
  const unlock = lockDataDirectory(dataDirectory);
  try {
    const client = await openClient(join(dataDirectory, "postgres"), options);
    return await embeddedDatabase(client, unlock);
  } catch (error) {
    unlock();
    throw error;
  }
}

/** Loaded here and nowhere else: a node with DATABASE_URL never pays for PGlite's 15 MB. */
export async function openClient(directory: string | undefined, options: EmbeddedOptions = {}): Promise<PGlite> {
  const { PGlite } = await import("@electric-sql/pglite");
  const isNew = directory === undefined || !existsSync(join(directory, "PG_VERSION"));
  const template = isNew ? await readTemplate() : null;
  if (isNew && template === null) {
    options.onSlowStart?.(
      "No up-to-date database template: the first start takes several seconds. `npm run template` builds one.",
    );
  }
  return PGlite.create({
    parsers: PARSERS,
    ...(directory === undefined ? {} : { dataDir: directory }),
    ...(template === null ? {} : { loadDataDir: template }),
  });
}

export async function embeddedDatabase(client: PGlite, onClosed: () => void = () => {}): Promise<Database> {
  const { drizzle } = await import("drizzle-orm/pglite");
  takeTurns(client);
  const orm = drizzle(client);
  let closing: Promise<void> | undefined;
  const rows = async <Row>(text: string, parameters: readonly unknown[] = []) =>
    (await client.query<Row>(text, [...parameters])).rows;
  return {
    kind: "embedded",
    orm: orm as unknown as Orm,
    rows,
    transaction: (work) => orm.transaction((tx) => work(tx as unknown as Orm)),
    listen: null,
    ping: async () => void (await rows("select 1")),
    close: () => (closing ??= client.close().finally(onClosed)),
  };
}

/**
 * PGlite answers within microtasks, so busy checkouts would never let the event loop turn: no heartbeat, no
 * request, no signal would get through until they rest. Each statement outside a transaction, and each
 * transaction, begins in a turn of its own.
 */
function takeTurns(client: PGlite): void {
  const query = client.query.bind(client);
  const transaction = client.transaction.bind(client);
  client.query = async (...call) => {
    await nextTurn();
    return query(...call);
  };
  client.transaction = async (work) => {
    await nextTurn();
    return transaction(work);
  };
}

const text = (value: string) => value;

/** By type OID, as on Postgres: numbers for int8 and numeric, text for date and timestamp; timestamptz is a Date already. */
const PARSERS = { 20: Number, 1700: Number, 1082: text, 1114: text };

/** One level at a time: Node's recursive mkdir loops for ever where a file system refuses with ENOENT, as /proc does. */
function makeDirectory(path: string): void {
  if (existsSync(path)) return;
  makeDirectory(dirname(path));
  mkdirSync(path);
}
