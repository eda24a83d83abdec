import { InvariantError } from "../machines/errors.ts";

/** A cart and its payment groups are far fewer; a statement with more keys than this is a bug of ours. */
const KEYS_MAX = 256;

/**
 * The keys once each, in the one order that every adapter takes them in. Two owners that take the
 * same keys in different orders wait for each other for ever.
 */
export function inLockOrder(keys: readonly string[]): string[] {
  const ordered = [...new Set(keys)].sort();
  if (ordered.length > KEYS_MAX)
    throw new InvariantError(`At most ${KEYS_MAX} keys can be locked together, got ${ordered.length}.`);
  return ordered;
}

/** A lock that never lapses, or lapsed before it began, would be found only when a node dies. */
export function checkTtl(ttlMs: number): void {
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1)
    throw new InvariantError(`A lock's ttlMs must be a positive whole number, got ${ttlMs}.`);
}
