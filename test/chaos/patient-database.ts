/** A database as somebody uses it who looks on while it is restarted: what fails for now is asked again. */
import { setTimeout as sleep } from "node:timers/promises";
import { classify } from "../../machines/errors.ts";
import type { Database } from "../../persistence/connect.ts";

const RETRY_MS = 100;
const PATIENCE_MS = 30_000;

/** For reads, and for transactions that may happen twice. */
export function patient(database: Database): Database {
  return {
    ...database,
    rows: (text, parameters) => insist(() => database.rows(text, parameters)),
    transaction: (work) => insist(() => database.transaction(work)),
  };
}

async function insist<Result>(ask: () => Promise<Result>): Promise<Result> {
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await ask();
    } catch (error) {
      if (classify(error).class !== "TRANSIENT" || performance.now() > until) throw error;
      await sleep(RETRY_MS);
    }
  }
}
