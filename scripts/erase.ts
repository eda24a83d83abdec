/** `npm run erase`: a user's personal data in finished checkouts. */
import { eraseUser, type Erasure } from "../persistence/erasure.ts";
import { loadConfig } from "../server/config.ts";
import { readArguments, USAGE, type EraseArguments } from "./erase/arguments.ts";
import { openExisting, placeOf } from "./existing-database.ts";
import { say } from "./output.ts";
import { EXIT, runScript } from "./run-script.ts";

async function run({ userId, dataDir }: EraseArguments): Promise<number> {
  const database = await openExisting(placeOf(loadConfig(process.env), dataDir));
  try {
    const erasure = await eraseUser(database, userId);
    report(userId, erasure);
    return erasure.unfinished.length === 0 ? EXIT.fine : EXIT.found;
  } finally {
    await database.close();
  }
}

function report(userId: string, { checkouts, requests, payloads, returnUrls, unfinished }: Erasure): void {
  if (checkouts + unfinished.length === 0) return say(`There is no checkout of ${userId} here: nothing to erase.`);
  say(
    `${userId}, ${checkouts} finished checkouts: erased now ${requests} requests, ${payloads} preferences, ${returnUrls} return URLs.`,
  );
  if (unfinished.length === 0) return;
  say(`${unfinished.length} not finished, and not erased. Run this again after they ended:`);
  for (const { id, status } of unfinished) say(`  ${id}  ${status}`);
}

await runScript({ usage: USAGE, readArguments, run, failure: "Nothing was erased" });
