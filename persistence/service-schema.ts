/** Tables of the built-in participants. Each row names the execution context that caused it. */
import { jsonb, primaryKey, text, timestamp } from "drizzle-orm/pg-core";
import { checkoutd } from "./schema.ts";

/**
 * One row per call with an effect, written in the effect's own transaction: its result, what was there
 * before, and whether it was undone. An undone row without a result is a tombstone: the delayed
 * original finds it and is refused.
 */
export const effects = checkoutd.table(
  "effects",
  {
    operation: text("operation").notNull(),
    key: text("key").notNull(),
    contextId: text("context_id").notNull(),
    result: jsonb("result"),
    before: jsonb("before"),
    undoneAt: timestamp("undone_at", { withTimezone: true, mode: "date" }),
    undoReport: jsonb("undo_report"),
    createdAt: timestamp("created_at", { withTimezone: true, mode: "date" }).notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.operation, table.key] })],
);
