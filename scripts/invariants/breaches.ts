/** Everything that must hold of a checkout at rest, or of its tombstone. docs/invariants.md has the numbers. */
import { EFFECT_CHECKS } from "./effects.ts";
import type { Evidence } from "./evidence.ts";
import { EVENT_CHECKS } from "./events.ts";
import { JOURNAL_CHECKS, REST_CHECKS } from "./journal.ts";
import { BOOK_CHECKS, MONEY_CHECKS } from "./money.ts";
import { replayBreaches } from "./replay.ts";
import { TOMBSTONE_CHECKS } from "./tombstone.ts";

/** A line for each breach, beginning with the invariant's number; empty = all hold. */
export function breachesOf(evidence: Evidence): readonly string[] {
  return [...recordBreaches(evidence), ...replayBreaches(evidence)];
}

/** What the records say as they are: all but the replay, which takes longer than all the rest. */
export function recordBreaches(evidence: Evidence): readonly string[] {
  const history = evidence.removed === null ? [...JOURNAL_CHECKS, ...MONEY_CHECKS, ...EVENT_CHECKS] : TOMBSTONE_CHECKS;
  return [...history, ...REST_CHECKS, ...BOOK_CHECKS, ...EFFECT_CHECKS].flatMap((check) => check(evidence));
}
