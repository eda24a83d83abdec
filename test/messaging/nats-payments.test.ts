/** Payment events by the broker: the same bytes and signatures as by HTTP, through the same door. */
import { setTimeout as pause } from "node:timers/promises";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers, type NatsConnection } from "@nats-io/transport-node";
import { afterEach, expect, test } from "vitest";
import { connectNats } from "../../messaging/nats-connection.ts";
import { takePayments, type BrokerDelivery } from "../../messaging/nats-payments.ts";
import { receiveFromBroker } from "../../server/wiring-messages.ts";
import { systemClock as clock } from "../../server/system-ports.ts";
import { setup as setupEdge } from "../server/setup.ts";
import { signatureOf, successEvent, type Signing } from "../server/signed.ts";
import { SILENT } from "../support/ports.ts";
import { describeOn } from "../support/server.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const SUBJECT = "payments.v1.payment_collection_requirement_success.pcr_1";

describeOn("nats", "payment events by NATS", () => {
  const cleanUps: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });

  async function setup() {
    const server = await startServer("nats");
    if (server === null) throw new Error("This test restarts its server, so it needs nats-server here: npm run setup:servers");
    cleanUps.push(() => server.stop());
    const edge = setupEdge();
    const { door, link } = await listen(server, edge);
    const client = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    cleanUps.push(() => client.close());
    return { ...edge, server, client, door, link };
  }

  async function listen(server: TestServer, { paymentDoor: door }: Pick<ReturnType<typeof setupEdge>, "paymentDoor">) {
    const link = await connectNats(server.url, { replicas: 1, onConnectionError: () => {} });
    const stop = takePayments({ link, receive: (delivery) => receiveFromBroker(door, delivery, SILENT), clock, log: SILENT });
    cleanUps.push(() => link.close());
    cleanUps.push(stop);
    return { door, link };
  }

  test("a signed event is kept and acknowledged; the same again is known", async () => {
    const { client, orchestrator, counters } = await setup();
    await publish(client, SUBJECT, successEvent());
    await publish(client, SUBJECT, successEvent());
    await expect.poll(() => counters.get("payment_events_stored") + counters.get("payment_events_duplicate")).toBe(2);
    expect(orchestrator.received[0]).toMatchObject({ source: "psp", event: { data: { eventId: "evt_1", pcrId: "pcr_1" } } });
    await expect.poll(() => unacknowledged(client)).toBe(0);
  });

  test.each([
    ["without a signature", SUBJECT, successEvent(), null],
    ["signed by somebody else", SUBJECT, successEvent(), { secret: `whsec_${Buffer.from("another secret").toString("base64")}` }],
    ["signed an hour ago", SUBJECT, successEvent(), { ageSeconds: 3_600 }],
    ["of another payment than its subject", SUBJECT.replace("pcr_1", "pcr_2"), successEvent(), {}],
    ["of another type than its subject", SUBJECT.replace("success", "failed"), successEvent(), {}],
    ["that names no payment", SUBJECT, successEvent({ pcrId: undefined }), {}],
    ["that is no event", SUBJECT, { type: 7 }, {}],
  ])("one %s is refused, counted, and never asked for again", async (_, subject, event, signing: Signing | null) => {
    const { client, orchestrator, counters } = await setup();
    await publish(client, subject, event, signing);
    await expect.poll(() => counters.get("payment_events_refused")).toBe(1);
    await expect.poll(() => unacknowledged(client)).toBe(0);
    expect(orchestrator.received).toEqual([]);
  });

  test("one that could not be kept comes again", async () => {
    const { client, orchestrator, counters } = await setup();
    let tries = 0;
    orchestrator.onReceive = async () => {
      if (++tries === 1) throw new Error("the database is away");
      return { isNew: true, isContradiction: false, contextId: null };
    };
    await publish(client, SUBJECT, successEvent());
    await expect.poll(() => counters.get("payment_events_stored"), { timeout: 5_000 }).toBe(1);
    expect(tries).toBe(2);
  });

  test("two nodes share them, and what was published while the broker's listener was away is heard", async () => {
    const { server, client, orchestrator, counters, link } = await setup();
    await link.close();
    await publish(client, SUBJECT, successEvent());
    const other = setupEdge();
    await Promise.all([listen(server, other), listen(server, other)]);
    await expect.poll(() => other.counters.get("payment_events_stored"), { timeout: 5_000 }).toBe(1);
    for (const number of [2, 3, 4]) await publish(client, SUBJECT, successEvent({ eventId: `evt_${number}` }));
    await expect.poll(() => other.counters.get("payment_events_stored")).toBe(4);
    expect([orchestrator.received.length, counters.get("payment_events_stored")]).toEqual([0, 0]);
  });

  test("a broker that was killed is listened to again", async () => {
    const { server, client, counters } = await setup();
    await server.kill();
    const again = await startServer("nats", { port: server.port, directory: server.directory });
    cleanUps.push(async () => again?.stop());
    await expect
      .poll(
        () =>
          publish(client, SUBJECT, successEvent()).then(
            () => true,
            () => false,
          ),
        { timeout: 10_000 },
      )
      .toBe(true);
    await expect.poll(() => counters.get("payment_events_stored"), { timeout: 10_000 }).toBe(1);
  });
});

describeOn("nats", "listening for payment events", () => {
  test.each(["nats consumer rm", "nats stream rm", "a lost disk"])("begins anew after %s", async (how) => {
    await using payments = await listening();
    const { server, link } = payments;
    let url = server.url;
    if (how === "a lost disk") {
      await server.stop();
      const empty = await startServer("nats", { port: server.port });
      payments.cleanUps.push(async () => empty?.stop());
      url = empty?.url ?? "";
    } else {
      const { manager } = await link.broker();
      if (how === "nats stream rm") await manager.streams.delete("PAYMENTS");
      else await manager.consumers.delete("PAYMENTS", "checkoutd");
    }
    const client = await connect({ servers: url });
    payments.cleanUps.push(() => client.close());
    // Without a stream nobody takes it.
    const isTaken = () =>
      publish(client, SUBJECT, successEvent()).then(
        () => true,
        () => false,
      );
    await expect.poll(isTaken, { timeout: 20_000, interval: 250 }).toBe(true);
    await expect.poll(() => payments.counters.get("payment_events_stored"), { timeout: 20_000 }).toBe(1);
  });

  test("stops while it is about to begin", async () => {
    await using payments = await listening();
    for (let times = 1; times <= 5; times++) await payments.listen()();
  });

  test("has no more in its hands than it says", async () => {
    await using payments = await listening();
    let [open, most, done] = [0, 0, 0];
    payments.orchestrator.onReceive = async () => {
      most = Math.max(most, ++open);
      await pause(20);
      [open, done] = [open - 1, done + 1];
      return { isNew: true, isContradiction: false, contextId: null };
    };
    const client = await connect({ servers: payments.server.url });
    payments.cleanUps.push(() => client.close());
    await Promise.all(
      Array.from({ length: 200 }, (_, number) => publish(client, SUBJECT, successEvent({ eventId: `evt_${number}` }))),
    );
    await expect.poll(() => done, { timeout: 20_000 }).toBe(200);
    expect(most).toBeLessThanOrEqual(64);
  });
});

async function listening() {
  const server = await startServer("nats");
  if (server === null) throw new Error("This test restarts its server, so it needs nats-server here: npm run setup:servers");
  const link = await connectNats(server.url, { replicas: 1, onConnectionError: () => {} });
  const edge = setupEdge();
  const receive = (delivery: BrokerDelivery) => receiveFromBroker(edge.paymentDoor, delivery, SILENT);
  const listen = () => takePayments({ link, receive, clock, log: SILENT });
  const cleanUps: (() => Promise<unknown>)[] = [() => server.stop(), () => link.close(), listen()];
  const dispose = async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  };
  return { ...edge, server, link, listen, cleanUps, [Symbol.asyncDispose]: dispose };
}

async function publish(client: NatsConnection, subject: string, event: object, signing: Signing | null = {}): Promise<void> {
  const body = JSON.stringify(event);
  const sent = headers();
  if (signing !== null) for (const [name, value] of Object.entries(signatureOf(body, signing))) sent.set(name, value);
  await jetstream(client).publish(subject, body, { headers: sent });
}

async function unacknowledged(client: NatsConnection): Promise<number> {
  const { num_ack_pending, num_pending } = await (await jetstreamManager(client)).consumers.info("PAYMENTS", "checkoutd");
  return num_ack_pending + num_pending;
}
