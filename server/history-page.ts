/** The journal as clients read it, and the cursor through it. */
import type { Violation } from "../machines/errors.ts";
import type { JournalEntry } from "../persistence/store.ts";
import { rfc3339 } from "./checkout-body.ts";
import { historyPageLink } from "./links.ts";
import { problem, type Problem } from "./problems.ts";
import type { HistoryEntryBody } from "./response-schema.ts";

const LIMIT_DEFAULT = 100;
const HISTORY_LIMIT_MAX = 500;
/** The database's integer. */
const SEQ_MAX = 2_147_483_647;

interface Page {
  readonly after: number;
  readonly limit: number;
}

export type PageQuery =
  ({ readonly kind: "page" } & Page) | { readonly kind: "violations"; readonly violations: readonly Violation[] };

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

/** A journal has no gaps: where entries are missing before its first one, retention removed them. */
export function removedBefore(id: string, page: Page, first: JournalEntry | undefined): Problem | null {
  if (first === undefined || first.seq === page.after + 1) return null;
  const detail = `The entries before ${first.seq} were removed after their time of retention. Follow \`next\` for those that are kept.`;
  const next = historyPageLink(id, first.seq - 1, page.limit);
  return problem("REMOVED_BY_RETENTION", detail, { executionContextId: id, next });
}

export function removedEntry(id: string): Problem {
  const detail = "What led to this entry was removed after its time of retention. Ask for the checkout as it is now.";
  return problem("REMOVED_BY_RETENTION", detail, { executionContextId: id });
}

function integerWithin(text: string, min: number, max: number): number | null {
  if (!/^\d{1,10}$/.test(text)) return null;
  const value = Number(text);
  return value >= min && value <= max ? value : null;
}
