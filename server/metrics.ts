/** What this node counts and measures, in Prometheus' text format. */
import { Counter, Gauge, Registry } from "prom-client";
import { COUNTER_NAMES, type CounterName, type Counters } from "../runtime/telemetry.ts";

export interface Metrics {
  readonly counters: Pick<Counters, "get">;
  /** By their full name, e.g. `checkout_unsettled_money_checkouts`. */
  readonly gauges: Readonly<Record<string, MeasuredGauge>>;
}

export interface MeasuredGauge {
  readonly help: string;
  /** Asked at every scrape. */
  value(): number;
}

const HELP = {
  stale_outcomes_dropped: "Outcomes of steps that the checkout no longer waited for",
  stale_timers_dropped: "Timers that fired after their state was left",
  commits_applied: "Transitions that were committed",
  commits_refused: "Commits that a fence refused, because another node runs the checkout",
  commits_recognised: "Commits whose answer was lost, and that were found to have been applied",
  checkouts_parked: "Checkouts that can't go on without an operator",
  checkouts_resumed: "Checkouts that were taken over or woken from the database",
  checkouts_migrated: "Checkouts of older versions that this node migrated to its own",
  lease_lost: "Times that this node lost its lease",
  locks_unavailable: "Times that the lock service did not answer",
  locks_lost: "Checkouts whose locks were gone when they were to be renewed or given back",
  events_published: "Events that the bus acknowledged",
  publish_failures: "Publications that the bus refused, or a subscriber in this process",
  events_parked: "Events that the bus will never take as they are; an operator is asked",
  bus_unavailable: "Times that the bus could not be reached; events wait for it",
  payment_events_stored: "Payment events that were kept",
  payment_events_duplicate: "Payment events that had been kept before",
  payment_events_contradictory: "Payment events that had been kept before with another content, which stands",
  payment_events_unmatched: "Payment events that name no payment requirement",
  payment_events_ignored: "Payment events of a type that is not known",
  payment_events_refused: "Payment events with a wrong or old signature, or that are not valid",
} as const satisfies Record<CounterName, string>;

export interface Exposition {
  readonly contentType: string;
  text(): Promise<string>;
}

/** A registry of its own: prom-client's global one would mix the nodes of one process. */
export function expositionOf({ counters, gauges }: Metrics): Exposition {
  const registry = new Registry();
  for (const name of COUNTER_NAMES) {
    new Counter({
      name: `${name}_total`,
      help: HELP[name],
      registers: [registry],
      collect() {
        this.reset();
        this.inc(counters.get(name));
      },
    });
  }
  for (const [name, gauge] of Object.entries(gauges)) {
    new Gauge({
      name,
      help: gauge.help,
      registers: [registry],
      collect() {
        this.set(gauge.value());
      },
    });
  }
  return { contentType: registry.contentType, text: () => registry.metrics() };
}
