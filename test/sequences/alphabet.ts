/** What can happen to a checkout from outside, and every order in which it can. */

export const LETTERS = [
  /** The provider captures the newest attempt's charge, and says so under a new event id. */
  "success",
  /** The provider says that the newest attempt failed. */
  "failed",
  /** The capture of the first success is announced again under another event id; where there is none, it is the first. */
  "duplicate",
  /** Another capture of the same amount, with a new reference. */
  "second",
  /** A capture of another amount, with a new reference. */
  "other",
  /** Time goes on to the payment's deadline and until it is found; past it, by as much again. */
  "deadline",
  /** The client cancels. */
  "cancel",
  /** The node stops acting at once, and another takes over; what was in flight may still have its effect. */
  "crash",
] as const;
export type Letter = (typeof LETTERS)[number];
export type Sequence = readonly Letter[];

/** All sequences of `length`, in the order of the alphabet. */
export function* sequencesOf(length: number): Generator<Sequence> {
  if (length === 0) return yield [];
  for (const shorter of sequencesOf(length - 1)) for (const letter of LETTERS) yield [...shorter, letter];
}

/** How many sequences there are of lengths 0 to `lengthMax`. */
export function countOf(lengthMax: number): number {
  let count = 0;
  for (let length = 0; length <= lengthMax; length++) count += LETTERS.length ** length;
  return count;
}
