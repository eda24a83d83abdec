/** The journal as clients read it, and the cursor through it. */
import type { Violation } from "../machines/errors.ts";
import type { JournalEntry } from "../persistence/store.ts";
import { rfc3339 } from "./checkout-body.ts";
import type { HistoryEntryBody } from "./response-schema.ts";

const LIMIT_DEFAULT = 100;
const HISTORY_LIMIT_MAX = 500;
/** The database's integer. */
const SEQ_MAX = 2_147_483_647;

export type PageQuery =
  | { readonly kind: "page"; readonly after: number; readonly limit: number }
  | { readonly kind: "violations"; readonly violations: readonly Violation[] };

export function pageQuery(after: string | undefined, limit: string | undefined): PageQuery {
  const afterSeq = integerWithin(after ?? "0", 0, SEQ_MAX);
  const limitCount = integerWithin(limit ?? String(LIMIT_DEFAULT), 1, HISTORY_LIMIT_MAX);
  if (afterSeq !== null && limitCount !== null) return { kind: "page", after: afterSeq, limit: limitCount };
  const violations: Violation[] = [];
  const add = (message: string) => violations.push({ pointer: "", code: "INVALID_QUERY", message });
  if (afterSeq === null) add("`after` must be the seq of a journal entry, or 0.");
  if (limitCount === null) add(`\`limit\` must be an integer from 1 to ${HISTORY_LIMIT_MAX}.`);
  return { kind: "violations", violations };
}

export function historyEntryBody(entry: JournalEntry): HistoryEntryBody {
  const { type, ...data } = entry.event;
  return { seq: entry.seq, at: rfc3339(entry.at), event: type, from: entry.from, to: entry.to, data };
}

/** The seq after which a stream goes on: Last-Event-ID of a client that reconnects. */
export function resumeAfter(lastEventId: string | undefined): number {
  return integerWithin(lastEventId ?? "0", 0, SEQ_MAX) ?? 0;
}

/** Which entry of a journal is asked for; null = none can be. */
export function seqQuery(seq: string | undefined): number | null {
  return integerWithin(seq ?? "", 1, SEQ_MAX);
}

function integerWithin(text: string, min: number, max: number): number | null {
  if (!/^\d{1,10}$/.test(text)) return null;
  const value = Number(text);
  return value >= min && value <= max ? value : null;
}
