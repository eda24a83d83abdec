/**
 * The relay beside a bare loop that publishes the same events, in turns over one broker and one database.
 *
 *     EVENTS=24000 npx vitest run test/messaging/relay-throughput.test.ts
 *
 * EVENTS: how many a round (24,000 with TEST_FULL=1). A plain run measures nothing: it shares the machine with other tests.
 */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { expect, test, vi } from "vitest";
import type { CloudEvent } from "../../messaging/bus.ts";
import { NatsBus } from "../../messaging/nats-bus.ts";
import { connectNats } from "../../messaging/nats-connection.ts";
import { subjectOf } from "../../messaging/subjects.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { OutboxRelay } from "../../runtime/outbox-relay.ts";
import { toCloudEvent } from "../../runtime/publication.ts";
import { Counters } from "../../runtime/telemetry.ts";
import { systemClock as clock } from "../../server/system-ports.ts";
import { fillOutbox } from "../support/backlog.ts";
import { SILENT } from "../support/ports.ts";
import { describeOn } from "../support/server.ts";
import { startServer } from "../support/servers.ts";
import { onServers } from "../support/stage.ts";

const ROUNDS = Number(process.env["ROUNDS"] ?? 5);
const isMeasured = process.env["TEST_FULL"] === "1" || process.env["EVENTS"] !== undefined;
const EVENTS = Number(process.env["EVENTS"] ?? 24_000);
const RATIO_MIN = 0.7;
const NODE = "node_relay";

vi.setConfig({ testTimeout: 300_000 });

if (!isMeasured) process.stdout.write("the relay's throughput: not measured (npm run test:full measures it)\n");

describeOn("nats", "the relay's throughput", () => {
  onServers("beside a bare loop", (stage) => {
    test.runIf(isMeasured)(`at least ${RATIO_MIN * 100} % of a loop that only publishes`, async () => {
      const server = await startServer("nats");
      if (server === null) throw new Error("This test fills a stream of its own, so it needs nats-server here.");
      const { database } = stage();
      const store = new SqlStore(database);
      const bus = new NatsBus(await connectNats(server.url, { replicas: 1, onConnectionError: () => {} }));
      // As our own connection: without the stacks that cost the client a quarter of its time.
      const client = await connect({ servers: server.url, noAsyncTraces: true });
      try {
        await store.heartbeat(NODE, 600_000, []);
        const rates = { bare: [] as number[], relay: [] as number[] };
        // The first round warms both up.
        for (let round = 0; round <= ROUNDS; round++) {
          await fillOutbox(database, `ctx_${round}`, EVENTS);
          const events = await store.unpublished(EVERY_SHARD, EVENTS);
          const bare = await timed(() =>
            publishBarely(
              client,
              events.map((event) => toCloudEvent(event, "/bare")),
            ),
          );
          await empty(client);
          const relay = await timed(() => relayAll(store, bus));
          expect((await (await jetstreamManager(client)).streams.info("CHECKOUT")).state.messages).toBe(EVENTS);
          await empty(client);
          if (round > 0)
            for (const [name, seconds] of [
              ["bare", bare],
              ["relay", relay],
            ] as const)
              rates[name].push(EVENTS / seconds);
        }
        const ratios = rates.relay.map((rate, round) => rate / (rates.bare[round] ?? 0));
        const told = `relay ${median(rates.relay).toFixed(0)}, bare ${median(rates.bare).toFixed(0)} events/s`;
        process.stdout.write(`${told}; ratio ${median(ratios).toFixed(2)} (median of ${ROUNDS} rounds of ${EVENTS})\n`);
        expect(median(ratios), `${told}`).toBeGreaterThanOrEqual(RATIO_MIN);
      } finally {
        await bus.stop();
        await client.close();
        await server.stop();
      }
    });
  });
});

const EVERY_SHARD = Array.from({ length: 16 }, (_, shard) => shard);

async function publishBarely(client: NatsConnection, events: readonly CloudEvent[]): Promise<void> {
  const stream = jetstream(client);
  const chains = grouped(events);
  const publish = async (chain: readonly CloudEvent[]) => {
    for (const event of chain) await stream.publish(subjectOf(event), JSON.stringify(event));
  };
  await Promise.all([...chains.values()].map(publish));
}

async function relayAll(store: SqlStore, bus: NatsBus): Promise<void> {
  const lease = { nodeId: NODE, isHeld: () => true };
  const counters = new Counters();
  const relay = new OutboxRelay({ store, bus, lease, clock, log: SILENT, counters, source: "/relay" });
  relay.start();
  await vi.waitFor(() => expect(counters.get("events_published")).toBe(EVENTS), { timeout: 60_000, interval: 2 });
  await relay.stop();
}

function grouped(events: readonly CloudEvent[]): Map<string, CloudEvent[]> {
  const chains = new Map<string, CloudEvent[]>();
  for (const event of events) chains.set(event.subject, [...(chains.get(event.subject) ?? []), event]);
  return chains;
}

async function empty(client: NatsConnection): Promise<void> {
  await (await jetstreamManager(client)).streams.purge("CHECKOUT");
}

async function timed(work: () => Promise<void>): Promise<number> {
  const begunAt = performance.now();
  await work();
  return (performance.now() - begunAt) / 1_000;
}

function median(values: readonly number[]): number {
  return values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0;
}
