/** `npm run reconcile`: does the payment provider hold what our ledger says it holds? */
import type { Database } from "../persistence/connect.ts";
import { SqlStore } from "../persistence/sql-store.ts";
import { loadConfig } from "../server/config.ts";
import { systemClock as clock, systemIds as ids } from "../server/system-ports.ts";
import { SimulatedProvider } from "../services/provider-simulator.ts";
import { reconcile } from "../services/reconciliation.ts";
import { EXIT, exitCodeFor, messageOf, openExisting } from "./existing-database.ts";
import { progressTo } from "./output.ts";
import { readArguments, USAGE, type ReconcileArguments } from "./reconcile/arguments.ts";
import { deliver, moneyBooks } from "./reconcile/books.ts";
import { printJson, printReport } from "./reconcile/report.ts";

async function main(): Promise<number> {
  const given = readOrExplain();
  if (given === null) return EXIT.usage;
  if (given === "help") {
    process.stdout.write(USAGE);
    return EXIT.fine;
  }
  const database = await openExisting(loadConfig(process.env));
  try {
    return await compare(database, given);
  } finally {
    await database.close();
  }
}

async function compare(database: Database, { isJson, isDelivering, settleMs }: ReconcileArguments): Promise<number> {
  const store = new SqlStore(database);
  const progress = progressTo(process.stderr, "charges compared");
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
  return result.differences.length === 0 ? EXIT.fine : EXIT.found;
}

function readOrExplain(): ReconcileArguments | "help" | null {
  try {
    return readArguments(process.argv.slice(2)) ?? "help";
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n\n${USAGE}`);
    return null;
  }
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
