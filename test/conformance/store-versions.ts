import { describe, expect, test } from "vitest";
import type { Store, UnknownVersion } from "../../persistence/store.ts";
import {
  AT,
  checkpointAt,
  commitAfter,
  commitOne,
  createdCheckout,
  liveNode,
  randomId,
  receiveCommand,
} from "./store-fixtures.ts";

/** 2100-01-01. */
const FAR_FUTURE = 4_102_444_800_000;
const EVERYTHING = 10_000;

/** A node claims only what it can run, and whoever starts is told what nobody else can. */
export function versionConformance(storeOf: () => Store): void {
  describe("versions of the machine", () => {
    test("a node leaves alone what is of a version that it didn't name, also when it is asked for one", async () => {
      const { store, machineHash, resting } = setup(storeOf());
      const { id } = await resting(AT);
      const { id: orphan } = await createdCheckout(store, { machineHash, owner: randomId("forgotten") });
      const { id: signalled } = await resting(FAR_FUTURE);
      await receiveCommand(store, signalled);
      const [older, newer] = [await liveNode(store), await liveNode(store, ["own", machineHash])];
      const left = await store.claimRunnable(older, EVERYTHING);
      for (const one of [id, orphan, signalled]) {
        expect(left).not.toContain(one);
        expect(await store.claim(one, older)).toBeNull();
      }
      expect(await store.load(id)).toMatchObject({ owner: null, fence: 1 });
      const taken = await store.claimRunnable(newer, EVERYTHING);
      expect(taken).toEqual(expect.arrayContaining([id, orphan, signalled]));
      expect(await store.claim(id, newer)).toBe(3);
    });

    test("what it doesn't know is no part of the limit", async () => {
      const { store, resting } = setup(storeOf());
      for (let other = 1; other <= 9; other++) await resting(1);
      const own = randomId("hash");
      const { id } = await createdCheckout(store, { machineHash: own });
      await commitOne(store, commitAfter(id, 1, { wakeAt: AT, passivate: true, checkpoint: checkpointAt(2) }));
      expect(await store.claimRunnable(await liveNode(store, [own]), 1)).toEqual([id]);
    });

    test("a commit that takes a checkout over moves its version with its checkpoint, and no other commit does", async () => {
      const { store, machineHash } = setup(storeOf());
      const { id } = await createdCheckout(store, { machineHash });
      await commitOne(store, commitAfter(id, 1, { events: [{ type: "note", data: {} }] }));
      expect(await store.load(id)).toMatchObject({ machineVersion: "1", machineHash, checkpoint: { seq: 1 } });
      const machine = { machineVersion: "2", machineHash: randomId("hash") };
      await commitOne(store, commitAfter(id, 2, { machine, checkpoint: checkpointAt(3) }));
      expect(await store.load(id)).toMatchObject({ ...machine, seq: 3, checkpoint: { seq: 3, ...checkpointAt(3) } });
      await commitOne(store, commitAfter(id, 3));
      expect(await store.load(id)).toMatchObject({ ...machine, seq: 4, checkpoint: { seq: 3 } });
      expect(await store.claim(id, await liveNode(store, [machineHash]))).toBeNull();
    });

    test("a commit that is refused leaves the version as it was", async () => {
      const { store, machineHash } = setup(storeOf());
      const { id } = await createdCheckout(store, { machineHash });
      const machine = { machineVersion: "2", machineHash: randomId("hash") };
      const late = commitAfter(id, 1, { machine, fence: 0, checkpoint: checkpointAt(2) });
      expect(await commitOne(store, late)).toMatchObject({ kind: "refused" });
      expect(await store.load(id)).toMatchObject({ machineHash, checkpoint: { seq: 1 } });
    });

    test("of versions that nobody named, the live checkouts are told of, and those that rest for good are not", async () => {
      const { store, machineHash, resting, unknown } = setup(storeOf());
      const waiting = await resting(FAR_FUTURE);
      const [owned, parked] = [await createdCheckout(store, { machineHash }), await createdCheckout(store, { machineHash })];
      await store.park(parked.id, 1, "it does not fold");
      const finished = { finished: true, release: { completed: true } };
      const [owing, refunding, resolved] = [
        await resting(null, finished),
        await resting(FAR_FUTURE, finished),
        await resting(null, finished),
      ];
      await receiveCommand(store, owing.id);
      const ids = [waiting, owned, owing, refunding].map(({ id }) => id).toSorted();
      expect(await unknown([])).toEqual({ machineVersion: "1", machineHash, checkouts: 4, ids, servedWith: [] });
      expect(ids).not.toContain(resolved.id);
      expect(await unknown(["another", machineHash])).toBeUndefined();
    });

    test("counts them all, names the oldest, and says what each live node that runs them runs", async () => {
      const { store, machineHash, resting, unknown } = setup(storeOf());
      const ids: string[] = [];
      for (let one = 1; one <= 7; one++) ids.push((await resting(FAR_FUTURE)).id);
      const [own, dead] = [randomId("hash"), await liveNode(store, [machineHash])];
      await store.endLease(dead);
      await liveNode(store, [own, machineHash]);
      await liveNode(store, [own]);
      const found = await unknown(["another"]);
      expect(found).toMatchObject({ checkouts: 7, servedWith: [[own, machineHash]] });
      expect(found?.ids).toEqual(ids.toSorted().slice(0, 5));
    });

    test("a node runs the versions that it named when it started, as long as it lives", async () => {
      const { store, machineHash, resting, unknown } = setup(storeOf());
      const { id } = await resting(FAR_FUTURE);
      const node = await liveNode(store, ["own", machineHash]);
      expect(await store.heartbeat(node, 60_000, ["own", machineHash])).toBe(true);
      expect(await unknown([])).toMatchObject({ servedWith: [["own", machineHash]] });
      expect(await store.claim(id, node)).toBe(2);
    });
  });
}

/** Of a version of its own, so that no other test's node takes its checkouts. */
function setup(store: Store) {
  const machineHash = randomId("hash");
  const resting = async (wakeAt: number | null, overrides: Parameters<typeof commitAfter>[2] = {}) => {
    const checkout = await createdCheckout(store, { machineHash });
    const rest = { wakeAt, passivate: true, checkpoint: checkpointAt(2), ...overrides };
    await commitOne(store, commitAfter(checkout.id, 1, rest));
    return checkout;
  };
  const unknown = async (known: readonly string[]): Promise<UnknownVersion | undefined> =>
    (await store.unknownVersions(known)).find((version) => version.machineHash === machineHash);
  return { store, machineHash, resting, unknown };
}
