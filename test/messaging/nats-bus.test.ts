import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterEach, describe, expect, test } from "vitest";
import type { CloudEvent } from "../../messaging/bus.ts";
import { NatsBus } from "../../messaging/nats-bus.ts";
import { connectNats } from "../../messaging/nats-connection.ts";
import { storedOn } from "../support/broker-reader.ts";
import { describeOn } from "../support/server.ts";
import { startServer, type StartOptions, type TestServer } from "../support/servers.ts";

const UNAVAILABLE = { class: "TRANSIENT", code: "BROKER_UNAVAILABLE" };
const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/** The shortest that the broker takes. */
const SHORT_WINDOW_NS = 100_000_000;

describeOn("nats", "on a real NATS", () => {
  const cleanUps: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });

  /** A server of the test's own: streams have one name. */
  async function ownServer(options: StartOptions = {}): Promise<TestServer> {
    const server = await startServer("nats", options);
    if (server === null) throw new Error("This test kills its server, so it needs nats-server here: npm run setup:servers");
    cleanUps.push(() => server.stop());
    return server;
  }

  async function busOn(url: string): Promise<NatsBus> {
    const bus = new NatsBus(await connectNats(url, { replicas: 1, onConnectionError: () => {} }));
    cleanUps.push(() => bus.stop());
    return bus;
  }

  async function clientOn(url: string): Promise<NatsConnection> {
    const client = await connect({ servers: url });
    cleanUps.push(() => client.close());
    return client;
  }

  async function setup() {
    const server = await ownServer();
    return { server, bus: await busOn(server.url), client: await clientOn(server.url) };
  }

  /** The checkouts' stream with a short memory for ids, before we come. */
  async function forgetful(client: NatsConnection): Promise<void> {
    const manager = await jetstreamManager(client);
    await manager.streams.add({ name: "CHECKOUT", subjects: ["checkout.v1.>"], duplicate_window: SHORT_WINDOW_NS });
  }

  test("an event goes by its type and its checkout, as CloudEvents' JSON, with its id for the broker", async () => {
    const { bus, client } = await setup();
    const event = { ...eventOf("ctx_a", 1, "checkout_initiated"), traceparent: TRACEPARENT };
    await bus.publish(event);
    const [stored, ...others] = await storedOn(client, "CHECKOUT");
    expect(others).toEqual([]);
    expect(stored?.subject).toBe("checkout.v1.checkout_initiated.ctx_a");
    expect(stored?.json()).toEqual(event);
    expect(stored?.header.get("Nats-Msg-Id")).toBe("ctx_a:1");
    expect(stored?.header.get("content-type")).toBe("application/cloudevents+json");
    expect(stored?.header.get("traceparent")).toBe(TRACEPARENT);
  });

  test("one that is published again is there once, also by another node, and also when the broker has forgotten its id", async () => {
    const server = await ownServer();
    const client = await clientOn(server.url);
    await forgetful(client);
    const [bus, other] = [await busOn(server.url), await busOn(server.url)];
    const events = [eventOf("ctx_a", 1), eventOf("ctx_a", 2), eventOf("ctx_a", 3)];
    for (const event of events) await bus.publish(event);
    expect(await isForgotten(client)).toBe(true);
    expect(await isForgotten(client)).toBe(false);
    await expect.poll(() => isForgotten(client), { interval: 250 }).toBe(true);
    for (const event of events) await other.publish(event);
    for (const event of events) await bus.publish(event);
    expect((await storedOn(client, "CHECKOUT")).map(({ header }) => header.get("Nats-Msg-Id"))).toEqual([
      "ctx_a:1",
      "ctx_a:2",
      "ctx_a:3",
      "probe",
      "probe",
    ]);
  });

  test("two nodes that publish the same checkouts at once store each event once, in order", async () => {
    const { server, bus, client } = await setup();
    const other = await busOn(server.url);
    const checkouts = ["ctx_a", "ctx_b", "ctx_c", "ctx_d"];
    const publishAll = async (one: NatsBus, id: string) => {
      for (let seq = 1; seq <= 25; seq++) await one.publish(eventOf(id, seq));
    };
    await Promise.all(checkouts.flatMap((id) => [publishAll(bus, id), publishAll(other, id)]));
    const ids = (await storedOn(client, "CHECKOUT")).map(({ header }) => header.get("Nats-Msg-Id"));
    for (const id of checkouts) {
      expect(ids.filter((one) => one.startsWith(id))).toEqual(Array.from({ length: 25 }, (_, index) => `${id}:${index + 1}`));
    }
  });

  test("while the broker is away it rejects at once; when the broker is back with its data, nothing is lost or doubled", async () => {
    const { server, bus } = await setup();
    await bus.publish(eventOf("ctx_a", 1));
    await server.kill();
    await expect.poll(() => failure(bus.publish(eventOf("ctx_a", 2))), { interval: 5 }).toMatchObject(UNAVAILABLE);
    expect(await failure(bus.ping())).toMatchObject(UNAVAILABLE);
    const again = await ownServer({ port: server.port, directory: server.directory });
    await expect.poll(() => failure(bus.publish(eventOf("ctx_a", 2))), { interval: 50, timeout: 10_000 }).toBeNull();
    await bus.publish(eventOf("ctx_a", 1));
    const ids = (await storedOn(await clientOn(again.url), "CHECKOUT")).map(({ header }) => header.get("Nats-Msg-Id"));
    expect(ids).toEqual(["ctx_a:1", "ctx_a:2"]);
  });

  test("what is under way when the connection is lost is told at once, not when its time is over", async () => {
    const { server, bus } = await setup();
    await bus.publish(eventOf("ctx_a", 1));
    await server.pause();
    const askedAt = performance.now();
    const underWay = failure(bus.publish(eventOf("ctx_a", 2)));
    await server.kill();
    expect(await underWay).toMatchObject(UNAVAILABLE);
    expect(performance.now() - askedAt).toBeLessThan(4_000);
  });

  test("a broker that lost its disk gets its streams again", async () => {
    const { server, bus } = await setup();
    await bus.publish(eventOf("ctx_a", 1));
    await server.stop();
    const empty = await ownServer({ port: server.port });
    await expect.poll(() => failure(bus.publish(eventOf("ctx_a", 2))), { interval: 50, timeout: 10_000 }).toBeNull();
    const ids = (await storedOn(await clientOn(empty.url), "CHECKOUT")).map(({ header }) => header.get("Nats-Msg-Id"));
    expect(ids).toEqual(["ctx_a:2"]);
  });

  test("a node starts without its broker, and publishes when it comes", async () => {
    const first = await ownServer();
    await first.stop();
    const bus = await busOn(first.url);
    expect(await failure(bus.publish(eventOf("ctx_a", 1)))).toMatchObject(UNAVAILABLE);
    await ownServer({ port: first.port });
    await expect.poll(() => failure(bus.publish(eventOf("ctx_a", 1))), { interval: 50, timeout: 10_000 }).toBeNull();
  });

  test("one that is larger than the broker takes is refused for good", async () => {
    const { bus } = await setup();
    const event = { ...eventOf("ctx_a", 1), data: { text: "x".repeat(1_100_000) } };
    expect(await failure(bus.publish(event))).toMatchObject({ class: "TERMINAL", code: "EVENT_TOO_LARGE" });
  });

  test("a replay is stored beside the stream, as often as it is asked for", async () => {
    const { bus, client } = await setup();
    const event = eventOf("ctx_a", 1);
    await bus.publish(event);
    await bus.replay(event, "rpl_1");
    await bus.replay(event, "rpl_1");
    await bus.replay(event, "rpl_2");
    expect(await storedOn(client, "CHECKOUT")).toHaveLength(1);
    const replayed = await storedOn(client, "CHECKOUT_REPLAY");
    expect(replayed.map(({ subject }) => subject)).toEqual(Array.from({ length: 2 }, () => "checkout.replay.v1.note.ctx_a"));
    expect(replayed[0]?.json()).toEqual(event);
  });

  describe("a stream that is there already", () => {
    test("is left as its operator made it, when it keeps our promises", async () => {
      const server = await ownServer();
      const client = await clientOn(server.url);
      const manager = await jetstreamManager(client);
      await manager.streams.add({ name: "CHECKOUT", subjects: ["checkout.v1.>", "more.>"], max_age: 172_800_000_000_000 });
      await busOn(server.url);
      const { config } = await manager.streams.info("CHECKOUT");
      expect(config).toMatchObject({ subjects: ["checkout.v1.>", "more.>"], max_age: 172_800_000_000_000 });
    });

    test.each([
      ["storage", { storage: "memory" }, "kept in memory"],
      ["retention", { retention: "workqueue" }, "one subscriber takes events from another"],
      ["subjects", { subjects: ["checkout.v1.line_items_updated.>"] }, "add it to its subjects"],
      ["discard", { max_bytes: 1_000_000, discard: "old" }, "set discard to new"],
      ["one message a subject", { max_msgs_per_subject: 1 }, "set max_msgs_per_subject to -1"],
      ["no acknowledgements", { no_ack: true }, "set no_ack to false"],
      ["an hour", { max_age: 3_600_000_000_000 }, "set max_age to a day at least"],
      ["a mirror", { subjects: undefined, mirror: { name: "ELSEWHERE" } }, "add it to its subjects"],
    ] as const)("is refused, and told what to change: %s", async (_, config, told) => {
      const server = await ownServer();
      const manager = await jetstreamManager(await clientOn(server.url));
      await manager.streams.add({ name: "CHECKOUT", subjects: ["checkout.v1.>"], ...config } as never);
      const error = await failure(busOn(server.url));
      expect(error).toMatchObject({ class: "TERMINAL", code: "STREAM_UNFIT" });
      expect(String(error)).toContain(told);
    });

    test("is refused when another stream holds its subjects, by that one's name", async () => {
      const server = await ownServer();
      const manager = await jetstreamManager(await clientOn(server.url));
      await manager.streams.add({ name: "EVERYTHING", subjects: ["checkout.>"] });
      const error = await failure(busOn(server.url));
      expect(error).toMatchObject({ class: "TERMINAL", code: "STREAM_UNFIT" });
      expect(String(error)).toContain("The stream EVERYTHING holds what belongs to ours");
    });
  });
});

function eventOf(contextId: string, seq: number, type = "note"): CloudEvent {
  return {
    specversion: "1.0",
    id: `${contextId}:${seq}`,
    source: "/test",
    type: `checkout.v1.${type}`,
    subject: contextId,
    time: "2027-01-08T10:00:00.000Z",
    datacontenttype: "application/json",
    seq,
    typeseq: seq,
    data: { n: seq },
  };
}

/** Whether the broker takes an id that it may have had. */
async function isForgotten(client: NatsConnection): Promise<boolean> {
  const manager = await jetstreamManager(client);
  const { duplicate } = await manager.jetstream().publish("checkout.v1.probe.probe", "", { msgID: "probe" });
  return !duplicate;
}

async function failure(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => null,
    (error: unknown) => error,
  );
}
