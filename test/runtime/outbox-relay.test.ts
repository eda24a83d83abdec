import { expect, test } from "vitest";
import { TerminalError, TransientError } from "../../machines/errors.ts";
import type { CloudEvent } from "../../messaging/bus.ts";
import type { OutboxBacklog, PublicationMark, PublishedEvent } from "../../persistence/store.ts";
import { OutboxRelay } from "../../runtime/outbox-relay.ts";
import { Counters } from "../../runtime/telemetry.ts";
import { idle, ManualClock, SILENT } from "../support/ports.ts";

const SWEEP_MS = 1_000;
const AT = Date.UTC(2027, 0, 8, 10);

/** An outbox in memory by the store's rules: of each checkout whose next event is due, all without an acknowledgement. */
class Outbox {
  readonly rows: Mutable<PublishedEvent>[] = [];
  shards: readonly number[] = [0];
  reads = 0;

  constructor(private readonly clock: ManualClock) {}

  add(contextId: string, eventSeq: number, traceparent: string | null = null): void {
    const type = "line_items_updated";
    const unseen = { committedAt: AT, acknowledgedAt: null, tries: 0, retryAt: null, parkedReason: null };
    this.rows.push({ contextId, eventSeq, type, typeSeq: eventSeq, data: { n: eventSeq }, traceparent, ...unseen });
  }

  get acknowledged(): readonly string[] {
    const rows = this.rows.filter(({ acknowledgedAt }) => acknowledgedAt !== null);
    return rows.map(({ contextId, eventSeq }) => `${contextId}:${eventSeq}`);
  }

  claimShards = async (): Promise<readonly number[]> => this.shards;

  backlog = async (): Promise<OutboxBacklog> => {
    const pending = this.rows.filter(({ acknowledgedAt }) => acknowledgedAt === null).length;
    return { pending, parked: 0, oldestAt: pending === 0 ? null : AT };
  };

  unpublished = async (_shards: readonly number[], limit: number): Promise<readonly PublishedEvent[]> => {
    this.reads++;
    const waiting = this.rows.filter(({ acknowledgedAt }) => acknowledgedAt === null);
    const heads = new Map<string, PublishedEvent>();
    for (const row of waiting) if (!heads.has(row.contextId)) heads.set(row.contextId, row);
    const isDue = ({ parkedReason, retryAt }: PublishedEvent) => parkedReason === null && (retryAt ?? 0) <= this.clock.now();
    const due = [...heads.values()].filter(isDue).slice(0, limit);
    return due.flatMap(({ contextId }) => waiting.filter((row) => row.contextId === contextId));
  };

  markPublished = async (marks: readonly PublicationMark[]): Promise<void> => {
    for (const mark of marks) {
      const row = this.rows.find(({ contextId, eventSeq }) => contextId === mark.contextId && eventSeq === mark.eventSeq);
      if (row === undefined) throw new Error("Only what is in the outbox is published.");
      row.tries++;
      if (mark.kind === "acknowledged") row.acknowledgedAt = AT;
      row.retryAt = mark.kind === "failed" ? this.clock.now() + mark.retryAfterMs : null;
      row.parkedReason = mark.kind === "parked" ? mark.reason : null;
    }
  };
}

type Mutable<Row> = { -readonly [Field in keyof Row]: Row[Field] };

function setup() {
  const clock = new ManualClock();
  const counters = new Counters();
  const outbox = new Outbox(clock);
  const sent: CloudEvent[] = [];
  const controls = { publish: async (_event: CloudEvent): Promise<void> => undefined };
  const bus = {
    publish: (event: CloudEvent) => {
      sent.push(event);
      return controls.publish(event);
    },
    ping: async () => undefined,
    stop: async () => undefined,
  };
  const lease = { nodeId: "node_1", isHeld: () => true };
  const relay = new OutboxRelay({ store: outbox, bus, lease, clock, log: SILENT, counters, source: "/checkoutd" });
  const sweep = () => (clock.advance(SWEEP_MS), idle());
  return { clock, counters, lease, outbox, sent, controls, relay, sweep };
}

test("publishes n+1 of a checkout after n's acknowledgement, and other checkouts meanwhile", async () => {
  const { outbox, sent, controls, relay } = setup();
  for (const seq of [1, 2]) for (const id of ["ctx_a", "ctx_b"]) outbox.add(id, seq);
  const acknowledge = new Map<string, () => void>();
  controls.publish = ({ id }) => new Promise<void>((resolve) => acknowledge.set(id, resolve));
  relay.start();
  await idle();
  expect(sent.map(({ id }) => id)).toEqual(["ctx_a:1", "ctx_b:1"]);
  for (const id of ["ctx_a:1", "ctx_b:1"]) acknowledge.get(id)?.();
  await idle();
  expect(sent.slice(2).map(({ id }) => id)).toEqual(["ctx_a:2", "ctx_b:2"]);
  for (const id of ["ctx_a:2", "ctx_b:2"]) acknowledge.get(id)?.();
  await relay.stop();
  expect(outbox.rows.every(({ acknowledgedAt }) => acknowledgedAt !== null)).toBe(true);
});

test("one that can't be published is tried again later, its successors wait, other checkouts go on", async () => {
  const { outbox, sent, controls, counters, relay, sweep } = setup();
  for (const seq of [1, 2]) for (const id of ["ctx_a", "ctx_b"]) outbox.add(id, seq);
  controls.publish = async ({ subject }) => {
    if (subject === "ctx_a") throw new Error("the broker refuses it");
  };
  relay.start();
  await idle();
  expect(sent.filter(({ subject }) => subject === "ctx_b").map(({ seq }) => seq)).toEqual([1, 2]);
  expect(new Set(sent.filter(({ subject }) => subject === "ctx_a").map(({ seq }) => seq))).toEqual(new Set([1]));
  expect(counters.get("publish_failures")).toBeGreaterThan(0);
  controls.publish = async () => undefined;
  await sweep();
  await relay.stop();
  const ofA = sent.filter(({ subject }) => subject === "ctx_a").map(({ seq }) => seq);
  expect(ofA.slice(-2)).toEqual([1, 2]);
  expect(outbox.rows.map(({ acknowledgedAt }) => acknowledgedAt)).not.toContain(null);
});

test("what fails again and again waits longer each time, up to a minute", async () => {
  const { clock, outbox, controls, relay, sweep } = setup();
  outbox.add("ctx_a", 1);
  controls.publish = () => Promise.reject(new Error("a subscriber throws"));
  relay.start();
  await idle();
  const waits: number[] = [];
  for (let tries = 1; tries <= 8; tries++) {
    const waitMs = (outbox.rows[0]?.retryAt ?? 0) - clock.now();
    waits.push(waitMs);
    for (let passed = 0; passed < waitMs; passed += SWEEP_MS) await sweep();
  }
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]);
  await relay.stop();
});

test("no bus: events wait without being counted as tried, and it is asked again after longer and longer pauses", async () => {
  const { clock, outbox, sent, controls, counters, relay } = setup();
  for (const seq of [1, 2]) outbox.add("ctx_a", seq);
  controls.publish = () => Promise.reject(new TransientError("BROKER_UNAVAILABLE", "NATS is away"));
  relay.start();
  await idle();
  expect(sent).toHaveLength(1);
  for (const pauseMs of [250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]) {
    const before = sent.length;
    relay.kick();
    clock.advance(pauseMs - 1);
    await idle();
    expect(sent, `not before ${pauseMs} ms`).toHaveLength(before);
    clock.advance(1);
    await idle();
    expect(sent, `after ${pauseMs} ms`).toHaveLength(before + 1);
  }
  expect(outbox.rows.map(({ tries }) => tries)).toEqual([0, 0]);
  expect(counters.get("bus_unavailable")).toBe(sent.length);
  controls.publish = async () => undefined;
  clock.advance(5_000);
  await idle();
  expect(outbox.acknowledged).toEqual(["ctx_a:1", "ctx_a:2"]);
  await relay.stop();
});

test("one that the bus will never take is parked with what follows it; other checkouts go on", async () => {
  const { outbox, sent, controls, counters, relay, sweep } = setup();
  for (const seq of [1, 2]) for (const id of ["ctx_a", "ctx_b"]) outbox.add(id, seq);
  controls.publish = async ({ id }) => {
    if (id === "ctx_a:1") throw new TerminalError("EVENT_TOO_LARGE", "It is larger than the broker takes.");
  };
  relay.start();
  await idle();
  await sweep();
  expect(outbox.acknowledged).toEqual(["ctx_b:1", "ctx_b:2"]);
  expect(outbox.rows[0]?.parkedReason).toBe("EVENT_TOO_LARGE: It is larger than the broker takes.");
  expect(sent.filter(({ subject }) => subject === "ctx_a")).toHaveLength(1);
  expect(counters.get("events_parked")).toBe(1);
  await relay.stop();
});

test("a node without a share of the outbox publishes nothing, and looks for one at each sweep", async () => {
  const { outbox, sent, relay, sweep } = setup();
  outbox.add("ctx_a", 1);
  outbox.shards = [];
  relay.start();
  await idle();
  expect(sent).toEqual([]);
  outbox.shards = [3];
  await sweep();
  expect(sent).toHaveLength(1);
  await relay.stop();
});

test("a node that lost its lease publishes no further event: another may have its share", async () => {
  const { outbox, sent, controls, lease, relay, sweep } = setup();
  for (const seq of [1, 2]) outbox.add("ctx_a", seq);
  controls.publish = async () => void (lease.isHeld = () => false);
  relay.start();
  await idle();
  await sweep();
  expect(sent.map(({ seq }) => seq)).toEqual([1]);
  lease.isHeld = () => true;
  controls.publish = async () => undefined;
  await sweep();
  expect(outbox.acknowledged).toEqual(["ctx_a:1", "ctx_a:2"]);
  await relay.stop();
});

test("it knows how much waits, and how long the oldest has", async () => {
  const { clock, outbox, controls, relay, sweep } = setup();
  controls.publish = () => Promise.reject(new TransientError("BROKER_UNAVAILABLE", "NATS is away"));
  for (const seq of [1, 2]) outbox.add("ctx_a", seq);
  expect(relay.lagSeconds).toBe(0);
  relay.start();
  await idle();
  await sweep();
  await sweep();
  expect(relay.backlog.pending).toBe(2);
  expect(relay.lagSeconds).toBe((clock.now() - AT) / 1_000);
  await relay.stop();
});

test("a kick while it publishes is not lost: what was committed meanwhile goes out at once", async () => {
  const { clock, outbox, sent, controls, relay } = setup();
  outbox.add("ctx_a", 1);
  let acknowledge = () => {};
  controls.publish = () => new Promise<void>((resolve) => (acknowledge = resolve));
  relay.start();
  await idle();
  controls.publish = async () => undefined;
  outbox.add("ctx_b", 1);
  relay.kick();
  acknowledge();
  await idle();
  clock.advance(0);
  await idle();
  expect(sent.map(({ id }) => id)).toEqual(["ctx_a:1", "ctx_b:1"]);
  await relay.stop();
});

test("an acknowledgement that could not be stored is one more publication of the same id, never none", async () => {
  const { outbox, sent, relay, sweep } = setup();
  outbox.add("ctx_a", 1);
  const { markPublished } = outbox;
  outbox.markPublished = () => Promise.reject(new Error("the database is away"));
  relay.start();
  await idle();
  outbox.markPublished = markPublished;
  await sweep();
  await relay.stop();
  expect(sent.map(({ id }) => id)).toEqual(["ctx_a:1", "ctx_a:1"]);
});

test("an outbox that can't be read is read again", async () => {
  const { outbox, sent, relay, sweep } = setup();
  outbox.add("ctx_a", 1);
  const { unpublished } = outbox;
  outbox.unpublished = () => Promise.reject(new Error("the database is away"));
  relay.start();
  await idle();
  outbox.unpublished = unpublished;
  await sweep();
  expect(sent).toHaveLength(1);
  await relay.stop();
});

test("an event is a CloudEvent with its checkout, both sequences and the client's trace", async () => {
  const { outbox, sent, relay } = setup();
  outbox.add("ctx_a", 1, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  relay.start();
  await idle();
  await relay.stop();
  expect(sent).toEqual([
    {
      specversion: "1.0",
      id: "ctx_a:1",
      source: "/checkoutd",
      type: "checkout.v1.line_items_updated",
      subject: "ctx_a",
      time: "2027-01-08T10:00:00.000Z",
      datacontenttype: "application/json",
      seq: 1,
      typeseq: 1,
      traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
      data: { n: 1 },
    },
  ]);
});

test("stopping publishes what is committed by then, in order, and nothing after that; twice and before start is safe", async () => {
  const { outbox, sent, controls, relay, sweep } = setup();
  for (const seq of [1, 2]) outbox.add("ctx_a", seq);
  let acknowledge = () => {};
  controls.publish = () => new Promise<void>((resolve) => (acknowledge = resolve));
  relay.start();
  await idle();
  const stopped = Promise.all([relay.stop(), relay.stop()]);
  controls.publish = async () => undefined;
  acknowledge();
  await stopped;
  expect(outbox.rows.map(({ acknowledgedAt }) => acknowledgedAt !== null)).toEqual([true, true]);
  outbox.add("ctx_a", 3);
  await sweep();
  relay.kick();
  await idle();
  expect(sent.map(({ seq }) => seq)).toEqual([1, 2]);
  await setup().relay.stop();
});
