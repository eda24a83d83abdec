/** Requests, events and publications: what is heard twice, told too early, or never. */
import { headers } from "@nats-io/transport-node";
import type { Bus, CloudEvent } from "../../../messaging/bus.ts";
import { NatsBus } from "../../../messaging/nats-bus.ts";
import { asUnavailable, type Link } from "../../../messaging/nats-connection.ts";
import { CHECKOUT_STREAM, subjectOf } from "../../../messaging/subjects.ts";
import { Life } from "../life.ts";
import type { MemoryStore } from "../memory-store.ts";
import { memoryOf, patching, replacing, type PlantedBug } from "./planted-bug.ts";

const noClientIdempotency: PlantedBug = {
  name: "no client idempotency",
  breaks: "a request that is sent again is another request",
  plant: () => {
    let count = 0;
    return {
      ports: (world) => ({
        ...world,
        store: replacing(world.store, {
          findClaim: async () => null,
          create: (checkout) => world.store.create({ ...checkout, idempotencyKey: `${checkout.idempotencyKey}_${++count}` }),
        }),
      }),
    };
  },
};

const noInbox: PlantedBug = {
  name: "no inbox dedup",
  breaks: "a payment event that is delivered again is another event",
  plant: () => {
    let count = 0;
    return {
      ports: (world) => ({
        ...world,
        store: replacing(world.store, {
          receivePayment: (source, eventId, ...rest) => world.store.receivePayment(source, `${eventId}_${++count}`, ...rest),
        }),
      }),
    };
  },
  harmlessBecause:
    "an event changes nothing that an earlier one said: captures are known by their name, failures by their attempt",
};

const acknowledgesFirst: PlantedBug = {
  name: "an event is acknowledged before it is kept",
  breaks: "the provider is told that its event was received while it is still on its way to the store",
  plant: () => ({
    store: (store) =>
      replacing(store, {
        receivePayment: async (...event) => {
          void store.receivePayment(...event).catch(() => undefined);
          return { isNew: true, isContradiction: false, contextId: null };
        },
      }),
  }),
};

const dropsEarlyEvents: PlantedBug = {
  name: "early events are dropped",
  breaks: "an event of a payment request that no checkout knows yet is thrown away",
  plant: () => {
    const known = new Set<string>();
    return {
      ports: (world) => ({
        ...world,
        store: replacing(world.store, {
          commit: async (batch) => {
            const results = await world.store.commit(batch);
            for (const [index, { pcrId }] of batch.entries()) {
              if (pcrId !== undefined && results[index]?.kind === "applied") known.add(pcrId);
            }
            return results;
          },
          receivePayment: async (source, eventId, pcrId, event) => {
            if (pcrId !== null && known.has(pcrId)) return world.store.receivePayment(source, eventId, pcrId, event);
            return { isNew: true, isContradiction: false, contextId: null };
          },
        }),
      }),
    };
  },
  harmlessBecause: "whoever asks the provider, by poll, at the deadline, to settle or to reverse, hears the same once more",
};

const publishesFirst: PlantedBug = {
  name: "publishes before it commits",
  breaks: "events are published when their transition is decided; it may be refused, or die with its node",
  plant: () => {
    let world: { readonly memory: MemoryStore; readonly bus: Bus } | null = null;
    return {
      ports: (ports) => {
        world = { memory: memoryOf(ports), bus: ports.openBus(new Life()) };
        return ports;
      },
      store: (store) =>
        replacing(store, {
          commit: async (batch) => {
            for (const { id, events } of batch) {
              const before = world?.memory.row(id)?.eventSeq ?? 0;
              for (const [index, { type, data }] of events.entries()) {
                await world?.bus.publish(cloudEvent(id, before + index + 1, type, data)).catch(() => undefined);
              }
            }
            return store.commit(batch);
          },
        }),
    };
  },
};

const marksFirst: PlantedBug = {
  name: "marked before the broker has it",
  breaks: "an event counts as published when it is read, whether its publication succeeds or not",
  plant: () => ({
    store: (store) =>
      replacing(store, {
        unpublished: async (shards, limit) => {
          const events = await store.unpublished(shards, limit);
          await store.markPublished(events.map(({ contextId, eventSeq }) => ({ contextId, eventSeq, kind: "acknowledged" })));
          return events;
        },
        markPublished: async () => {},
      }),
  }),
};

const unorderedRelay: PlantedBug = {
  name: "an unordered relay",
  breaks: "the later of two events of a checkout goes out before the earlier one",
  plant: () => ({
    store: (store) =>
      replacing(store, { unpublished: async (shards, limit) => (await store.unpublished(shards, limit)).toReversed() }),
  }),
};

const trustsTheWindow: PlantedBug = {
  name: "the broker remembers every id",
  breaks: "an event is published under its id alone, without the last sequence of its subject",
  plant: () =>
    patching(NatsBus.prototype, {
      publish: () =>
        function (this: never, ...args: never[]) {
          const [event] = args as unknown as [CloudEvent];
          const { link } = this as { readonly link: Link };
          const id = headers();
          id.set("Nats-Msg-Id", event.id);
          const publish = async () =>
            (await link.broker()).publisher.publish(CHECKOUT_STREAM, subjectOf(event), JSON.stringify(event), id);
          return publish().catch((error: unknown) => {
            throw asUnavailable(error);
          });
        },
    }),
};

export const MESSAGE_BUGS: readonly PlantedBug[] = [
  noClientIdempotency,
  noInbox,
  acknowledgesFirst,
  dropsEarlyEvents,
  publishesFirst,
  marksFirst,
  unorderedRelay,
  trustsTheWindow,
];

function cloudEvent(id: string, seq: number, type: string, data: Readonly<Record<string, unknown>>) {
  return {
    specversion: "1.0",
    id: `${id}:${seq}`,
    source: "/simulation",
    type: `checkout.v1.${type}`,
    subject: id,
    time: new Date(0).toISOString(),
    datacontenttype: "application/json",
    seq,
    typeseq: seq,
    data,
  } as const;
}
