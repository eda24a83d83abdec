import { and, eq, sql } from "drizzle-orm";
import { TerminalError } from "../machines/errors.ts";
import type { Database, Orm } from "../persistence/connect.ts";
import { effects } from "../persistence/service-schema.ts";
import type { Call, UndoReport } from "../steps/services.ts";

export interface Effect<Result, Before> {
  readonly result: Result;
  readonly before: Before;
}

/**
 * Makes an effect on our own tables idempotent by its key, and undoable by the same key alone.
 *
 * The row in `effects` is inserted first, in the effect's transaction: a second caller with the same
 * key waits on it, then reads the first one's result. The undo inserts the same row, so that whichever
 * of original and undo comes second sees the other, even when the original is delayed by minutes.
 */
export class EffectLog {
  constructor(private readonly database: Database) {}

  /** Runs `work` once per (operation, key), atomically with its record; TerminalError `UNDONE` after an undo. */
  async perform<Result, Before = null>(
    operation: string,
    call: Call,
    work: (tx: Orm) => Promise<Effect<Result, Before>>,
  ): Promise<Result> {
    return this.database.transaction(async (tx) => {
      const inserted = await tx
        .insert(effects)
        .values({ operation, key: call.key, contextId: call.executionContextId })
        .onConflictDoNothing()
        .returning({ key: effects.key });
      if (inserted.length === 0) {
        const [known] = await tx.select().from(effects).where(at(operation, call)).for("update");
        if (known === undefined || known.undoneAt !== null) throw undone(operation, call);
        return known.result as Result;
      }
      const effect = await work(tx);
      await tx.update(effects).set({ result: effect.result, before: effect.before }).where(at(operation, call));
      return effect.result;
    });
  }

  /** Compensates at most once; leaves a tombstone where nothing had been done. */
  async undo<Result, Before = null>(
    operation: string,
    call: Call,
    compensate: (tx: Orm, effect: Effect<Result, Before>) => Promise<UndoReport>,
  ): Promise<UndoReport> {
    return this.database.transaction(async (tx) => {
      const tombstone = await tx
        .insert(effects)
        .values({ operation, key: call.key, contextId: call.executionContextId, undoneAt: sql`now()`, undoReport: NOTHING_DONE })
        .onConflictDoNothing()
        .returning({ key: effects.key });
      if (tombstone.length > 0) return NOTHING_DONE;
      const [known] = await tx.select().from(effects).where(at(operation, call)).for("update");
      if (known === undefined) return NOTHING_DONE;
      if (known.undoneAt !== null) return known.undoReport as UndoReport;
      const report = await compensate(tx, { result: known.result as Result, before: known.before as Before });
      await tx
        .update(effects)
        .set({ undoneAt: sql`now()`, undoReport: report })
        .where(at(operation, call));
      return report;
    });
  }
}

const NOTHING_DONE: UndoReport = { conflicts: [] };

function at(operation: string, call: Call) {
  return and(eq(effects.operation, operation), eq(effects.key, call.key));
}

function undone(operation: string, call: Call): TerminalError {
  return new TerminalError("UNDONE", `${operation} with key ${call.key} was undone and can't be done again.`);
}
