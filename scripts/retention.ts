/** `npm run retention`: removes what finished long ago, in bounded batches. */
import type { Database } from "../persistence/connect.ts";
import { countRemovable, removeFinished, type RetentionCursor } from "../persistence/retention.ts";
import { loadConfig } from "../server/config.ts";
import { openExisting, placeOf } from "./existing-database.ts";
import { progressTo, say } from "./output.ts";
import { readArguments, USAGE, type RetentionArguments } from "./retention/arguments.ts";
import { EXIT, runScript } from "./run-script.ts";

async function run({ days, isDryRun, dataDir }: RetentionArguments): Promise<number> {
  const database = await openExisting(placeOf(loadConfig(process.env), dataDir));
  try {
    await (isDryRun ? tell(database, days) : remove(database, days));
    return EXIT.fine;
  } finally {
    await database.close();
  }
}

async function tell(database: Database, days: number): Promise<void> {
  const { checkouts, tombstones } = await countRemovable(database, days);
  say(
    `${checkouts} checkouts finished more than ${days} days ago and owe nothing; ${tombstones} of them would leave a tombstone.`,
  );
}

async function remove(database: Database, days: number): Promise<void> {
  const progress = progressTo(process.stderr, "checkouts removed");
  const total = { checkouts: 0, tombstones: 0, rows: 0 };
  for (let after: RetentionCursor | null = null; ;) {
    const { checkouts, tombstones, rows, last } = await removeFinished(database, days, after);
    if (last === null) break;
    after = last;
    total.checkouts += checkouts;
    total.tombstones += tombstones;
    total.rows += rows;
    progress.tell(total.checkouts);
  }
  progress.end();
  say(`${total.checkouts} checkouts removed, ${total.rows} rows; ${total.tombstones} of them left a tombstone.`);
}

await runScript({ usage: USAGE, readArguments, run, failure: "What finished can't be removed" });
