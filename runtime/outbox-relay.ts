/**
 * Publishes committed events. Event n+1 of a checkout goes out after n's acknowledgement, many checkouts at
 * once; marked after the acknowledgement, so that a crash in between publishes the same id again, never none.
 */
import type { Bus, CloudEvent } from "../messaging/bus.ts";
import type { PublishedEvent, Store } from "../persistence/store.ts";
import type { Clock } from "../steps/ports.ts";
import type { Counters, Log } from "./telemetry.ts";

const SWEEP_MS = 1_000;
const CHECKOUTS_MAX = 100;
/** How long a stopping node goes on publishing what it has committed; the next one finds the rest. */
const FLUSH_MAX_MS = 2_000;

export interface OutboxRelayDeps {
  readonly store: Pick<Store, "unpublished" | "markPublished">;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  /** CloudEvents `source`: who says it. */
  readonly source: string;
}

export class OutboxRelay {
  private cancelSweep: () => void = () => {};
  private current: Promise<void> | null = null;
  private flushing: Promise<void> | null = null;
  private isKicked = false;
  /** Events that failed since the last sweep began. */
  private readonly failed = new Set<string>();
  private sweepAt = 0;
  private isStopped = true;
  private flushUntil = Number.POSITIVE_INFINITY;

  constructor(private readonly deps: OutboxRelayDeps) {}

  start(): void {
    this.isStopped = false;
    this.flushUntil = Number.POSITIVE_INFINITY;
    this.kick();
  }

  /** There may be something new. Cheap; many kicks make one run. */
  kick(): void {
    this.isKicked = true;
    if (this.current !== null || this.isStopped) return;
    this.cancelSweep();
    this.current = this.run().finally(() => {
      this.current = null;
      if (!this.isStopped) this.cancelSweep = this.deps.clock.after(this.isKicked ? 0 : SWEEP_MS, () => this.kick());
    });
  }

  /**
   * Publishes what is committed by now, for a while, and resolves when that is marked: after the last node
   * of a deployment has stopped, nobody else would. Safe twice and before start.
   */
  async stop(): Promise<void> {
    if (!this.isStopped) {
      this.isStopped = true;
      this.cancelSweep();
      this.flushUntil = this.deps.clock.now() + FLUSH_MAX_MS;
      const flush = (this.current ?? Promise.resolve()).then(() => this.run());
      // A bus that never answers must not hold up the stop: what it may have got is published again, under the same id.
      this.flushing = Promise.race([flush, new Promise<void>((resolve) => this.deps.clock.after(FLUSH_MAX_MS, resolve))]);
    }
    await this.flushing;
  }

  private async run(): Promise<void> {
    if (this.deps.clock.monotonic() >= this.sweepAt) {
      this.sweepAt = this.deps.clock.monotonic() + SWEEP_MS;
      this.failed.clear();
    }
    try {
      for (let hasMore = true; hasMore && this.deps.clock.now() < this.flushUntil;) {
        this.isKicked = false;
        const waiting = await this.deps.store.unpublished(CHECKOUTS_MAX);
        // What failed is tried once a sweep, however busy the others are.
        const events = waiting.filter((event) => !this.failed.has(keyOf(event)));
        const published = await Promise.all(events.map((event) => this.publish(event)));
        // What failed waits for the next sweep; only those that went out may have a successor.
        hasMore = published.some((isPublished) => isPublished);
      }
    } catch (error) {
      this.deps.log.warn({ err: error }, "The outbox could not be read; it is read again");
    }
  }

  private async publish(event: PublishedEvent): Promise<boolean> {
    const isPublished = await this.deps.bus.publish(toCloudEvent(event, this.deps.source)).then(
      () => true,
      (error: unknown) => {
        this.deps.counters.add("publish_failures");
        this.deps.log.warn(
          { executionContextId: event.contextId, eventSeq: event.eventSeq, err: error },
          "An event could not be published",
        );
        return false;
      },
    );
    if (!isPublished) this.failed.add(keyOf(event));
    await this.deps.store.markPublished(event.contextId, event.eventSeq, isPublished);
    if (isPublished) this.deps.counters.add("events_published");
    return isPublished;
  }
}

function keyOf({ contextId, eventSeq }: PublishedEvent): string {
  return `${contextId}:${eventSeq}`;
}

/** Event id = `<contextId>:<event_seq>`: the same at every try, so that a broker can tell a repetition. */
function toCloudEvent(event: PublishedEvent, source: string): CloudEvent {
  return {
    specversion: "1.0",
    id: `${event.contextId}:${event.eventSeq}`,
    source,
    type: `checkout.v1.${event.type}`,
    subject: event.contextId,
    time: new Date(event.committedAt).toISOString(),
    datacontenttype: "application/json",
    seq: event.eventSeq,
    typeseq: event.typeSeq,
    ...(event.traceparent === null ? {} : { traceparent: event.traceparent }),
    data: event.data,
  };
}
