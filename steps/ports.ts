/** The only doors to time and chance. Everything else asks these, so that the whole runs in a simulator. */

/** Wall time in milliseconds since the epoch (UTC), and a timer that it drives. */
export interface Clock {
  now(): number;
  /** Milliseconds since some fixed moment of this process, never set back: for durations and for trust in a lease. */
  monotonic(): number;
  /** Calls `run` once after `delayMs`; the returned function cancels it and is safe to call twice. */
  after(delayMs: number, run: () => void): () => void;
}

/** New identifiers and chance. */
export interface Ids {
  /** `<prefix>_<sortable unique part>`, e.g. `ctx_0193…`. */
  next(prefix: IdPrefix): string;
  /** Uniform in [0, 1): the jitter of a backoff. */
  random(): number;
}

export type IdPrefix =
  "ctx" | "pg" | "psp" | "inv" | "co" | "opt" | "li" | "pcr" | "att" | "psr" | "rfd" | "node" | "cmt" | "req" | "rsl" | "rpl";
