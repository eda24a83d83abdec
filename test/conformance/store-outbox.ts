import { describe, expect, test } from "vitest";
import type { Store } from "../../persistence/store.ts";
import { commitAfter, commitOne, createdCheckout } from "./store-fixtures.ts";

const EVERYTHING = 10_000;
const TWO_EVENTS = [
  { type: "line_items_updated", data: { n: 1 } },
  { type: "payment_failed", data: { n: 2 } },
];

export function outboxConformance(storeOf: () => Store): void {
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
