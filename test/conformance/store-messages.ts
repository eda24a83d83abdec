import { describe, expect, test } from "vitest";
import type { Store } from "../../persistence/store.ts";
import { commitAfter, commitOne, createdCheckout, randomId, receivePayment } from "./store-fixtures.ts";

const EVERYTHING = 10_000;
const TWO_EVENTS = [
  { type: "line_items_updated", data: { n: 1 } },
  { type: "payment_failed", data: { n: 2 } },
];

export function messageConformance(storeOf: () => Store): void {
  describe("what arrives", () => {
    test("is taken once by source and event id, also when it arrives many times at once", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      const eventId = randomId("evt");
      const receive = (source: string) => store.receive(source, eventId, id, "pcr_1", { type: "payment_succeeded", amount: 5 });
      const taken = await Promise.all([1, 2, 3, 4, 5].map(() => receive("webhook")));
      expect(taken.filter(Boolean)).toHaveLength(1);
      expect(await receive("nats")).toBe(true);
      expect((await store.load(id))?.signals).toBe(2);
      const events = await store.unconsumed(id);
      expect(events).toContainEqual({ source: "webhook", eventId, event: { type: "payment_succeeded", amount: 5 } });
      expect(events).toHaveLength(2);
    });

    test("is listed oldest first", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      const arrived: string[] = [];
      for (let i = 0; i < 10; i++) arrived.push((await receivePayment(store, id)).eventId);
      expect((await store.unconsumed(id)).map((event) => event.eventId)).toEqual(arrived);
    });

    test("is kept when nobody knows its payment yet", async () => {
      const store = storeOf();
      const pcrId = randomId("pcr");
      const key = await receivePayment(store, null, pcrId);
      expect(await store.receive(key.source, key.eventId, null, pcrId, { type: "payment_succeeded" })).toBe(false);
    });

    test("is counted however it races with commits", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      const arrivals = Array.from({ length: 20 }, () => receivePayment(store, id));
      for (let seq = 1; seq <= 10; seq++) {
        const consumes = seq % 2 === 0 ? await store.unconsumed(id) : [];
        expect(await commitOne(store, commitAfter(id, seq, { consumes }))).toMatchObject({ kind: "applied" });
      }
      await Promise.all(arrivals);
      expect((await store.load(id))?.signals).toBe((await store.unconsumed(id)).length);
    });
  });

  describe("what is published", () => {
    test("is offered in order: the oldest unacknowledged event of each checkout", async () => {
      const store = storeOf();
      const [a, b] = [await createdCheckout(store), await createdCheckout(store)];
      await store.commit([commitAfter(a.id, 1, { events: TWO_EVENTS }), commitAfter(b.id, 1, { events: TWO_EVENTS })]);
      expect(await pending(store, a.id)).toEqual([1]);
      await store.markPublished(a.id, 1, false);
      expect(await pending(store, a.id)).toEqual([1]);
      await store.markPublished(a.id, 1, true);
      expect(await pending(store, a.id)).toEqual([2]);
      expect(await pending(store, b.id)).toEqual([1]);
      await store.markPublished(a.id, 2, true);
      expect(await pending(store, a.id)).toEqual([]);
      const [first] = await store.events(a.id);
      expect(first?.tries).toBe(2);
      expect(first?.acknowledgedAt).toBeGreaterThanOrEqual(first?.committedAt ?? Infinity);
    });

    test("offers what never failed before what did, within the limit", async () => {
      const store = storeOf();
      await acknowledgeEverything(store);
      const [poisoned, healthy] = [await createdCheckout(store), await createdCheckout(store)];
      await commitOne(store, commitAfter(poisoned.id, 1, { events: [{ type: "note", data: {} }] }));
      await commitOne(store, commitAfter(healthy.id, 1, { events: [{ type: "note", data: {} }] }));
      await store.markPublished(poisoned.id, 1, false);
      expect((await store.unpublished(1)).map((event) => event.contextId)).toEqual([healthy.id]);
      expect((await store.unpublished(2)).map((event) => event.contextId)).toEqual([healthy.id, poisoned.id]);
    });
  });
}

async function acknowledgeEverything(store: Store): Promise<void> {
  for (;;) {
    const events = await store.unpublished(EVERYTHING);
    if (events.length === 0) return;
    await Promise.all(events.map(({ contextId, eventSeq }) => store.markPublished(contextId, eventSeq, true)));
  }
}

async function pending(store: Store, id: string): Promise<number[]> {
  return (await store.unpublished(EVERYTHING)).filter((event) => event.contextId === id).map((event) => event.eventSeq);
}
