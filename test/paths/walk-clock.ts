/** Stands still but for jumps, and rings no timer: the path says which one does. Remembers what would ring, and when. */
import type { Clock } from "../../steps/ports.ts";

export const BEGINNING = 1_700_000_000_000;
/** Past every timer that can be set. */
export const JUMP_MS = 5_000_000_000_000;

export class WalkClock implements Clock {
  readonly #alarms = new Set<{ readonly at: number }>();

  constructor(private time = BEGINNING) {}

  now(): number {
    return this.time;
  }

  monotonic(): number {
    return this.time;
  }

  after(delayMs: number): () => void {
    const alarm = { at: this.time + delayMs };
    this.#alarms.add(alarm);
    return () => void this.#alarms.delete(alarm);
  }

  /** Whether something would ring then; what is overdue rings at once. */
  rings(at: number): boolean {
    return [...this.#alarms].some((alarm) => alarm.at === Math.max(at, this.time));
  }

  /** Nobody who set one lives any more. */
  forgetAlarms(): void {
    this.#alarms.clear();
  }

  jump(): void {
    this.time += JUMP_MS;
  }
}
