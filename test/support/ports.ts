/** Time and ids that a test drives. */
import type { Clock, IdPrefix, Ids } from "../../steps/ports.ts";

/** Sortable, and different in every run of a file, because tests share a database. */
export function countingIds(): Ids {
  let last = 0;
  return { next: (prefix: IdPrefix) => `${prefix}_${String(++last).padStart(8, "0")}`, random: () => 0.5 };
}

const MONOTONIC_SINCE = Date.UTC(2027, 0, 8, 9);

export class ManualClock implements Clock {
  readonly #timers = new Set<{ readonly at: number; readonly run: () => void }>();

  constructor(private time = Date.UTC(2027, 0, 8, 10)) {}

  /** Timers that are set. */
  get pending(): number {
    return this.#timers.size;
  }

  now(): number {
    return this.time;
  }

  /** Never the time of day: whoever takes one for the other is found out. */
  monotonic(): number {
    return this.time - MONOTONIC_SINCE;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.time + delayMs, run };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  advance(byMs: number): void {
    this.time += byMs;
    for (const timer of [...this.#timers].filter(({ at }) => at <= this.time)) {
      this.#timers.delete(timer);
      timer.run();
    }
  }
}

/** Resolves when everything that waited for promises alone, and not for a timer or a server, has run. */
export function idle(): Promise<void> {
  return new Promise((resume) => setImmediate(resume));
}

export const SILENT = { info: () => {}, warn: () => {}, error: () => {} };
