/** What the runtime tells its operators. Ids and codes only, never personal data. */
export interface Log {
  info(fields: Readonly<Record<string, unknown>>, message: string): void;
  warn(fields: Readonly<Record<string, unknown>>, message: string): void;
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

export const COUNTER_NAMES = [
  "stale_outcomes_dropped",
  "stale_timers_dropped",
  "commits_applied",
  "commits_refused",
  "commits_recognised",
  "checkouts_parked",
  "checkouts_resumed",
  "checkouts_migrated",
  "lease_lost",
  "locks_unavailable",
  "locks_lost",
  "events_published",
  "publish_failures",
  "events_parked",
  "bus_unavailable",
  "payment_events_stored",
  "payment_events_duplicate",
  "payment_events_contradictory",
  "payment_events_unmatched",
  "payment_events_ignored",
  "payment_events_refused",
] as const;
export type CounterName = (typeof COUNTER_NAMES)[number];

/** Monotonic counts since the process began. */
export class Counters {
  private readonly counts = new Map<CounterName, number>();

  add(name: CounterName, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by);
  }

  get(name: CounterName): number {
    return this.counts.get(name) ?? 0;
  }
}
