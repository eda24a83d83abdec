import { describe, expect, test } from "vitest";
import { isUnstorable } from "../../machines/errors.ts";
import type { Account, Transfer } from "../../machines/ledger.ts";
import type { Store, UnsettledMoney } from "../../persistence/store.ts";
import { AT, commitAfter, commitOne, createdCheckout, randomId } from "./store-fixtures.ts";

const EVERYTHING = 10_000;
const HOUR_MS = 3_600_000;
/** Also what is there since this very millisecond: a clock need not count finer. */
const ANY_AGE_MS = -1;
/** More than enough for any clock to move on by the millisecond in which `since` is told. */
const TURNS_MAX = 1_000;
const CHECKOUTS = 6;
const ROUNDS = 8;
const ACCOUNTS: readonly Account[] = ["PROVIDER", "SUSPENSE", "ORDER", "BY_HAND"];
const CURRENCIES = ["MXN", "USD"];

export function moneyConformance(storeOf: () => Store): void {
  describe("the ledger", () => {
    test("lists a checkout's transfers in order, each with the entry that moved it", async () => {
      const store = storeOf();
      const [mine, other] = [await createdCheckout(store), await createdCheckout(store)];
      const [second, first] = [capture(700, "psp_a"), capture(249_900, "psp_b")];
      const refund = move("SUSPENSE", "BY_HAND", 700, { pspReference: "psp_a" });
      await store.commit([commitAfter(other.id, 1), commitAfter(mine.id, 1, { transfers: [first, second] })]);
      await commitOne(store, commitAfter(mine.id, 2));
      await commitOne(store, commitAfter(mine.id, 3, { transfers: [refund] }));
      expect(await store.ledger(mine.id)).toEqual([
        { ...first, seq: 2, at: AT + 2 },
        { ...second, seq: 2, at: AT + 2 },
        { ...refund, seq: 4, at: AT + 4 },
      ]);
      expect(await store.ledger(other.id)).toEqual([]);
    });

    test("takes amounts beyond 32 bits", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      await commitOne(store, commitAfter(id, 1, { transfers: [capture(9_000_000_000_123)] }));
      expect((await store.ledger(id))[0]?.amount).toBe(9_000_000_000_123);
      expect(await balances(store, id)).toEqual({ MXN: 9_000_000_000_123 });
    });

    test("a refused commit moves nothing", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      await commitOne(store, commitAfter(id, 1, { fence: 0, transfers: [capture(500)] }));
      expect(await store.ledger(id)).toEqual([]);
      expect(await balances(store, id)).toEqual({});
    });

    test.each<[string, Transfer]>([
      ["nothing", move("PROVIDER", "SUSPENSE", 0)],
      ["less than nothing", move("PROVIDER", "SUSPENSE", -1)],
      ["half a cent", move("PROVIDER", "SUSPENSE", 0.5)],
      ["something from an account to itself", move("SUSPENSE", "SUSPENSE", 500)],
      ["something from an unknown account", move("POCKET" as Account, "SUSPENSE", 500)],
      ["something to an unknown account", move("SUSPENSE", "POCKET" as Account, 500)],
    ])("a transfer of %s fails the whole call and applies nothing", async (_, transfer) => {
      const store = storeOf();
      const [healthy, poisoned] = [await createdCheckout(store), await createdCheckout(store)];
      const poison = commitAfter(poisoned.id, 1, { transfers: [capture(500), transfer] });
      const batch = [commitAfter(healthy.id, 1, { transfers: [capture(500)] }), poison];
      await expect(store.commit(batch)).rejects.toSatisfy(isUnstorable);
      for (const { id } of [healthy, poisoned]) {
        expect((await store.load(id))?.seq).toBe(1);
        expect(await store.ledger(id)).toEqual([]);
        expect(await balances(store, id)).toEqual({});
      }
    });
  });

  describe("money in suspense", () => {
    test("is unsettled until it is back at zero, and per currency", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      await commitOne(store, commitAfter(id, 1, { transfers: [capture(500), capture(300), capture(7, "psp_us", "USD")] }));
      expect(await balances(store, id)).toEqual({ MXN: 800, USD: 7 });
      await commitOne(store, commitAfter(id, 2, { transfers: [move("SUSPENSE", "PROVIDER", 300)] }));
      expect(await balances(store, id)).toEqual({ MXN: 500, USD: 7 });
      await commitOne(store, commitAfter(id, 3, { transfers: [move("SUSPENSE", "ORDER", 500)] }));
      expect(await balances(store, id)).toEqual({ USD: 7 });
      await commitOne(store, commitAfter(id, 4, { transfers: [move("SUSPENSE", "BY_HAND", 7, { currency: "USD" })] }));
      expect(await balances(store, id)).toEqual({});
    });

    test("that came and went in one transition was never there", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      await commitOne(store, commitAfter(id, 1, { transfers: [capture(500), move("SUSPENSE", "ORDER", 500)] }));
      expect(await store.ledger(id)).toHaveLength(2);
      expect(await balances(store, id)).toEqual({});
    });

    test("is there since it last became non-zero, whatever changes meanwhile", async () => {
      const store = storeOf();
      const { id } = await createdCheckout(store);
      let seq = 0;
      const transfer = (...transfers: Transfer[]) => commitOne(store, commitAfter(id, ++seq, { transfers }));
      await transfer(capture(500));
      const since = await sinceOf(store, id);
      expect(since).toBeGreaterThan(0);
      for (let change = 0; change < 20; change++) await transfer(change % 2 === 0 ? capture(1) : move("SUSPENSE", "PROVIDER", 1));
      await transfer(capture(9), move("SUSPENSE", "ORDER", 9));
      expect(await sinceOf(store, id)).toBe(since);
      for (let turn = 0; turn < TURNS_MAX && (await sinceOf(store, id)) === since; turn++) {
        await transfer(move("SUSPENSE", "PROVIDER", 500));
        expect(await balances(store, id)).toEqual({});
        await transfer(capture(500));
      }
      expect(await sinceOf(store, id)).toBeGreaterThan(since);
      expect(await balances(store, id)).toEqual({ MXN: 500 });
    });

    test("is listed when it is there for long enough, the oldest first, within the limit", async () => {
      const store = storeOf();
      const ids: string[] = [];
      for (let i = 0; i < 5; i++) {
        const { id } = await createdCheckout(store);
        await commitOne(store, commitAfter(id, 1, { transfers: [capture(500)] }));
        ids.push(id);
      }
      const all = await store.unsettled(ANY_AGE_MS, EVERYTHING);
      expect(all.map(({ contextId }) => contextId)).toEqual(expect.arrayContaining(ids));
      const times = all.map(({ since }) => since);
      expect(times).toEqual(times.toSorted((a, b) => a - b));
      expect(await store.unsettled(ANY_AGE_MS, 2)).toEqual(all.slice(0, 2));
      expect(await store.unsettled(HOUR_MS, EVERYTHING)).toEqual([]);
    });

    test("is what the ledger says, however transfers mix in commits and batches", async () => {
      const store = storeOf();
      const ids = await Promise.all(Array.from({ length: CHECKOUTS }, async () => (await createdCheckout(store)).id));
      for (let round = 1; round <= ROUNDS; round++) {
        const batch = ids.map((id, i) => commitAfter(id, round, { transfers: mixedTransfers(round * CHECKOUTS + i) }));
        expect((await store.commit(batch)).every(({ kind }) => kind === "applied")).toBe(true);
        for (const id of ids) expect(await balances(store, id)).toEqual(sums(await store.ledger(id)));
      }
    });
  });
}

function move(credit: Account, debit: Account, amount: number, overrides: Partial<Transfer> = {}): Transfer {
  return { credit, debit, amount, currency: "MXN", pspReference: randomId("psp"), ...overrides };
}

function capture(amount: number, pspReference = randomId("psp"), currency = "MXN"): Transfer {
  return move("PROVIDER", "SUSPENSE", amount, { pspReference, currency });
}

/** Up to five, between all pairs of accounts, in two currencies; small amounts, so that zero comes up often. */
function mixedTransfers(seed: number): Transfer[] {
  return Array.from({ length: seed % 6 }, (_, i) => {
    const n = seed * 7 + i * 5;
    const [credit, debit] = [ACCOUNTS[n % 4], ACCOUNTS[(n + 1 + (n % 3)) % 4]];
    if (credit === undefined || debit === undefined) throw new Error("four accounts");
    return move(credit, debit, 1 + (n % 3), { currency: CURRENCIES[(n >> 2) % 2] ?? "MXN" });
  });
}

/** What the ledger leaves in suspense, per currency; without zeros. */
function sums(transfers: readonly Transfer[]): Record<string, number> {
  const sum: Record<string, number> = {};
  for (const { debit, credit, amount, currency } of transfers) {
    const change = debit === "SUSPENSE" ? amount : credit === "SUSPENSE" ? -amount : 0;
    sum[currency] = (sum[currency] ?? 0) + change;
  }
  return Object.fromEntries(Object.entries(sum).filter(([, amount]) => amount !== 0));
}

async function unsettledOf(store: Store, id: string): Promise<readonly UnsettledMoney[]> {
  return (await store.unsettled(ANY_AGE_MS, EVERYTHING)).filter(({ contextId }) => contextId === id);
}

async function balances(store: Store, id: string): Promise<Record<string, number>> {
  return Object.fromEntries((await unsettledOf(store, id)).map(({ currency, amount }) => [currency, amount]));
}

async function sinceOf(store: Store, id: string): Promise<number> {
  return (await unsettledOf(store, id))[0]?.since ?? Number.NaN;
}
