/** A relay at a desk: the outbox is in memory, the bus answers as the test says, and time moves by hand. */
import type { CloudEvent } from "../../messaging/bus.ts";
import type { OutboxBacklog, PublicationMark, PublishedEvent } from "../../persistence/store.ts";
import { OutboxRelay } from "../../runtime/outbox-relay.ts";
import { Counters, type Log } from "../../runtime/telemetry.ts";
import { idle, ManualClock } from "../support/ports.ts";

const AT = Date.UTC(2027, 0, 8, 10);

/** What was logged: the level and the fields. */
export type Told = readonly [level: keyof Log, fields: Readonly<Record<string, unknown>>];

/** Checkout `ctx_<n>` is of shard n modulo the number of shards. A checkout with an event that failed is not offered again. */
class Outbox {
  /** In the relay's order: `claim node_1`, `backlog`, `read 0 1 2`, `mark 3`. */
  readonly calls: string[] = [];
  readonly acknowledged: string[] = [];
  readonly #waiting: PublishedEvent[] = [];
  readonly #setAside = new Set<string>();

  constructor(readonly shards: readonly number[]) {}

  get reads(): readonly string[] {
    return this.calls.filter((call) => call.startsWith("read")).map((call) => call.slice("read ".length));
  }

  get sweeps(): number {
    return this.calls.filter((call) => call.startsWith("claim")).length;
  }

  add(contextId: string, eventSeq = 1): void {
    this.#waiting.push(published(contextId, eventSeq));
  }

  addCheckouts(count: number): void {
    for (let n = 0; n < count; n++) this.add(`ctx_${n}`);
  }

  claimShards = async (nodeId: string): Promise<readonly number[]> => {
    this.calls.push(`claim ${nodeId}`);
    return this.shards;
  };

  backlog = async (): Promise<OutboxBacklog> => {
    this.calls.push("backlog");
    return { pending: this.#waiting.length, parked: 0, oldestAt: null };
  };

  unpublished = async (shards: readonly number[], checkoutsMax: number): Promise<readonly PublishedEvent[]> => {
    this.calls.push(`read ${shards.join(" ")}`);
    const shardOf = (contextId: string) => Number(contextId.slice("ctx_".length)) % this.shards.length;
    const offered = this.#waiting.filter(({ contextId: id }) => shards.includes(shardOf(id)) && !this.#setAside.has(id));
    const checkouts = new Set([...new Set(offered.map(({ contextId }) => contextId))].slice(0, checkoutsMax));
    return offered.filter(({ contextId }) => checkouts.has(contextId));
  };

  markPublished = async (marks: readonly PublicationMark[]): Promise<void> => {
    this.calls.push(`mark ${marks.length}`);
    for (const { contextId, eventSeq, kind } of marks) {
      const place = this.#waiting.findIndex((event) => event.contextId === contextId && event.eventSeq === eventSeq);
      if (place < 0) throw new Error(`${contextId}:${eventSeq} does not wait to be published`);
      if (kind !== "acknowledged") this.#setAside.add(contextId);
      else this.acknowledged.push(...this.#waiting.splice(place, 1).map(() => `${contextId}:${eventSeq}`));
    }
  };
}

export function setup(shards: readonly number[] = [0]) {
  const clock = new ManualClock();
  const counters = new Counters();
  const outbox = new Outbox(shards);
  const sent: string[] = [];
  const told: Told[] = [];
  const controls = { publish: async (_event: CloudEvent): Promise<void> => undefined };
  const lease = { nodeId: "node_1", isHeld: () => true };
  const bus = { publish: (event: CloudEvent) => (sent.push(event.id), controls.publish(event)) };
  const relay = new OutboxRelay({ store: outbox, bus, lease, clock, log: logInto(told), counters, source: "/checkoutd" });
  const pass = (ms: number) => (clock.advance(ms), idle());
  const start = () => (relay.start(), idle());
  return { clock, counters, outbox, sent, told, controls, lease, relay, pass, start };
}

export function logInto(told: Told[]): Log {
  const at = (level: keyof Log) => (fields: Told[1]) => void told.push([level, fields]);
  return { info: at("info"), warn: at("warn"), error: at("error") };
}

/** A promise that the test settles. */
export function held(): { readonly promise: Promise<void>; readonly release: () => void } {
  let release = () => {};
  const promise = new Promise<void>((resolve) => (release = resolve));
  return { promise, release: () => release() };
}

export function published(contextId: string, eventSeq: number): PublishedEvent {
  const event = { contextId, eventSeq, type: "line_items_updated", typeSeq: eventSeq, data: {}, traceparent: null } as const;
  return { ...event, committedAt: AT, acknowledgedAt: null, tries: 0, retryAt: null, parkedReason: null };
}
