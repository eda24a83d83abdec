/** Entries and timers go by the database's clock, whatever a machine's own one says. */
import type { TransitionNotice } from "../../runtime/transition-notice.ts";

/** An entry is told of later than it was decided; as much as that, a question for the time can be wrong. */
const AHEAD_MAX_MS = 100;

/** What is wrong, or null. */
export function datedAhead({ executionContextId, entry }: TransitionNotice, now: number): string | null {
  const aheadMs = entry.at - now;
  return aheadMs <= AHEAD_MAX_MS ? null : `${executionContextId} I26: entry ${entry.seq} is dated ${aheadMs} ms ahead`;
}
