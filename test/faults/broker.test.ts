/**
 * Checkouts over a broker that is away, is killed, and forgets which ids it has had, while relays lose acknowledgements
 * and marks. Then a plain client reads the stream from its beginning, and must find what was committed: all, in order, once.
 *
 *     BROKER_DOWN_SECONDS=300 npx vitest run test/faults/broker.test.ts
 */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { CloudEvent } from "../../messaging/bus.ts";
import { NatsBus } from "../../messaging/nats-bus.ts";
import { connectNats } from "../../messaging/nats-connection.ts";
import type { Store } from "../../persistence/store.ts";
import { idsOn, storedOn, streamBreaches } from "../support/broker-reader.ts";
import { seededChance } from "../support/chance.ts";
import { eventually, order } from "../support/client.ts";
import { describeOn } from "../support/server.ts";
import { startServer, type TestServer } from "../support/servers.ts";
import { startService, type Service } from "../support/service.ts";
import { onServers } from "../support/stage.ts";

const DOWN_MS = 1_000 * Number(process.env["BROKER_DOWN_SECONDS"] ?? 2);
const CHECKOUTS = 24;
const SHOPPERS = 8;
/** Of marks and acknowledgements. */
const LOSSES = 0.15;
/** The shortest that the broker takes: whatever was down for longer is forgotten. */
const DEDUP_WINDOW_MS = 100;
const DEDUP_WINDOW_NS = DEDUP_WINDOW_MS * 1_000_000;

vi.setConfig({ testTimeout: 60_000 + 2 * DOWN_MS, hookTimeout: 60_000 });

describeOn("nats", "a broker that fails", () => {
  onServers("checkouts go on, and every event arrives once", (stage) => {
    const chance = seededChance(7);
    const lost = { marks: 0, acknowledgements: 0 };
    let server: TestServer;
    let client: NatsConnection;
    let nodes: readonly Service[] = [];

    beforeAll(async () => {
      server = await started();
      client = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
      const manager = await jetstreamManager(client);
      await manager.streams.add({ name: "CHECKOUT", subjects: ["checkout.v1.>"], duplicate_window: DEDUP_WINDOW_NS });
      nodes = await Promise.all([openNode(), openNode()]);
    });
    afterAll(async () => {
      await Promise.all(nodes.map((node) => node.stop()));
      await client.close();
      await server.stop();
    });

    async function started(known: Partial<TestServer> = {}): Promise<TestServer> {
      const { port, directory } = known;
      const options = port === undefined || directory === undefined ? {} : { port, directory };
      const found = await startServer("nats", options);
      if (found === null) throw new Error("This test kills its server, so it needs nats-server here: npm run setup:servers");
      return found;
    }

    async function openNode(): Promise<Service> {
      const bus = new NatsBus(await connectNats(server.url, { replicas: 1, onConnectionError: () => {} }));
      const publish = bus.publish.bind(bus);
      bus.publish = async (event: CloudEvent) => {
        await publish(event);
        if (chance() >= LOSSES) return;
        lost.acknowledgements++;
        throw new Error("The acknowledgement is lost.");
      };
      return startService(stage(), { bus, aroundStore: (store) => forgetful(store) });
    }

    /** As a relay that is killed between its publications and their mark. */
    function forgetful(store: Store): Store {
      return new Proxy(store, {
        get: (target, name) => {
          const member: unknown = Reflect.get(target, name);
          if (typeof member !== "function") return member;
          if (name !== "markPublished") return member.bind(target) as unknown;
          return (...args: unknown[]) => {
            if (chance() >= LOSSES) return member.apply(target, args) as unknown;
            lost.marks++;
            return Promise.reject(new Error("The relay ends here."));
          };
        },
      });
    }

    /** A few shoppers at once, on both nodes; each gets its answer. */
    async function shop(count: number): Promise<void> {
      let left = count;
      const shopper = async (node: Service | undefined) => {
        while (left-- > 0) expect((await node?.initiate(order()))?.status).toBe(200);
      };
      await Promise.all(Array.from({ length: SHOPPERS }, (_, place) => shopper(nodes[place % nodes.length])));
    }

    const committed = () =>
      stage().database.rows<{ id: string; acknowledged: boolean }>(
        `select context_id || ':' || event_seq as id, acknowledged_at is not null as acknowledged
         from checkoutd.outbox order by context_id, event_seq`,
      );
    const waiting = async () => (await committed()).filter(({ acknowledged }) => !acknowledged).length;

    test("while it is there", async () => {
      await shop(CHECKOUTS);
      await eventually(async () => expect(await waiting()).toBe(0));
    });

    test(`while it is down for ${DOWN_MS / 1_000} s, checkouts complete and their events wait`, async () => {
      await server.kill();
      const until = Date.now() + DOWN_MS;
      do await shop(CHECKOUTS);
      while (Date.now() < until);
      expect(await waiting()).toBeGreaterThan(CHECKOUTS);
    });

    test("when it is back it gets them, and again when it was killed in the middle of that", async () => {
      server = await started(server);
      await shop(SHOPPERS);
      await server.kill();
      await shop(SHOPPERS);
      server = await started(server);
      await vi.waitFor(async () => expect(await waiting()).toBe(0), { timeout: 40_000, interval: 200 });
    });

    test("a plain client finds every committed event on the stream: in order per checkout, none missing, none twice", async () => {
      const events = await committed();
      const ids = events.map(({ id }) => id);
      expect(streamBreaches(ids, await idsOn(client, "CHECKOUT"))).toEqual([]);
      const [first] = await storedOn(client, "CHECKOUT");
      expect(first?.json()).toMatchObject({ specversion: "1.0", type: "checkout.v1.checkout_initiated", seq: 1, typeseq: 1 });
      // Blind, if nothing was lost on the way.
      expect(Math.min(lost.marks, lost.acknowledgements)).toBeGreaterThan(5);
    });
  });
});
