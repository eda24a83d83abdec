import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Store } from "../../persistence/store.ts";
import { AT, checkpointAt, commitAfter, commitOne, createdCheckout, liveNode, receiveCommand } from "./store-fixtures.ts";

const WRITERS = 6;
const CHECKOUTS = 12;
const ROUNDS = 15;

export function commitConformance(storeOf: () => Store): void {
  describe("committing transitions", () => {
    test("an empty batch is nothing", async () => {
      expect(await storeOf().commit([])).toEqual([]);
    });

    test("applies, refuses and reports each of a batch by itself, in its order", async () => {
      const store = storeOf();
      const [fine, zombie, late, alsoFine] = await Promise.all([1, 2, 3, 4].map(() => createdCheckout(store)));
      if (!fine || !zombie || !late || !alsoFine) throw new Error("four were created");
      const results = await store.commit([
        commitAfter(zombie.id, 1, { fence: 0 }),
        commitAfter(alsoFine.id, 1),
        commitAfter("ctx_unknown", 1),
        commitAfter(late.id, 4, { events: [{ type: "never", data: {} }] }),
        commitAfter(fine.id, 1),
      ]);
      expect(results).toEqual([
        { kind: "refused", seq: 1, fence: 1, owner: zombie.owner },
        { kind: "applied", signals: 0 },
        { kind: "unknown_checkout" },
        { kind: "refused", seq: 1, fence: 1, owner: late.owner },
        { kind: "applied", signals: 0 },
      ]);
      expect(await store.history(zombie.id, 1, 10)).toEqual([]);
      expect(await store.events(late.id)).toEqual([]);
      expect((await store.load(fine.id))?.seq).toBe(2);
    });

    test("a replayed commit is refused, and known by its id as applied", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      const commit = commitAfter(id, 1, { events: [{ type: "line_items_updated", data: {} }] });
      expect(await commitOne(store, commit)).toMatchObject({ kind: "applied" });
      expect(await commitOne(store, commit)).toMatchObject({ kind: "refused", seq: 2 });
      expect(await store.isLastCommit(id, commit.commitId)).toBe(true);
      expect(await store.isLastCommit(id, randomUUID())).toBe(false);
      expect(await store.events(id)).toHaveLength(1);
    });

    test("refuses two commits of one checkout in a batch, and an entry out of order", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      await expect(store.commit([commitAfter(id, 1), commitAfter(id, 2)])).rejects.toBeInstanceOf(Error);
      await expect(store.commit([{ ...commitAfter(id, 1), expectedSeq: 2 }])).rejects.toBeInstanceOf(Error);
      expect((await store.load(id))?.seq).toBe(1);
    });

    test.each([
      ["NUL", "a\u0000b"],
      ["a lone surrogate", "\ud800"],
    ])("a payload with %s fails the whole call and applies nothing", async (_, text) => {
      const store = storeOf();
      const [healthy, poisoned] = [await createdCheckout(store), await createdCheckout(store)];
      const poison = commitAfter(poisoned.id, 1, { events: [{ type: "note", data: { text } }] });
      await expect(store.commit([commitAfter(healthy.id, 1), poison])).rejects.toBeInstanceOf(Error);
      expect((await store.load(healthy.id))?.seq).toBe(1);
      expect(await store.commit([commitAfter(healthy.id, 1)])).toMatchObject([{ kind: "applied" }]);
    });

    test("numbers events without a gap, per checkout and per type", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store, { traceparent: "00-trace" });
      const event = (type: string, n: number) => ({ type, data: { n } });
      await commitOne(store, commitAfter(id, 1, { events: [event("a", 1), event("b", 2), event("a", 3)] }));
      await commitOne(store, commitAfter(id, 2));
      await commitOne(store, commitAfter(id, 3, { events: [event("a", 4)], fence: 0 }));
      await commitOne(store, commitAfter(id, 3, { events: [event("b", 4), event("a", 5)] }));
      const events = await store.events(id);
      expect(events.map(({ eventSeq, type, typeSeq, data }) => [eventSeq, type, typeSeq, data["n"]])).toEqual([
        [1, "a", 1, 1],
        [2, "b", 1, 2],
        [3, "a", 2, 3],
        [4, "b", 2, 4],
        [5, "a", 3, 5],
      ]);
      expect(events[0]).toMatchObject({ contextId: id, acknowledgedAt: null, tries: 0, traceparent: "00-trace" });
    });

    test("sets, keeps and clears the wake-up time", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      const wakeAt = async () => (await store.load(id))?.wakeAt;
      await commitOne(store, commitAfter(id, 1, { wakeAt: AT }));
      expect(await wakeAt()).toBe(AT);
      await commitOne(store, commitAfter(id, 2, { events: [{ type: "a", data: {} }] }));
      await commitOne(store, commitAfter(id, 3));
      expect(await wakeAt()).toBe(AT);
      await commitOne(store, commitAfter(id, 4, { wakeAt: null }));
      expect(await wakeAt()).toBeNull();
    });

    test("stores the first answer and keeps it", async () => {
      const store = storeOf();
      const { id, caller, idempotencyKey } = await createdCheckout(store);
      const answer = { status: 200, body: '{"executionContextId": "ctx"}\n' };
      expect((await store.load(id))?.isAnswered).toBe(false);
      await commitOne(store, commitAfter(id, 1, { answer }));
      expect((await store.load(id))?.isAnswered).toBe(true);
      await commitOne(store, commitAfter(id, 2, { answer: { status: 422, body: "{}" } }));
      expect((await store.findClaim(caller, idempotencyKey))?.answer).toEqual(answer);
    });

    test("consumes inbox rows once, and tells how many wait", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      const [first, second] = [await receiveCommand(store, id), await receiveCommand(store, id)];
      expect(await commitOne(store, commitAfter(id, 1))).toEqual({ kind: "applied", signals: 2 });
      expect(await commitOne(store, commitAfter(id, 2, { consumes: [first] }))).toEqual({ kind: "applied", signals: 1 });
      expect((await store.unconsumed(id)).map((event) => event.eventId)).toEqual([second.eventId]);
      expect(await commitOne(store, commitAfter(id, 3, { consumes: [first, second] }))).toEqual({ kind: "applied", signals: 0 });
      expect(await store.unconsumed(id)).toEqual([]);
    });

    test("never consumes another checkout's inbox rows", async () => {
      const store = storeOf();
      const [mine, theirs] = [await createdCheckout(store), await createdCheckout(store)];
      const key = await receiveCommand(store, theirs.id);
      await commitOne(store, commitAfter(mine.id, 1, { consumes: [key] }));
      expect(await store.unconsumed(theirs.id)).toHaveLength(1);
      expect((await store.load(mine.id))?.signals).toBe(0);
    });

    test("a checkout that was given up takes no commit until it is claimed again", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      await commitOne(store, commitAfter(id, 1, { passivate: true, checkpoint: checkpointAt(2) }));
      expect(await commitOne(store, commitAfter(id, 2))).toEqual({ kind: "refused", seq: 2, fence: 1, owner: null });
      expect(await store.claim(id, await liveNode(store))).toBe(2);
      expect(await commitOne(store, commitAfter(id, 2, { fence: 2 }))).toMatchObject({ kind: "applied" });
    });

    test("writers with overlapping batches and fences that move never deadlock, lose or double anything", async () => {
      const store = storeOf();
      const ids = await Promise.all(Array.from({ length: CHECKOUTS }, async () => (await createdCheckout(store)).id));
      const applied = new Map(ids.map((id) => [id, 0]));
      await Promise.all(Array.from({ length: WRITERS }, (_, writer) => write(store, ids, writer, applied)));
      for (const id of ids) {
        const count = applied.get(id) ?? 0;
        expect((await store.load(id))?.seq).toBe(1 + count);
        expect((await store.history(id, 0, 1000)).map(({ seq }) => seq)).toEqual(upTo(count + 1));
        expect((await store.events(id)).map(({ typeSeq }) => typeSeq)).toEqual(upTo(count));
      }
    });
  });
}

/** One writer that believes what it is told: it moves on after an applied commit, and adopts what a refusal shows. */
async function write(store: Store, ids: readonly string[], writer: number, applied: Map<string, number>): Promise<void> {
  const seen = new Map(ids.map((id) => [id, { seq: 1, fence: 1 }]));
  for (let round = 0; round < ROUNDS; round++) {
    // A different half of the checkouts in a different order for each writer and round.
    const mine = ids.filter((_, i) => (i + round + writer) % 2 === 0);
    if (writer % 2 === 0) mine.reverse();
    const batch = mine.map((id) => {
      const { seq, fence } = seen.get(id) ?? { seq: 1, fence: 1 };
      return commitAfter(id, seq, { fence, events: [{ type: "moved", data: { writer, round } }] });
    });
    const results = await store.commit(batch);
    for (const [i, result] of results.entries()) {
      const commit = batch[i];
      if (commit === undefined || result.kind === "unknown_checkout") throw new Error("an answer to nothing");
      if (result.kind === "applied") applied.set(commit.id, (applied.get(commit.id) ?? 0) + 1);
      seen.set(commit.id, result.kind === "applied" ? { seq: commit.entry.seq, fence: commit.fence } : result);
    }
    const taken = mine[round % mine.length];
    const owner = taken === undefined ? null : (await store.load(taken))?.owner;
    if (taken !== undefined && owner) await store.claim(taken, owner);
  }
}

const upTo = (count: number) => Array.from({ length: count }, (_, i) => i + 1);
