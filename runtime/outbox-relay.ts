/**
 * Publishes committed events. Event n+1 of a checkout goes out after n's acknowledgement, many checkouts at
 * once; marked after the acknowledgement, so that a crash in between publishes the same id again, never none.
 */
import type { Bus } from "../messaging/bus.ts";
import type { OutboxBacklog, PublicationMark, PublishedEvent, Store } from "../persistence/store.ts";
import type { Clock } from "../steps/ports.ts";
import type { NodeLease } from "./node-lease.ts";
import { publishInOrder } from "./publication.ts";
import type { Counters, Log } from "./telemetry.ts";

/** How often shards are claimed, the backlog is measured, and what nobody told of is found. */
const SWEEP_MS = 1_000;
const CHECKOUTS_MAX = 500;
/** With so many at once there are more: then one lane reads and marks while the other publishes. */
const BACKLOG = CHECKOUTS_MAX / 2;
const LANES = 2;
/** While there is no bus, it is asked again after so long, doubling. */
const PAUSE_MIN_MS = 250;
const PAUSE_MAX_MS = 5_000;
/** How long a stopping node goes on publishing what it has committed; the next one finds the rest. */
const FLUSH_MAX_MS = 2_000;

const NOTHING: OutboxBacklog = { pending: 0, parked: 0, oldestAt: null };

/** Why there was nobody to take events; null = there was. */
type Outage = Error | null;

interface Round {
  /** So many checkouts have had something published; 0 = there is nothing more for now. */
  readonly served: number;
  readonly outage: Outage;
}

export interface OutboxRelayDeps {
  readonly store: Pick<Store, "claimShards" | "unpublished" | "markPublished" | "backlog">;
  readonly bus: Pick<Bus, "publish">;
  readonly lease: Pick<NodeLease, "nodeId" | "isHeld">;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
  /** CloudEvents `source`: who says it. */
  readonly source: string;
}

export class OutboxRelay {
  /** As it was at the last sweep. */
  backlog = NOTHING;
  private shards: readonly number[] = [];
  private cancelSweep: () => void = () => {};
  private current: Promise<void> | null = null;
  private flushing: Promise<void> | null = null;
  private isKicked = false;
  private sweepAt = 0;
  private pauseMs = 0;
  private isStopped = true;
  private flushUntil = Number.POSITIVE_INFINITY;

  constructor(private readonly deps: OutboxRelayDeps) {}

  /** How long the oldest event has waited; 0 = none waits. */
  get lagSeconds(): number {
    const { oldestAt } = this.backlog;
    return oldestAt === null ? 0 : Math.max(0, (this.deps.clock.now() - oldestAt) / 1_000);
  }

  start(): void {
    this.isStopped = false;
    this.kick();
  }

  /** There may be something new. Cheap; many kicks make one run. */
  kick(): void {
    this.isKicked = true;
    // Without a bus there is nothing to hurry for.
    if (this.current === null && !this.isStopped && this.pauseMs === 0) this.begin();
  }

  /**
   * Publishes what is committed by now, for a while, and resolves when that is marked: after the last node
   * of a deployment has stopped, nobody else would. Safe twice and before start.
   */
  async stop(): Promise<void> {
    if (!this.isStopped) {
      this.isStopped = true;
      this.cancelSweep();
      this.flushUntil = this.deps.clock.monotonic() + FLUSH_MAX_MS;
      const flush = (this.current ?? Promise.resolve()).then(() => this.run());
      let cancel = (): void => {};
      const limit = new Promise<void>((resolve) => (cancel = this.deps.clock.after(FLUSH_MAX_MS, resolve)));
      // A bus that never answers must not hold up the stop: what it may have got is published again, under the same id.
      this.flushing = Promise.race([flush, limit]).finally(() => cancel());
    }
    await this.flushing;
  }

  private begin(): void {
    this.cancelSweep();
    this.current = this.run().finally(() => {
      this.current = null;
      if (this.isStopped) return;
      const delayMs = this.pauseMs > 0 ? this.pauseMs : this.isKicked ? 0 : SWEEP_MS;
      this.cancelSweep = this.deps.clock.after(delayMs, () => this.begin());
    });
  }

  private async run(): Promise<void> {
    try {
      for (let isMore = true; isMore && this.isInTime();) {
        if (!this.isStopped && this.isSweepDue()) await this.sweep();
        this.isKicked = false;
        const { served, outage } = await this.publishOnce(this.shards);
        const lanes = served >= BACKLOG && outage === null ? await this.drainAll() : [];
        isMore = this.heed([outage, ...lanes]) && served > 0;
      }
    } catch (error) {
      this.deps.log.warn({ err: error }, "The outbox could not be read or marked; it is tried again");
    }
  }

  /** Both lanes have ended when it resolves, and when it rejects. */
  private async drainAll(): Promise<readonly Outage[]> {
    const lanes = await Promise.allSettled(lanesOf(this.shards).map((lane) => this.drain(lane)));
    return lanes.map((lane) => {
      if (lane.status === "rejected") throw lane.reason;
      return lane.value;
    });
  }

  /** Until there is nothing more, the next sweep, or an outage. */
  private async drain(shards: readonly number[]): Promise<Outage> {
    for (let isMore = true; isMore && this.isInTime() && !this.isSweepDue();) {
      const { served, outage } = await this.publishOnce(shards);
      if (outage !== null) return outage;
      isMore = served > 0;
    }
    return null;
  }

  private isInTime(): boolean {
    return this.deps.clock.monotonic() < this.flushUntil;
  }

  private isSweepDue(): boolean {
    return this.deps.clock.monotonic() >= this.sweepAt;
  }

  private async sweep(): Promise<void> {
    const { store, lease, clock } = this.deps;
    this.sweepAt = clock.monotonic() + SWEEP_MS;
    this.shards = await store.claimShards(lease.nodeId);
    this.backlog = await store.backlog();
  }

  private async publishOnce(shards: readonly number[]): Promise<Round> {
    const { store } = this.deps;
    const events = shards.length === 0 ? [] : await store.unpublished(shards, CHECKOUTS_MAX);
    if (events.length === 0) return { served: 0, outage: null };
    const outcomes = await Promise.all(
      chainsOf(events).map((chain) => publishInOrder(chain, { ...this.deps, mayPublish: this.mayPublish })),
    );
    const marks = outcomes.flatMap((outcome) => outcome.marks);
    await store.markPublished(marks);
    this.count(marks);
    const [outage = null] = outcomes.flatMap((outcome) => outcome.outage ?? []);
    return { served: outcomes.filter(({ marks: [first] }) => first?.kind === "acknowledged").length, outage };
  }

  /** False: there is no bus for now. Told once, however long it lasts; the backlog tells how it goes on. */
  private heed(outages: readonly Outage[]): boolean {
    const { counters, log } = this.deps;
    const wasDown = this.pauseMs > 0;
    const outage = outages.find((one) => one !== null) ?? null;
    this.pauseMs = outage === null ? 0 : Math.min(PAUSE_MAX_MS, Math.max(PAUSE_MIN_MS, this.pauseMs * 2));
    if (outage !== null) counters.add("bus_unavailable");
    if (outage !== null && !wasDown) log.warn({ err: outage }, "The bus can't be reached; events wait for it");
    if (outage === null && wasDown) log.info({}, "The bus is back; what waited is published");
    return outage === null;
  }

  /** Others may have this node's shards by now. What it flushes at its end nobody else does, and twice is harmless. */
  private readonly mayPublish = (): boolean => this.isStopped || this.deps.lease.isHeld();

  private count(marks: readonly PublicationMark[]): void {
    const { counters } = this.deps;
    const countOf = (kind: PublicationMark["kind"]) => marks.filter((mark) => mark.kind === kind).length;
    counters.add("events_published", countOf("acknowledged"));
    counters.add("publish_failures", countOf("failed") + countOf("parked"));
    counters.add("events_parked", countOf("parked"));
  }
}

/** By checkout; each in its order. */
function chainsOf(events: readonly PublishedEvent[]): readonly (readonly PublishedEvent[])[] {
  const chains = new Map<string, PublishedEvent[]>();
  for (const event of events) {
    const chain = chains.get(event.contextId);
    if (chain === undefined) chains.set(event.contextId, [event]);
    else chain.push(event);
  }
  return [...chains.values()];
}

function lanesOf(shards: readonly number[]): readonly (readonly number[])[] {
  return Array.from({ length: LANES }, (_, lane) => shards.filter((_shard, place) => place % LANES === lane));
}
