import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { Store } from "../../persistence/store.ts";
import { checkpointAt, commitAfter, commitOne, createdCheckout, entry, newCheckout, randomId } from "./store-fixtures.ts";

const RACERS = 8;

export function creationConformance(storeOf: () => Store): void {
  describe("creating a checkout", () => {
    test("brings back everything that was stored", async () => {
      const store = storeOf();
      const checkout = await createdCheckout(store, { traceparent: "00-trace-span-01" });
      const { requestHash: _, request, commitId, entry: first, checkpoint, ...row } = checkout;
      const stored = await store.load(checkout.id);
      expect(stored).toMatchObject({ ...row, seq: 1, fence: 1, wakeAt: null, signals: 0, parkedReason: null, entries: [first] });
      expect(stored?.checkpoint).toEqual({ seq: 1, ...checkpoint });
      expect(stored?.createdAt).toBeGreaterThan(0);
      expect(await store.history(checkout.id, 0, 10)).toEqual([first]);
      expect(await store.loadRequest(checkout.id)).toEqual(request);
      expect(await store.isLastCommit(checkout.id, commitId)).toBe(true);
      expect((await store.list(5)).map((summary) => summary.id)).toContain(checkout.id);
    });

    test("knows nothing of a checkout that was never created", async () => {
      const store = storeOf();
      expect(await store.load("ctx_unknown")).toBeNull();
      expect(await store.loadRequest("ctx_unknown")).toBeNull();
      expect(await store.history("ctx_unknown", 0, 10)).toEqual([]);
      expect(await store.findClaim("shop", randomUUID())).toBeNull();
      expect(await store.isLastCommit("ctx_unknown", "commit")).toBe(false);
    });

    test("the same key meets the same checkout, with the hash of the first request", async () => {
      const store = storeOf();
      const first = await createdCheckout(store);
      const again = newCheckout({ idempotencyKey: first.idempotencyKey, requestHash: "another" });
      const claim = { contextId: first.id, requestHash: "request-hash", answer: null, isParked: false };
      expect(await store.create(again)).toEqual({ kind: "exists", claim });
      expect(await store.findClaim("shop", first.idempotencyKey)).toEqual(claim);
      expect(await store.load(again.id)).toBeNull();
    });

    test("the same key of another caller is another key", async () => {
      const first = await createdCheckout(storeOf());
      await createdCheckout(storeOf(), { idempotencyKey: first.idempotencyKey, caller: "another shop" });
    });

    test("of many with the same key and cart at once one wins, and the others meet it", async () => {
      const store = storeOf();
      const racers = racing({ idempotencyKey: randomUUID(), cartId: randomId("cart") });
      const results = await Promise.all(racers.map((racer) => store.create(racer)));
      const winner = racers[results.findIndex((result) => result.kind === "created")];
      expect(results.filter((result) => result.kind === "created")).toHaveLength(1);
      for (const result of results.filter((other) => other.kind !== "created")) {
        expect(result).toMatchObject({ kind: "exists", claim: { contextId: winner?.id } });
      }
    });

    test("of many keys for one cart at once one wins, and the others find the cart busy", async () => {
      const store = storeOf();
      const racers = racing({ cartId: randomId("cart"), userId: "usr_racer" });
      const results = await Promise.all(racers.map((racer) => store.create({ ...racer, idempotencyKey: randomUUID() })));
      const winner = racers[results.findIndex((result) => result.kind === "created")];
      expect(results.filter((result) => result.kind === "created")).toHaveLength(1);
      for (const result of results.filter((other) => other.kind !== "created")) {
        expect(result).toEqual({ kind: "cart_busy", contextId: winner?.id, userId: "usr_racer" });
      }
    });

    test("a refused creation leaves nothing: neither its key nor the higher version that it asked for", async () => {
      const store = storeOf();
      const live = await createdCheckout(store);
      const refused = newCheckout({ cartId: live.cartId, cartVersion: 9 });
      expect(await store.create(refused)).toMatchObject({ kind: "cart_busy", contextId: live.id });
      expect(await store.findClaim(refused.caller, refused.idempotencyKey)).toBeNull();
      expect(await store.loadRequest(refused.id)).toBeNull();
      await commitOne(store, commitAfter(live.id, 1, { release: { completed: false } }));
      expect(await store.findCartConflict(live.cartId, 8)).toBeNull();
      expect(await store.create({ ...refused, cartVersion: 8 })).toMatchObject({ kind: "created" });
    });

    test("a cart that was rolled back can be checked out again, but not in an older version", async () => {
      const store = storeOf();
      const first = await createdCheckout(store);
      await commitOne(store, commitAfter(first.id, 1, { release: { completed: false }, finished: true }));
      const stale = newCheckout({ cartId: first.cartId, cartVersion: 6 });
      expect(await store.findCartConflict(first.cartId, 6)).toEqual({ kind: "cart_stale", highestSeen: 7 });
      expect(await store.create(stale)).toEqual({ kind: "cart_stale", highestSeen: 7 });
      await createdCheckout(store, { cartId: first.cartId, cartVersion: 7 });
    });

    test("a completed version and every older one is refused with the checkout that bought it", async () => {
      const store = storeOf();
      const first = await createdCheckout(store, { userId: "usr_buyer" });
      await commitOne(store, commitAfter(first.id, 1, { release: { completed: true }, finished: true }));
      const refusal = { kind: "cart_completed", contextId: first.id, userId: "usr_buyer" };
      for (const cartVersion of [6, 7]) {
        expect(await store.findCartConflict(first.cartId, cartVersion)).toEqual(refusal);
        expect(await store.create(newCheckout({ cartId: first.cartId, cartVersion }))).toEqual(refusal);
      }
      await createdCheckout(store, { cartId: first.cartId, cartVersion: 8 });
    });

    test("refuses what it can't store, and leaves nothing", async () => {
      const store = storeOf();
      const poisoned = newCheckout({ request: { note: "a\u0000b" } });
      await expect(store.create(poisoned)).rejects.toBeInstanceOf(Error);
      expect(await store.findClaim(poisoned.caller, poisoned.idempotencyKey)).toBeNull();
      expect(await store.findCartConflict(poisoned.cartId, poisoned.cartVersion)).toBeNull();
    });

    test("comes back as the newest checkpoint, its own entry and those after it", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      await commitOne(store, commitAfter(id, 1));
      await commitOne(store, commitAfter(id, 2, { checkpoint: checkpointAt(3) }));
      await commitOne(store, commitAfter(id, 3));
      await commitOne(store, commitAfter(id, 4));
      const stored = await store.load(id);
      expect(stored).toMatchObject({ seq: 5, state: "STEP_5", checkpoint: { seq: 3, ...checkpointAt(3) } });
      expect(stored?.entries).toEqual([entry(3), entry(4), entry(5)]);
      expect(await store.history(id, 1, 2)).toEqual([entry(2), entry(3)]);
    });
  });

  describe("payment groups", () => {
    test("are claimed all or none, and again by the same checkout", async () => {
      const store = storeOf();
      const [a, b, c] = [randomId("pg"), randomId("pg"), randomId("pg")];
      const [first, second] = [await createdCheckout(store), await createdCheckout(store)];
      expect(await store.claimPaymentGroups(first.id, [b])).toBeNull();
      expect(await store.claimPaymentGroups(first.id, [b])).toBeNull();
      expect(await store.claimPaymentGroups(second.id, [c, a, b])).toEqual({ busy: b });
      expect(await store.claimPaymentGroups(first.id, [a, c])).toBeNull();
      expect(await store.claimPaymentGroups(first.id, [])).toBeNull();
    });

    test("of many claims in any order one wins, and no two wait for each other", async () => {
      const store = storeOf();
      const groups = [randomId("pg"), randomId("pg"), randomId("pg")];
      const racers = await Promise.all(Array.from({ length: RACERS }, () => createdCheckout(store)));
      const claims = racers.map(({ id }, i) => store.claimPaymentGroups(id, i % 2 === 0 ? groups : groups.toReversed()));
      expect((await Promise.all(claims)).filter((result) => result === null)).toHaveLength(1);
    });

    test("are not claimed by a checkout that has ended: a call that comes so late would hold them for ever", async () => {
      const store = storeOf();
      const [ended, next] = [await createdCheckout(store), await createdCheckout(store)];
      const group = randomId("pg");
      await commitOne(store, commitAfter(ended.id, 1, { finished: true, release: { completed: true } }));
      await expect(store.claimPaymentGroups(ended.id, [group])).rejects.toThrow("holds no cart any more");
      expect(await store.claimPaymentGroups(next.id, [group])).toBeNull();
    });

    test("are not claimed by a delayed call once the cart is given back, though money is still owed", async () => {
      const store = storeOf();
      const first = await createdCheckout(store);
      await commitOne(store, commitAfter(first.id, 1, { release: { completed: false } }));
      const next = await createdCheckout(store);
      const group = randomId("pg");
      await expect(store.claimPaymentGroups(first.id, [group])).rejects.toThrow("holds no cart any more");
      expect(await store.claimPaymentGroups(next.id, [group])).toBeNull();
    });

    test("are freed with the cart", async () => {
      const store = storeOf();
      const [first, second] = [await createdCheckout(store), await createdCheckout(store)];
      const group = randomId("pg");
      await store.claimPaymentGroups(first.id, [group]);
      await commitOne(store, commitAfter(first.id, 1, { release: { completed: false } }));
      expect(await store.claimPaymentGroups(second.id, [group])).toBeNull();
    });
  });
}

function racing(common: Parameters<typeof newCheckout>[0]) {
  return Array.from({ length: RACERS }, () => newCheckout(common));
}
