import { describe, expect, test } from "vitest";
import type { Store } from "../../persistence/store.ts";
import {
  AT,
  checkpointAt,
  commitAfter,
  commitOne,
  createdCheckout,
  liveNode,
  MACHINE_HASH,
  passivated,
  randomId,
  receiveCommand,
} from "./store-fixtures.ts";

const FAR_FUTURE = Date.UTC(2100, 0, 1);
const EVERYTHING = 10_000;
const CLAIMS_MAX = 5;

export function claimConformance(storeOf: () => Store): void {
  describe("leases of nodes", () => {
    test("a lease that is prolonged in time goes on; one that ended never does", async () => {
      const store = storeOf();
      const node = await liveNode(store);
      expect(await store.heartbeat(node, 60_000, [MACHINE_HASH])).toBe(true);
      await store.endLease(node);
      expect(await store.heartbeat(node, 60_000, [MACHINE_HASH])).toBe(false);
    });

    test("the time by which leases are judged can be asked for, and goes on", async () => {
      const earlier = await storeOf().now();
      expect(earlier).toBeGreaterThan(Date.UTC(2020, 0, 1));
      expect(await storeOf().now()).toBeGreaterThanOrEqual(earlier);
    });

    test("a lease that ran out is not prolonged", async () => {
      const node = randomId("node");
      await storeOf().heartbeat(node, 0, [MACHINE_HASH]);
      expect(await storeOf().heartbeat(node, 60_000, [MACHINE_HASH])).toBe(false);
    });

    test("an embedded node ends the leases that its predecessors left", async () => {
      const store = storeOf();
      const [survivor, predecessor] = [await liveNode(store), await liveNode(store)];
      await store.endOtherLeases(survivor);
      expect(await store.heartbeat(predecessor, 60_000, [MACHINE_HASH])).toBe(false);
      expect(await store.heartbeat(survivor, 60_000, [MACHINE_HASH])).toBe(true);
    });
  });

  describe("claiming what can run", () => {
    test("leaves alone what a live node owns", async () => {
      const { id } = await createdCheckout(storeOf());
      await expectUnclaimed(storeOf(), id);
      expect(await storeOf().claim(id, await liveNode(storeOf()))).toBeNull();
    });

    test("takes the checkouts of a node whose lease is over, with a new fence", async () => {
      const store = storeOf();
      const { id, owner } = await createdCheckout(store);
      await store.endLease(owner);
      const heir = await expectClaimed(store, id);
      expect(await store.load(id)).toMatchObject({ owner: heir, fence: 2 });
      expect(await commitOne(store, commitAfter(id, 1))).toMatchObject({ kind: "refused", fence: 2, owner: heir });
    });

    test("takes the checkouts of a node that nobody knows", async () => {
      const { id } = await createdCheckout(storeOf(), { owner: randomId("forgotten") });
      await expectClaimed(storeOf(), id);
    });

    test("takes over a finished checkout of a dead node: a refund may have been in flight", async () => {
      const store = storeOf();
      const { id, owner } = await createdCheckout(store);
      await commitOne(store, commitAfter(id, 1, { finished: true, release: { completed: true } }));
      await store.endLease(owner);
      await expectClaimed(store, id);
    });

    test("leaves a finished checkout that was given up alone until something arrives for it", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      await commitOne(store, commitAfter(id, 1, { finished: true, release: { completed: true } }));
      await store.giveUp(id, 2);
      expect(await store.claim(id, await liveNode(store))).toBeNull();
      await store.giveUp(id, 1);
      await expectUnclaimed(store, id);
      await receiveCommand(store, id);
      await expectClaimed(store, id);
    });

    test("takes a passivated checkout when its time has come, and not before", async () => {
      const store = storeOf();
      const [due, later] = [await passivated(store, AT), await passivated(store, FAR_FUTURE)];
      const claimed = await store.claimRunnable(await liveNode(store), EVERYTHING);
      expect(claimed).toContain(due.id);
      expect(claimed).not.toContain(later.id);
    });

    test("leaves a due timer to the live node that owns the checkout", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      await commitOne(store, commitAfter(id, 1, { wakeAt: AT }));
      await expectUnclaimed(store, id);
    });

    test("takes a passivated checkout for which something arrived, also before it was passivated", async () => {
      const store = storeOf();
      const after = await passivated(store, FAR_FUTURE);
      await receiveCommand(store, after.id);
      const before = await createdCheckout(store);
      await receiveCommand(store, before.id);
      await commitOne(store, commitAfter(before.id, 1, { wakeAt: FAR_FUTURE, passivate: true, checkpoint: checkpointAt(2) }));
      expect(await store.claimRunnable(await liveNode(store), EVERYTHING)).toEqual(expect.arrayContaining([after.id, before.id]));
    });

    test("takes an unfinished checkout that nobody owns and nothing would wake; a finished one rests", async () => {
      const store = storeOf();
      const [stuck, finished] = [await passivated(store, null), await passivated(store, null, { finished: true })];
      const claimed = await store.claimRunnable(await liveNode(store), EVERYTHING);
      expect(claimed).toContain(stuck.id);
      expect(claimed).not.toContain(finished.id);
    });

    test("takes at most what was asked for", async () => {
      const store = storeOf();
      await Promise.all([passivated(store, AT), passivated(store, AT), passivated(store, AT)]);
      expect(await store.claimRunnable(await liveNode(store), 2)).toHaveLength(2);
      await store.claimRunnable(await liveNode(store), EVERYTHING);
    });

    test("gives each checkout to one of the nodes that ask at once", async () => {
      const store = storeOf();
      const nodes = await Promise.all(Array.from({ length: 6 }, () => liveNode(store)));
      const ids = await Promise.all(Array.from({ length: 60 }, async () => (await passivated(store, AT)).id));
      const claimed: string[] = [];
      while (!ids.every((id) => claimed.includes(id))) {
        const rounds = await Promise.all(nodes.map((node) => store.claimRunnable(node, 5)));
        expect(rounds.flat().length, "somebody makes progress").toBeGreaterThan(0);
        claimed.push(...rounds.flat());
      }
      expect(new Set(claimed).size).toBe(claimed.length);
    });

    test("never takes a checkout from the live node that was quicker", async () => {
      const store = storeOf();
      const { id } = await passivated(store, FAR_FUTURE);
      const nodes = await Promise.all(Array.from({ length: 6 }, () => liveNode(store)));
      for (let round = 1; round <= 30; round++) {
        const fences = await Promise.all(nodes.map((node) => store.claim(id, node)));
        expect(fences.filter((fence) => fence !== null)).toEqual([1 + round]);
        await commitOne(
          store,
          commitAfter(id, 1 + round, {
            fence: 1 + round,
            passivate: true,
            wakeAt: FAR_FUTURE,
            checkpoint: checkpointAt(2 + round),
          }),
        );
      }
    });

    test("a node whose own lease is over gets nothing", async () => {
      const store = storeOf();
      const { id } = await passivated(store, AT);
      const zombie = await liveNode(store);
      await store.endLease(zombie);
      expect(await store.claimRunnable(zombie, EVERYTHING)).toEqual([]);
      expect(await store.claim(id, zombie)).toBeNull();
      await expectClaimed(store, id);
    });

    test("one checkout is claimed by its id for one node, and anew by the node that owns it", async () => {
      const store = storeOf();
      const { id } = await passivated(store, FAR_FUTURE);
      const [first, second] = [await liveNode(store), await liveNode(store)];
      const fences = await Promise.all([store.claim(id, first), store.claim(id, second)]);
      expect(fences).toEqual(expect.arrayContaining([2, null]));
      const winner = fences[0] === null ? second : first;
      expect(await store.claim(id, winner)).toBe(3);
      expect(await store.claim("ctx_unknown", first)).toBeNull();
    });
  });

  describe("giving up", () => {
    test("parks with a reason, and nobody claims or writes it any more", async () => {
      const store = storeOf();
      const { id, caller, idempotencyKey } = await createdCheckout(store);
      await store.park(id, 0, "an old fence");
      expect((await store.load(id))?.parkedReason).toBeNull();
      await store.park(id, 1, "its snapshot does not resolve");
      expect(await store.load(id)).toMatchObject({ owner: null, parkedReason: "its snapshot does not resolve" });
      expect(await store.findClaim(caller, idempotencyKey)).toMatchObject({ answer: null, isParked: true });
      await receiveCommand(store, id);
      await expectUnclaimed(store, id);
      expect(await store.claim(id, await liveNode(store))).toBeNull();
      expect(await commitOne(store, commitAfter(id, 1))).toMatchObject({ kind: "refused", owner: null });
    });

    test("parks a checkout that was claimed five times without a commit", async () => {
      const store = storeOf();
      const { id } = await passivated(store, AT);
      for (let claim = 1; claim <= CLAIMS_MAX; claim++) await claimAndCrash(store, id);
      await expectUnclaimed(store, id);
      expect((await store.load(id))?.owner).toBeNull();
      expect((await store.load(id))?.parkedReason).toContain("without progress");
    });

    test("an orderly end of the lease is no crash", async () => {
      const store = storeOf();
      const { id } = await passivated(store, AT);
      for (let claim = 1; claim <= 2 * CLAIMS_MAX; claim++) await store.endLease(await expectClaimed(store, id));
      await expectClaimed(store, id);
    });

    test("a commit clears the count of claims without progress", async () => {
      const store = storeOf();
      const { id } = await passivated(store, AT);
      for (let claim = 1; claim < CLAIMS_MAX; claim++) await claimAndCrash(store, id);
      await expectClaimed(store, id);
      const fence = (await store.load(id))?.fence ?? 0;
      await commitOne(store, commitAfter(id, 2, { fence }));
      await store.endOtherLeases(NOBODY);
      for (let claim = 1; claim < CLAIMS_MAX; claim++) await claimAndCrash(store, id);
      await expectClaimed(store, id);
    });
  });
}

const NOBODY = "node_nobody";

/** The node is gone without a word: its lease just ends. */
async function claimAndCrash(store: Store, id: string): Promise<void> {
  await expectClaimed(store, id);
  await store.endOtherLeases(NOBODY);
}

/** The claiming node; it also takes whatever else earlier tests left behind. */
async function expectClaimed(store: Store, id: string): Promise<string> {
  const node = await liveNode(store);
  expect(await store.claimRunnable(node, EVERYTHING)).toContain(id);
  return node;
}

async function expectUnclaimed(store: Store, id: string): Promise<void> {
  expect(await store.claimRunnable(await liveNode(store), EVERYTHING)).not.toContain(id);
}
