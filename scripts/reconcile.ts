/** `npm run reconcile`: does the payment provider hold what our ledger says it holds? */
import type { Database } from "../persistence/connect.ts";
import { SqlStore } from "../persistence/sql-store.ts";
import { loadConfig } from "../server/config.ts";
import { systemClock as clock, systemIds as ids } from "../server/system-ports.ts";
import { SimulatedProvider } from "../services/provider-simulator.ts";
import { reconcile } from "../services/reconciliation.ts";
import { openExisting } from "./existing-database.ts";
import { progressTo } from "./output.ts";
import { readArguments, USAGE, type ReconcileArguments } from "./reconcile/arguments.ts";
import { deliver, moneyBooks } from "./reconcile/books.ts";
import { printJson, printReport } from "./reconcile/report.ts";
import { EXIT, runScript } from "./run-script.ts";

async function run(given: ReconcileArguments): Promise<number> {
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

await runScript({ usage: USAGE, readArguments, run, failure: "The books can't be compared" });
