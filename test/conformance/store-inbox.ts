import { describe, expect, test } from "vitest";
import type { JournaledEvent, Store } from "../../persistence/store.ts";
import {
  commitAfter,
  commitOne,
  createdCheckout,
  knowingCheckout,
  liveNode,
  passivated,
  paymentOf,
  randomId,
  receiveCommand,
  receivePayment,
} from "./store-fixtures.ts";

/** Each takes a while on an embedded database. */
const RACES = process.env["TEST_FULL"] === "1" ? 60 : 20;
const CONTRADICTIONS = 10;
const CHECKOUTS_PER_BATCH = 4;
const ARRIVALS_PER_PCR = 3;
const FAR_FUTURE = Date.UTC(2100, 0, 1);

export function inboxConformance(storeOf: () => Store): void {
  describe("payment events", () => {
    test("are taken once by source and event id, also when one arrives many times at once", async () => {
      const store = storeOf();
      const { id, pcrId } = await knowingCheckout(store);
      const eventId = randomId("evt");
      const receive = (source: string) => store.receivePayment(source, eventId, pcrId, paymentOf(pcrId));
      const receipts = await Promise.all([1, 2, 3, 4, 5].map(() => receive("provider")));
      expect(receipts.filter(({ isNew }) => isNew)).toHaveLength(1);
      expect(receipts.map(({ contextId }) => contextId)).toEqual([id, id, id, id, id]);
      expect(await receive("another provider")).toEqual({ isNew: true, isContradiction: false, contextId: id });
      expect((await store.load(id))?.signals).toBe(2);
      const events = await store.unconsumed(id);
      expect(events).toContainEqual({ source: "provider", eventId, event: paymentOf(pcrId) });
      expect(events).toHaveLength(2);
    });

    test("that come again with another content are told apart from those that repeat it, and change nothing", async () => {
      const store = storeOf();
      const { id, pcrId } = await knowingCheckout(store);
      const { source, eventId } = await receivePayment(store, pcrId);
      const isContradiction = async (event: JournaledEvent) => {
        const receipt = await store.receivePayment(source, eventId, pcrId, event);
        expect(receipt).toMatchObject({ isNew: false, contextId: id });
        return receipt.isContradiction;
      };
      const { type, ...data } = paymentOf(pcrId);
      expect(await isContradiction({ type, ...data, amount: 6 })).toBe(true);
      expect(await isContradiction({ type, ...data, code: "late" })).toBe(true);
      expect(await isContradiction({ type, pcrId })).toBe(true);
      expect(await isContradiction({ ...data, type: "payment_collection_requirement_failed" })).toBe(true);
      // In another order of its keys, and with one that no JSON has.
      expect(await isContradiction({ amount: 5, pcrId, code: undefined, type })).toBe(false);
      expect(await store.findReceived(source, eventId)).toEqual({ event: paymentOf(pcrId), consumedSeq: null });
      expect((await store.load(id))?.signals).toBe(1);
      await commitOne(store, commitAfter(id, 2, { consumes: [{ source, eventId }] }));
      expect(await isContradiction({ type, ...data, amount: 6 })).toBe(true);
      expect((await store.load(id))?.signals).toBe(0);
    });

    test("that contradict each other at once are one kept and the others told", async () => {
      const store = storeOf();
      const { id, pcrId } = await knowingCheckout(store);
      for (let round = 0; round < CONTRADICTIONS; round++) {
        const eventId = randomId("evt");
        const receive = (amount: number) => store.receivePayment("provider", eventId, pcrId, { ...paymentOf(pcrId), amount });
        const receipts = await Promise.all([1, 2, 3].map(receive));
        expect(receipts.filter(({ isNew }) => isNew)).toHaveLength(1);
        expect(receipts.filter(({ isContradiction }) => isContradiction)).toHaveLength(2);
      }
      expect((await store.load(id))?.signals).toBe(CONTRADICTIONS);
    });

    test("that come early are signalled, in order, by the commit that learns their payment requirement", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      const pcrId = randomId("pcr");
      const early = [await receivePayment(store, pcrId), await receivePayment(store, pcrId)];
      expect(early.map(({ contextId }) => contextId)).toEqual([null, null]);
      const [first] = early;
      if (first === undefined) throw new Error("two arrived");
      expect(await store.receivePayment(first.source, first.eventId, pcrId, paymentOf(pcrId))).toEqual({
        isNew: false,
        isContradiction: false,
        contextId: null,
      });
      expect(await store.unconsumed(id)).toEqual([]);
      expect(await commitOne(store, commitAfter(id, 1, { pcrId }))).toEqual({ kind: "applied", signals: 2 });
      expect(await store.receivePayment(first.source, first.eventId, pcrId, paymentOf(pcrId))).toEqual({
        isNew: false,
        isContradiction: false,
        contextId: id,
      });
      const late = await receivePayment(store, pcrId);
      expect(late.contextId).toBe(id);
      expect((await store.load(id))?.signals).toBe(3);
      expect(await waiting(store, id)).toEqual([...early, late].map(({ eventId }) => eventId));
    });

    test("are signalled to a checkout that nobody runs, which wakes it", async () => {
      const store = storeOf();
      const [early, late] = [randomId("pcr"), randomId("pcr")];
      await receivePayment(store, early);
      const woken = await passivated(store, FAR_FUTURE, { pcrId: early });
      const asleep = await passivated(store, FAR_FUTURE, { pcrId: late });
      expect(await store.claimRunnable(await liveNode(store), EVERYTHING)).toContain(woken.id);
      await receivePayment(store, late);
      expect(await store.claimRunnable(await liveNode(store), EVERYTHING)).toContain(asleep.id);
    });

    test("are consumed once, by the checkout that knows their payment requirement and no other", async () => {
      const store = storeOf();
      const [mine, theirs] = [await knowingCheckout(store), await knowingCheckout(store)];
      const key = await receivePayment(store, theirs.pcrId);
      await commitOne(store, commitAfter(mine.id, 2, { consumes: [key] }));
      expect((await store.load(mine.id))?.signals).toBe(0);
      expect(await waiting(store, theirs.id)).toEqual([key.eventId]);
      expect(await commitOne(store, commitAfter(theirs.id, 2, { consumes: [key] }))).toEqual({ kind: "applied", signals: 0 });
      expect(await commitOne(store, commitAfter(theirs.id, 3, { consumes: [key] }))).toEqual({ kind: "applied", signals: 0 });
      expect(await waiting(store, theirs.id)).toEqual([]);
    });

    test("of a payment requirement that nobody knows are nobody's to consume", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      const [unknown, nameless] = [await receivePayment(store, randomId("pcr")), await receivePayment(store, null)];
      expect(await commitOne(store, commitAfter(id, 1, { consumes: [unknown, nameless] }))).toEqual({
        kind: "applied",
        signals: 0,
      });
      expect(await store.findReceived(unknown.source, unknown.eventId)).toMatchObject({ consumedSeq: null });
      expect(await store.findReceived(nameless.source, nameless.eventId)).toMatchObject({ consumedSeq: null });
    });

    test("without a payment requirement are kept, once, and match no checkout", async () => {
      const store = storeOf();
      const { id } = await knowingCheckout(store);
      const { source, eventId, contextId } = await receivePayment(store, null);
      expect(contextId).toBeNull();
      expect(await store.receivePayment(source, eventId, null, paymentOf(null))).toEqual({
        isNew: false,
        isContradiction: false,
        contextId: null,
      });
      expect(await store.findReceived(source, eventId)).toEqual({ event: paymentOf(null), consumedSeq: null });
      expect(await waiting(store, id)).toEqual([]);
      expect((await store.load(id))?.signals).toBe(0);
    });

    test("stay with the first checkout that knew their payment requirement", async () => {
      const store = storeOf();
      const [first, second] = [await knowingCheckout(store), await createdCheckout(store)];
      await receivePayment(store, first.pcrId);
      const again = commitAfter(second.id, 1, { pcrId: first.pcrId });
      expect(await commitOne(store, again)).toEqual({ kind: "applied", signals: 0 });
      expect((await receivePayment(store, first.pcrId)).contextId).toBe(first.id);
      expect(await waiting(store, first.id)).toHaveLength(2);
      expect(await waiting(store, second.id)).toEqual([]);
    });

    test("go to one of two checkouts that learn the same payment requirement in one batch", async () => {
      const store = storeOf();
      const [a, b] = [await createdCheckout(store), await createdCheckout(store)];
      const pcrId = randomId("pcr");
      await receivePayment(store, pcrId);
      const results = await store.commit([commitAfter(a.id, 1, { pcrId }), commitAfter(b.id, 1, { pcrId })]);
      expect(results).toEqual(expect.arrayContaining([0, 1].map((signals) => ({ kind: "applied", signals }))));
      const both = [await waiting(store, a.id), await waiting(store, b.id)];
      expect(both.map(({ length }) => length)).toEqual(
        results.map((result) => (result.kind === "applied" ? result.signals : -1)),
      );
    });

    test("are not counted again when a checkout says once more which payment requirement it knows", async () => {
      const store = storeOf();
      const { id, pcrId } = await knowingCheckout(store);
      await receivePayment(store, pcrId);
      expect(await commitOne(store, commitAfter(id, 2, { pcrId }))).toEqual({ kind: "applied", signals: 1 });
      expect(await waiting(store, id)).toHaveLength(1);
    });

    test("of several payment requirements of one checkout are all its own", async () => {
      const store = storeOf();
      const { id, pcrId } = await knowingCheckout(store);
      const another = randomId("pcr");
      const [second, first] = [await receivePayment(store, another), await receivePayment(store, pcrId)];
      expect(await commitOne(store, commitAfter(id, 2, { pcrId: another }))).toEqual({ kind: "applied", signals: 2 });
      expect(await waiting(store, id)).toEqual([second.eventId, first.eventId]);
      expect(await commitOne(store, commitAfter(id, 3, { consumes: [first, second] }))).toMatchObject({ signals: 0 });
    });

    test("a refused commit learns nothing", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      const pcrId = randomId("pcr");
      expect(await commitOne(store, commitAfter(id, 1, { pcrId, fence: 0 }))).toMatchObject({ kind: "refused" });
      expect((await receivePayment(store, pcrId)).contextId).toBeNull();
      expect(await commitOne(store, commitAfter(id, 1, { pcrId }))).toEqual({ kind: "applied", signals: 1 });
    });
  });

  describe("signals equal what waits", () => {
    test("however arrivals race with the commits that learn their payment requirements, in batches", async () => {
      const store = storeOf();
      for (let race = 0; race < RACES; race++) {
        const checkouts = await Promise.all(Array.from({ length: CHECKOUTS_PER_BATCH }, () => createdCheckout(store)));
        const learning = checkouts.map(({ id }) => ({ id, pcrId: randomId("pcr") }));
        const arrivals = learning.flatMap(({ pcrId }) => Array<string>(ARRIVALS_PER_PCR).fill(pcrId));
        const before = race % (arrivals.length + 1);
        const received = arrivals.slice(0, before).map((pcrId) => receivePayment(store, pcrId));
        const halves = [learning.slice(0, CHECKOUTS_PER_BATCH / 2), learning.slice(CHECKOUTS_PER_BATCH / 2)];
        const commits = halves.map((half) => store.commit(half.map(({ id, pcrId }) => commitAfter(id, 1, { pcrId }))));
        received.push(...arrivals.slice(before).map((pcrId) => receivePayment(store, pcrId)));
        expect((await Promise.all(commits)).flat().every(({ kind }) => kind === "applied")).toBe(true);
        await Promise.all(received);
        for (const { id } of checkouts) await expectAllSignalled(store, id, ARRIVALS_PER_PCR);
      }
    });

    test("however two batches with the same payment requirements in opposite order race with arrivals", async () => {
      const store = storeOf();
      for (let race = 0; race < RACES; race++) {
        const [a, b, c, d] = await Promise.all([1, 2, 3, 4].map(() => createdCheckout(store)));
        if (!a || !b || !c || !d) throw new Error("four were created");
        const [x, y] = [randomId("pcr"), randomId("pcr")];
        const learn = ({ id }: { id: string }, pcrId: string) => commitAfter(id, 1, { pcrId });
        await Promise.all([
          receivePayment(store, x),
          receivePayment(store, y),
          store.commit([learn(a, x), learn(b, y)]),
          store.commit([learn(c, y), learn(d, x)]),
          receivePayment(store, x),
          receivePayment(store, y),
        ]);
        const counts = await Promise.all([a, b, c, d].map(async ({ id }) => (await waiting(store, id)).length));
        expect(counts.reduce((sum, count) => sum + count)).toBe(4);
        for (const [i, { id }] of [a, b, c, d].entries()) await expectAllSignalled(store, id, counts[i] ?? -1);
      }
    });

    test("however arrivals race with commits that name a payment requirement which is known already", async () => {
      const store = storeOf();
      const { id, pcrId } = await knowingCheckout(store);
      const stranger = await createdCheckout(store);
      for (let race = 0; race < RACES; race++) {
        await Promise.all([
          ...Array.from({ length: ARRIVALS_PER_PCR }, () => receivePayment(store, pcrId)),
          store.commit([commitAfter(id, 2 + race, { pcrId }), commitAfter(stranger.id, 1 + race, { pcrId })]),
          ...Array.from({ length: ARRIVALS_PER_PCR }, () => receivePayment(store, pcrId)),
        ]);
      }
      await expectAllSignalled(store, id, 2 * ARRIVALS_PER_PCR * RACES);
      await expectAllSignalled(store, stranger.id, 0);
    });

    test("however arrivals race with commits that consume", async () => {
      const store = storeOf();
      const { id, pcrId } = await knowingCheckout(store);
      const arrivals = Array.from({ length: 20 }, (_, i) =>
        i % 2 === 0 ? receivePayment(store, pcrId) : receiveCommand(store, id),
      );
      for (let seq = 2; seq <= 11; seq++) {
        const consumes = seq % 2 === 0 ? await store.unconsumed(id) : [];
        expect(await commitOne(store, commitAfter(id, seq, { consumes }))).toMatchObject({ kind: "applied" });
      }
      await Promise.all(arrivals);
      await expectAllSignalled(store, id, (await waiting(store, id)).length);
    });
  });

  describe("commands of clients", () => {
    test("are taken once by source and event id, and are listed with payment events in the order of arrival", async () => {
      const store = storeOf();
      const { id, pcrId } = await knowingCheckout(store);
      const arrived: string[] = [];
      for (let i = 0; i < 10; i++) {
        const { eventId } = i % 3 === 0 ? await receivePayment(store, pcrId) : await receiveCommand(store, id);
        arrived.push(eventId);
      }
      expect(await waiting(store, id)).toEqual(arrived);
      const eventId = randomId("evt");
      const receive = () => store.receiveCommand("client", eventId, id, { type: "CANCEL", reason: "naïve 🛒" });
      expect((await Promise.all([1, 2, 3, 4, 5].map(receive))).filter(Boolean)).toHaveLength(1);
      expect((await store.load(id))?.signals).toBe(11);
      expect((await store.unconsumed(id)).at(-1)?.event).toEqual({ type: "CANCEL", reason: "naïve 🛒" });
    });

    test("are for the checkout that they name and no other", async () => {
      const store = storeOf();
      const [mine, theirs] = [await createdCheckout(store), await createdCheckout(store)];
      const { eventId } = await receiveCommand(store, mine.id);
      expect(await waiting(store, mine.id)).toEqual([eventId]);
      expect(await waiting(store, theirs.id)).toEqual([]);
      expect((await store.load(theirs.id))?.signals).toBe(0);
    });
  });

  describe("what became of something that arrived", () => {
    test("is told by the journal entry that consumed it", async () => {
      const store = storeOf();
      const { id, pcrId } = await knowingCheckout(store);
      const [payment, command] = [await receivePayment(store, pcrId), await receiveCommand(store, id)];
      const find = ({ source, eventId }: typeof command) => store.findReceived(source, eventId);
      expect(await find(payment)).toEqual({ event: paymentOf(pcrId), consumedSeq: null });
      await commitOne(store, commitAfter(id, 2, { consumes: [command] }));
      await commitOne(store, commitAfter(id, 3, { consumes: [command, payment] }));
      expect(await find(command)).toEqual({ event: { type: "CANCEL" }, consumedSeq: 3 });
      expect(await find(payment)).toEqual({ event: paymentOf(pcrId), consumedSeq: 4 });
      expect(await store.findReceived("another source", payment.eventId)).toBeNull();
    });
  });
}

const EVERYTHING = 10_000;

async function waiting(store: Store, id: string): Promise<string[]> {
  return (await store.unconsumed(id)).map(({ eventId }) => eventId);
}

async function expectAllSignalled(store: Store, id: string, arrived: number): Promise<void> {
  expect(await waiting(store, id)).toHaveLength(arrived);
  expect((await store.load(id))?.signals).toBe(arrived);
}
