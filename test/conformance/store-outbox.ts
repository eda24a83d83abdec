import { describe, expect, test } from "vitest";
import type { PublicationMark, PublishedEvent, Store } from "../../persistence/store.ts";
import { commitAfter, commitOne, createdCheckout, MACHINE_HASH } from "./store-fixtures.ts";

const EVERYTHING = 10_000;
const EVERY_SHARD = Array.from({ length: 16 }, (_, shard) => shard);
const TTL_MS = 60_000;
const TWO_EVENTS = [
  { type: "line_items_updated", data: { n: 1 } },
  { type: "payment_failed", data: { n: 2 } },
];

export function outboxConformance(storeOf: () => Store): void {
  describe("what is published", () => {
    test("is offered in order: all of a checkout that was not acknowledged", async () => {
      const store = storeOf();
      const [a, b] = [await withEvents(store), await withEvents(store)];
      expect(await pending(store, a)).toEqual([1, 2]);
      await store.markPublished([acknowledged(a, 1)]);
      expect(await pending(store, a)).toEqual([2]);
      expect(await pending(store, b)).toEqual([1, 2]);
      await store.markPublished([acknowledged(a, 2)]);
      expect(await pending(store, a)).toEqual([]);
      const [first] = await store.events(a);
      expect(first).toMatchObject({ tries: 1, retryAt: null, parkedReason: null });
      expect(first?.acknowledgedAt).toBeGreaterThanOrEqual(first?.committedAt ?? Infinity);
    });

    test("is marked in one go, and what is acknowledged stays so", async () => {
      const store = storeOf();
      const [a, b] = [await withEvents(store), await withEvents(store)];
      await store.markPublished([acknowledged(a, 1), acknowledged(a, 2), failed(b, 1, 60_000)]);
      const before = await store.events(a);
      await store.markPublished([failed(a, 1, 0)]);
      const [first, second] = await store.events(a);
      expect(first?.acknowledgedAt).toBe(before[0]?.acknowledgedAt);
      expect([first?.tries, second?.tries]).toEqual([2, 1]);
    });

    test("waits after a failure, with all that follows it, until its time or an operator", async () => {
      const store = storeOf();
      const id = await withEvents(store);
      await store.markPublished([failed(id, 1, 60_000)]);
      expect(await pending(store, id)).toEqual([]);
      expect((await store.events(id))[0]).toMatchObject({ tries: 1, acknowledgedAt: null });
      expect(await store.redrive(id)).toBe(true);
      expect(await pending(store, id)).toEqual([1, 2]);
      await store.markPublished([failed(id, 1, 0)]);
      expect(await pending(store, id)).toEqual([1, 2]);
    });

    test("is parked with its reason, with all that follows it, until an operator", async () => {
      const store = storeOf();
      const id = await withEvents(store);
      const before = (await store.backlog()).parked;
      await store.markPublished([{ contextId: id, eventSeq: 1, kind: "parked", reason: "EVENT_TOO_LARGE" }]);
      expect(await pending(store, id)).toEqual([]);
      expect((await store.events(id))[0]?.parkedReason).toBe("EVENT_TOO_LARGE");
      expect((await store.backlog()).parked).toBe(before + 1);
      expect(await store.redrive(id)).toBe(true);
      expect(await store.redrive(id)).toBe(false);
      expect(await pending(store, id)).toEqual([1, 2]);
      expect((await store.backlog()).parked).toBe(before);
    });

    test("is limited by checkouts, the one that waits longest first, and never cut in its middle", async () => {
      const store = storeOf();
      await acknowledgeEverything(store);
      const before = await store.backlog();
      const [older, newer] = [await withEvents(store), await withEvents(store)];
      expect((await store.unpublished(EVERY_SHARD, 1)).map(nameOf)).toEqual([`${older}:1`, `${older}:2`]);
      const both = await store.unpublished(EVERY_SHARD, 2);
      expect(both.map(nameOf)).toEqual([`${older}:1`, `${older}:2`, `${newer}:1`, `${newer}:2`]);
      const { pending: count, oldestAt } = await store.backlog();
      expect({ count, oldestAt }).toEqual({ count: before.pending + 4, oldestAt: before.oldestAt ?? both[0]?.committedAt });
    });

    test("can be read again from a moment on, page by page, when it was acknowledged", async () => {
      const store = storeOf();
      const [a, b] = [await withEvents(store), await withEvents(store)];
      const since = (await store.events(a))[0]?.committedAt ?? 0;
      await store.markPublished([acknowledged(a, 1), acknowledged(a, 2), acknowledged(b, 1)]);
      const found: PublishedEvent[] = [];
      for (;;) {
        const page = await store.acknowledged(since, found.at(-1) ?? null, 1);
        if (page.length === 0) break;
        found.push(...page);
      }
      const namesOf = (id: string) => found.filter(({ contextId }) => contextId === id).map(nameOf);
      expect([namesOf(a), namesOf(b)]).toEqual([[`${a}:1`, `${a}:2`], [`${b}:1`]]);
      const latest = Math.max(...found.map(({ committedAt }) => committedAt));
      expect(await store.acknowledged(latest + 1, null, EVERYTHING)).toEqual([]);
    });

    test("belongs to one shard of sixteen, whose owner alone is offered it", async () => {
      const store = storeOf();
      const id = await withEvents(store);
      const offers = await Promise.all(EVERY_SHARD.map(async (shard) => store.unpublished([shard], EVERYTHING)));
      const offered = offers.filter((events) => events.some(({ contextId }) => contextId === id));
      expect(offered).toHaveLength(1);
      expect(await store.unpublished([], EVERYTHING)).toEqual([]);
    });
  });

  describe("shards of the outbox", () => {
    test("are shared by the nodes that live, taken over from those that don't, and never held by both at rest", async () => {
      const store = storeOf();
      await store.endOtherLeases("nobody");
      expect(await store.claimShards("node_x")).toEqual([]);
      await store.heartbeat("node_x", TTL_MS, [MACHINE_HASH]);
      expect(await store.claimShards("node_x")).toEqual(EVERY_SHARD);
      await store.heartbeat("node_y", TTL_MS, [MACHINE_HASH]);
      expect(await store.claimShards("node_y")).toEqual([]);
      const ofX = await store.claimShards("node_x");
      const ofY = await store.claimShards("node_y");
      expect([ofX.length, ofY.length]).toEqual([8, 8]);
      expect([...ofX, ...ofY].toSorted((left, right) => left - right)).toEqual(EVERY_SHARD);
      await store.endLease("node_x");
      expect(await store.claimShards("node_y")).toEqual(EVERY_SHARD);
      await store.endLease("node_y");
    });

    test("are all published, also while a node lives that publishes none", async () => {
      const store = storeOf();
      await store.endOtherLeases("nobody");
      await store.heartbeat("node_silent", TTL_MS, [MACHINE_HASH]);
      await store.heartbeat("node_x1", TTL_MS, [MACHINE_HASH]);
      expect(await store.claimShards("node_x1")).toEqual(EVERY_SHARD);
      expect(await store.claimShards("node_x1")).toEqual(EVERY_SHARD);
      await store.endLease("node_silent");
      await store.endLease("node_x1");
    });

    test("go to three nodes in nearly equal parts, and what was asked for by a node that died stays where it is", async () => {
      const store = storeOf();
      await store.endOtherLeases("nobody");
      const nodes = ["node_a1", "node_b1", "node_c1"];
      for (const node of nodes) await store.heartbeat(node, TTL_MS, [MACHINE_HASH]);
      for (let round = 0; round < 4; round++) for (const node of nodes) await store.claimShards(node);
      const parts = await Promise.all(nodes.map((node) => store.claimShards(node)));
      expect(parts.flat().toSorted((left, right) => left - right)).toEqual(EVERY_SHARD);
      expect(Math.min(...parts.map(({ length }) => length))).toBeGreaterThanOrEqual(4);
      await store.endLease("node_b1");
      await store.endLease("node_c1");
      await store.claimShards("node_a1");
      await store.heartbeat("node_d1", TTL_MS, [MACHINE_HASH]);
      await store.claimShards("node_d1");
      await store.endLease("node_d1");
      expect(await store.claimShards("node_a1")).toEqual(EVERY_SHARD);
      await store.endLease("node_a1");
    });
  });
}

async function withEvents(store: Store): Promise<string> {
  const { id } = await createdCheckout(store);
  await commitOne(store, commitAfter(id, 1, { events: TWO_EVENTS }));
  return id;
}

async function acknowledgeEverything(store: Store): Promise<void> {
  const ids = new Set<string>();
  for (;;) {
    const events = await store.unpublished(EVERY_SHARD, EVERYTHING);
    const fresh = events.filter((event) => !ids.has(nameOf(event)));
    if (fresh.length === 0) return;
    for (const event of fresh) ids.add(nameOf(event));
    await store.markPublished(fresh.map(({ contextId, eventSeq }) => acknowledged(contextId, eventSeq)));
  }
}

async function pending(store: Store, id: string): Promise<number[]> {
  const events = await store.unpublished(EVERY_SHARD, EVERYTHING);
  return events.filter((event) => event.contextId === id).map((event) => event.eventSeq);
}

function nameOf({ contextId, eventSeq }: Pick<PublishedEvent, "contextId" | "eventSeq">): string {
  return `${contextId}:${eventSeq}`;
}

function acknowledged(contextId: string, eventSeq: number): PublicationMark {
  return { contextId, eventSeq, kind: "acknowledged" };
}

function failed(contextId: string, eventSeq: number, retryAfterMs: number): PublicationMark {
  return { contextId, eventSeq, kind: "failed", retryAfterMs };
}
