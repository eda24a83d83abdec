import { expect, test } from "vitest";
import type { CloudEvent } from "../../messaging/bus.ts";
import type { PublishedEvent } from "../../persistence/store.ts";
import { OutboxRelay } from "../../runtime/outbox-relay.ts";
import { Counters } from "../../runtime/telemetry.ts";
import { idle, ManualClock, SILENT } from "../support/ports.ts";

const SWEEP_MS = 1_000;
const AT = Date.UTC(2027, 0, 8, 10);

/** An outbox in memory with the store's rule: of each checkout the oldest event without an acknowledgement. */
class Outbox {
  readonly rows: (PublishedEvent & { acknowledgedAt: number | null; tries: number })[] = [];
  reads = 0;

  add(contextId: string, eventSeq: number, traceparent: string | null = null): void {
    const type = "line_items_updated";
    const data = { n: eventSeq };
    this.rows.push({
      contextId,
      eventSeq,
      type,
      typeSeq: eventSeq,
      data,
      committedAt: AT,
      acknowledgedAt: null,
      tries: 0,
      traceparent,
    });
  }

  unpublished = async (limit: number): Promise<readonly PublishedEvent[]> => {
    this.reads++;
    const oldest = new Map<string, PublishedEvent>();
    for (const row of this.rows) if (row.acknowledgedAt === null && !oldest.has(row.contextId)) oldest.set(row.contextId, row);
    return [...oldest.values()].slice(0, limit);
  };

  markPublished = async (contextId: string, eventSeq: number, acknowledged: boolean): Promise<void> => {
    const row = this.rows.find((one) => one.contextId === contextId && one.eventSeq === eventSeq);
    if (row === undefined) throw new Error("Only what is in the outbox is published.");
    row.tries++;
    if (acknowledged) row.acknowledgedAt = AT;
  };
}

function setup() {
  const clock = new ManualClock();
  const counters = new Counters();
  const outbox = new Outbox();
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
  const relay = new OutboxRelay({ store: outbox, bus, clock, log: SILENT, counters, source: "/checkoutd" });
  const sweep = () => (clock.advance(SWEEP_MS), idle());
  return { clock, counters, outbox, sent, controls, relay, sweep };
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

test("the broker is down: one try a sweep, not a busy loop", async () => {
  const { outbox, sent, controls, relay, sweep } = setup();
  outbox.add("ctx_a", 1);
  controls.publish = () => Promise.reject(new Error("the broker is down"));
  relay.start();
  await idle();
  expect(sent).toHaveLength(1);
  await sweep();
  await sweep();
  expect(sent).toHaveLength(3);
  expect(outbox.rows[0]?.tries).toBe(3);
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
