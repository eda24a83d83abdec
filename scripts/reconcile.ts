/** `npm run reconcile`: does the payment provider hold what our ledger says it holds? */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { classify } from "../machines/errors.ts";
import type { Database } from "../persistence/connect.ts";
import { DataDirectoryLockedError } from "../persistence/data-directory-lock.ts";
import { openEmbedded } from "../persistence/embedded-database.ts";
import { isMigrated } from "../persistence/migrate.ts";
import { connectPostgres } from "../persistence/postgres-database.ts";
import { SqlStore } from "../persistence/sql-store.ts";
import { ConfigError, loadConfig, type Config } from "../server/config.ts";
import { systemClock as clock, systemIds as ids } from "../server/system-ports.ts";
import { SimulatedProvider } from "../services/provider-simulator.ts";
import { reconcile } from "../services/reconciliation.ts";
import { readArguments, USAGE, type ReconcileArguments } from "./reconcile/arguments.ts";
import { deliver, moneyBooks } from "./reconcile/books.ts";
import { printJson, printReport, progressTo } from "./reconcile/report.ts";

/** As in sysexits.h, and as the service's own. */
const EXIT = {
  equal: 0,
  different: 1,
  usage: 64,
  noDatabase: 66,
  unavailable: 69,
  software: 70,
  locked: 75,
  config: 78,
} as const;

async function main(): Promise<number> {
  const given = readOrExplain();
  if (given === null) return EXIT.usage;
  if (given === "help") {
    process.stdout.write(USAGE);
    return EXIT.equal;
  }
  const config = loadConfig(process.env);
  if (config.databaseUrl === null && !existsSync(join(config.dataDir, "postgres", "PG_VERSION"))) {
    process.stderr.write(`There is no database in ${config.dataDir}. Set DATA_DIR or DATABASE_URL as the service has it.\n`);
    return EXIT.noDatabase;
  }
  const database = await openDatabase(config);
  try {
    if (await isMigrated(database)) return await compare(database, given);
    process.stderr.write(
      "This database is not at this build's schema. Run the build that its service runs, or start this one's first.\n",
    );
    return EXIT.noDatabase;
  } finally {
    await database.close();
  }
}

async function compare(database: Database, { isJson, isDelivering, settleMs }: ReconcileArguments): Promise<number> {
  const store = new SqlStore(database);
  const progress = progressTo(process.stderr);
  const result = await reconcile({
    provider: new SimulatedProvider({ database, ids, clock }),
    books: moneyBooks(database, store),
    startedAt: clock.now(),
    settleMs,
    onProgress: progress.tell,
  });
  progress.end();
  const delivered = isDelivering ? await deliver(store, result.differences) : null;
  (isJson ? printJson : printReport)(result, delivered);
  return result.differences.length === 0 ? EXIT.equal : EXIT.different;
}

function readOrExplain(): ReconcileArguments | "help" | null {
  try {
    return readArguments(process.argv.slice(2)) ?? "help";
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n\n${USAGE}`);
    return null;
  }
}

function openDatabase({ databaseUrl, dataDir }: Config): Database | Promise<Database> {
  return databaseUrl === null ? openEmbedded(dataDir) : connectPostgres(databaseUrl);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function exitCodeFor(error: unknown): number {
  if (error instanceof ConfigError) return EXIT.config;
  if (error instanceof DataDirectoryLockedError) return EXIT.locked;
  return classify(error).class === "TRANSIENT" ? EXIT.unavailable : EXIT.software;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.stderr.write(`The books can't be compared: ${messageOf(error)}\n`);
    process.exitCode = exitCodeFor(error);
  },
);
