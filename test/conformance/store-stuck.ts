import { describe, expect, test } from "vitest";
import type { Store, StuckCheckout } from "../../persistence/store.ts";
import {
  AT,
  checkpointAt,
  commitAfter,
  commitOne,
  createdCheckout,
  passivated,
  randomId,
  receiveCommand,
} from "./store-fixtures.ts";

const FAR_FUTURE = Date.UTC(2100, 0, 1);
/** Whatever is not set for later: what has just moved has "not moved since a second from now". */
const AT_ONCE = -1_000;
const LONG_AGO = 3_600_000;
const EVERYTHING = 10_000;

export function stuckConformance(storeOf: () => Store): void {
  const find = async (id: string, idleMs = AT_ONCE): Promise<readonly StuckCheckout[]> =>
    (await storeOf().stuck(idleMs, EVERYTHING)).filter(({ contextId }) => contextId === id);

  describe("checkouts that could go on and don't", () => {
    test("one that its node does not bring on, since it last moved", async () => {
      const store = storeOf();
      const { id, owner } = await createdCheckout(store);
      const before = await store.now();
      await commitOne(store, commitAfter(id, 1));
      const [found, ...others] = await find(id);
      expect(others).toEqual([]);
      expect(found).toMatchObject({ contextId: id, state: "STEP_2", seq: 2, owner });
      // By the database's clock, to the millisecond.
      expect(found?.since).toBeGreaterThanOrEqual(Math.floor(before));
      expect(found?.since).toBeLessThanOrEqual(Math.ceil(await store.now()));
      expect(await find(id, LONG_AGO)).toEqual([]);
    });

    test("not one whose live node waits for its timer; one of a node that is gone", async () => {
      const { id } = await createdCheckout(storeOf());
      await commitOne(storeOf(), commitAfter(id, 1, { wakeAt: FAR_FUTURE }));
      expect(await find(id)).toEqual([]);
      const orphan = await createdCheckout(storeOf(), { owner: randomId("forgotten") });
      await commitOne(storeOf(), commitAfter(orphan.id, 1, { wakeAt: FAR_FUTURE }));
      expect(await find(orphan.id)).toHaveLength(1);
    });

    test("one that is due and nobody's, since it was due", async () => {
      const [due, later] = [await passivated(storeOf(), AT), await passivated(storeOf(), FAR_FUTURE)];
      expect(await find(due.id, LONG_AGO)).toMatchObject([{ owner: null, since: AT }]);
      expect(await find(later.id)).toEqual([]);
    });

    test("one that something arrived for, once, also when it is due as well; not one that rests", async () => {
      const [called, both] = [await passivated(storeOf(), FAR_FUTURE), await passivated(storeOf(), AT)];
      const resting = await passivated(storeOf(), null, { finished: true });
      for (const { id } of [called, both]) await receiveCommand(storeOf(), id);
      expect(await find(called.id)).toHaveLength(1);
      expect(await find(both.id)).toMatchObject([{ since: AT }]);
      expect(await find(resting.id)).toEqual([]);
    });

    test("one that nothing would wake", async () => {
      expect(await find((await passivated(storeOf(), null)).id)).toHaveLength(1);
    });

    test("not one that is parked", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      await store.park(id, 1, "it can't be folded");
      const due = await createdCheckout(store);
      await commitOne(store, commitAfter(due.id, 1, { wakeAt: AT, checkpoint: checkpointAt(2) }));
      await store.park(due.id, 1, "it can't be folded");
      await receiveCommand(store, due.id);
      expect([await find(id), await find(due.id)]).toEqual([[], []]);
    });

    test("the oldest first, and no more than are asked for", async () => {
      const store = storeOf();
      for (const wakeAt of [AT + 1, AT, AT + 2]) await passivated(store, wakeAt);
      const all = await store.stuck(AT_ONCE, EVERYTHING);
      expect(all.map(({ since }) => since)).toEqual(all.map(({ since }) => since).toSorted((a, b) => a - b));
      expect(await store.stuck(AT_ONCE, 2)).toHaveLength(2);
    });
  });
}
