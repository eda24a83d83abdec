import { afterAll, beforeAll, expect, test } from "vitest";
import type { Capture } from "../../machines/context.ts";
import { refundKey } from "../../machines/keys.ts";
import { owedFor } from "../../machines/payment.ts";
import type { Database } from "../../persistence/connect.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { openPaymentDesk } from "../support/payment-desk.ts";
import { countingIds } from "../support/ports.ts";

const AMOUNT = 249900;
let database: Database;
const ids = countingIds();

beforeAll(async () => {
  database = await openMemoryDatabase();
});
afterAll(() => database.close());

/** A checkout that was paid with the instrument whose first refund the bank sends back. */
async function setup() {
  const desk = openPaymentDesk(database, ids, "ins_refund_fails", AMOUNT);
  const { pcrId, outcome } = await desk.payments.createPaymentRequest(desk.request);
  expect(outcome.kind).toBe("pending");
  const [success] = await desk.pass(1_000);
  if (success === undefined) throw new Error("expected the success to be told");
  const { pspReference, amount, currency } = success.data;
  const capture: Capture = { pspReference, amount, currency };
  const call = (round: number) => {
    const owed = { ...owedFor(capture, "LATE"), round };
    const key = refundKey(desk.executionContextId, pspReference, round);
    return { executionContextId: desk.executionContextId, key, pcrId, owed };
  };
  return {
    ...desk,
    pcrId,
    capture,
    call,
    refund: (round: number) => desk.payments.refundCapture(call(round)),
    reverse: (...rounds: number[]) =>
      desk.payments.reversePaymentRequest({ ...desk.undo, owed: rounds.map((round) => call(round).owed) }),
    rounds: () =>
      database.rows<{ round: number; accepted: boolean; failed: boolean }>(
        `select round, accepted_at is not null as accepted, failed_at is not null as failed
           from checkoutd.payment_refunds where context_id = $1 order by round`,
        [desk.executionContextId],
      ),
  };
}

const BOTH = { captured: AMOUNT, refunded: AMOUNT };
const HELD = { captured: AMOUNT, refunded: 0 };

test("a refund that failed later is made again under its next round's key, and our books never count both", async () => {
  const { refund, pass, books, ledger, rounds } = await setup();
  const first = await refund(1);
  expect(first).toMatchObject({ round: 1, reason: "LATE", amount: AMOUNT });
  expect(await books()).toEqual([BOTH]);
  expect(await pass(1_000)).toMatchObject([{ type: "payment_refund_failed", data: { code: "REFUND_FAILED_AT_BANK" } }]);
  expect(await ledger()).toMatchObject([HELD]);
  const second = await refund(2);
  expect(second).toMatchObject({ round: 2, amount: AMOUNT });
  expect(second.refundId).not.toBe(first.refundId);
  expect(await books()).toEqual([BOTH]);
  expect(await ledger()).toMatchObject([BOTH]);
  expect(await rounds()).toEqual([
    { round: 1, accepted: true, failed: true },
    { round: 2, accepted: true, failed: false },
  ]);
});

test("takes the failed round out of our books before the provider is asked for the next", async () => {
  const { refund, pass, books, provider, rounds } = await setup();
  await refund(1);
  await pass(1_000);
  provider.before = async () => Promise.reject(new Error("the process died"));
  await expect(refund(2)).rejects.toThrow("the process died");
  expect(await books()).toEqual([HELD]);
  expect(await rounds()).toMatchObject([{ failed: true }, { round: 2, accepted: false, failed: false }]);
});

test("an old round that is repeated answers with the refund that stands, and moves nothing", async () => {
  const { refund, pass, books, ledger, rounds } = await setup();
  await refund(1);
  await pass(1_000);
  const second = await refund(2);
  expect(await refund(1)).toEqual(second);
  expect(await refund(2)).toEqual(second);
  expect(await rounds()).toHaveLength(2);
  expect(await books()).toEqual([BOTH]);
  expect(await ledger()).toMatchObject([BOTH]);
});

test("an old round whose answer comes after the next one began counts nothing", async () => {
  const { refund, pass, books, provider, restarted, call } = await setup();
  provider.after = async () => {
    provider.after = async () => undefined;
    await pass(1_000);
    await restarted().refundCapture(call(2));
  };
  await refund(1);
  expect(await books()).toEqual([BOTH]);
});

test("a refund that failed before we heard of its acceptance goes on under the next key by itself", async () => {
  const { refund, pass, books, ledger, provider } = await setup();
  provider.after = async () => Promise.reject(new Error("the answer was lost"));
  await expect(refund(1)).rejects.toThrow("the answer was lost");
  provider.after = async () => undefined;
  await pass(1_000);
  expect(await refund(1)).toMatchObject({ round: 2 });
  expect(await books()).toEqual([BOTH]);
  expect(await ledger()).toMatchObject([BOTH]);
});

test("goes on with the next key also when it crashed on the way there", async () => {
  const { refund, pass, ledger, provider } = await setup();
  provider.after = async () => Promise.reject(new Error("the answer was lost"));
  await expect(refund(1)).rejects.toThrow("the answer was lost");
  provider.after = async () => undefined;
  await pass(1_000);
  let asked = 0;
  provider.before = async () => (++asked === 2 ? Promise.reject(new Error("the process died")) : undefined);
  await expect(refund(1)).rejects.toThrow("the process died");
  expect(await ledger()).toMatchObject([HELD]);
  expect(await refund(1)).toMatchObject({ round: 2 });
  expect(await ledger()).toMatchObject([BOTH]);
});

test("a refund that the provider told us failed, and still calls accepted, is asked for again later", async () => {
  const { payments, call, undo, pass, ledger } = await setup();
  const first = await payments.refundCapture(call(1));
  const told = { ...call(2).owed, failedRefundIds: [first.providerRefundId ?? ""] };
  const again = { ...call(2), owed: told };
  await expect(payments.refundCapture(again)).rejects.toMatchObject({ code: "REFUND_FAILED", class: "TRANSIENT" });
  await expect(payments.reversePaymentRequest({ ...undo, owed: [told] })).rejects.toMatchObject({ code: "REFUND_FAILED" });
  await pass(1_000);
  expect(await payments.refundCapture(again)).toMatchObject({ round: 2 });
  expect(await ledger()).toMatchObject([BOTH]);
});

test.each(["refund", "reversal", "reversal whose reads lag behind"])(
  "the failure of a second refund that nobody heard of, told before the first one's: a third is made by the %s",
  async (how) => {
    const { payments, provider, call, undo, refund, bounce, freezeReads, ledger } = await setup();
    provider.after = async () => Promise.reject(new Error("the answer was lost"));
    await expect(refund(1)).rejects.toThrow("the answer was lost");
    provider.after = async () => undefined;
    await bounce();
    // Accepted in our records; the process dies before the checkout hears of it.
    expect(await refund(1)).toMatchObject({ round: 2 });
    if (how === "reversal whose reads lag behind") await freezeReads();
    const owed = { ...call(2).owed, failedRefundIds: [await bounce()] };
    const given =
      how === "refund"
        ? [await payments.refundCapture({ ...call(2), owed })]
        : (await payments.reversePaymentRequest({ ...undo, owed: [owed] })).refunds;
    expect(given).toMatchObject([{ round: 3 }]);
    expect(await ledger()).toMatchObject([BOTH]);
  },
);

test("refunds that fail at once: each try goes on from the highest round, begins one more, and leaves the rest to the next", async () => {
  const { provider, refund, call, rounds, books, ledger } = await setup();
  const real = provider.refund;
  const asked: string[] = [];
  provider.refund = async ({ key }) => {
    asked.push(key);
    return { refundId: `re_${key}`, status: "failed" };
  };
  for (let round = 1; round <= 10; round++) {
    await expect(refund(1)).rejects.toMatchObject({ code: "REFUND_FAILED", class: "TRANSIENT" });
    expect(asked.splice(0)).toEqual([call(round).key, call(round + 1).key]);
  }
  expect(await rounds()).toHaveLength(11);
  expect(await books()).toEqual([HELD]);
  provider.refund = real;
  expect(await refund(1)).toMatchObject({ round: 11 });
  expect(await ledger()).toMatchObject([BOTH]);
  expect(await books()).toEqual([BOTH]);
});

test("begins no further round once its signal is aborted", async () => {
  const { payments, provider, call, rounds } = await setup();
  const abort = new AbortController();
  provider.refund = async () => {
    abort.abort(new Error("the step's time is over"));
    return { refundId: "re_1", status: "failed" };
  };
  await expect(payments.refundCapture({ ...call(1), signal: abort.signal })).rejects.toThrow("the step's time is over");
  expect(await rounds()).toHaveLength(1);
});

test("a key that answered with an earlier refund, and makes one of its own once that failed: the newest id counts", async () => {
  const { refund, reverse, bounce, books, ledger } = await setup();
  const first = await refund(1);
  expect(await refund(2)).toMatchObject({ providerRefundId: first.providerRefundId });
  await bounce();
  const { refunds } = await reverse();
  expect(refunds).toMatchObject([{ round: 2 }]);
  expect(refunds[0]?.providerRefundId).not.toBe(first.providerRefundId);
  expect(await books()).toEqual([BOTH]);
  expect(await ledger()).toMatchObject([BOTH]);
});

test("a reversal gives back under the round that is owed, and reports the standing refund alone", async () => {
  const { reverse, refund, pass, pcrId, ledger, books } = await setup();
  await refund(1);
  await pass(1_000);
  const reversal = await reverse(2);
  expect(reversal).toMatchObject({ pcrId, refunds: [{ round: 2, reason: "LATE" }] });
  expect(reversal.refunds).toHaveLength(1);
  expect(await ledger()).toMatchObject([BOTH]);
  expect(await books()).toEqual([BOTH]);
  // The input of an undo that was persisted before the failure was heard of, tried once more.
  expect(await reverse(1)).toEqual(reversal);
  expect(await reverse()).toEqual(reversal);
  expect(await ledger()).toMatchObject([BOTH]);
});

test("a reversal gives back what the provider holds and nobody told us of as round 1", async () => {
  const { reverse, rounds } = await setup();
  expect((await reverse()).refunds).toMatchObject([{ round: 1, reason: "ROLLBACK" }]);
  expect(await rounds()).toEqual([{ round: 1, accepted: true, failed: false }]);
});

test("a reversal of nothing names no payment request", async () => {
  const { payments, undo } = openPaymentDesk(database, ids, "ins_sync_ok");
  expect(await payments.reversePaymentRequest(undo)).toEqual({ pcrId: null, refunds: [] });
});

test("the database refuses a round below the first", async () => {
  const { refund, executionContextId } = await setup();
  await refund(1);
  const broken = database.rows("update checkoutd.payment_refunds set round = 0 where context_id = $1", [executionContextId]);
  await expect(broken).rejects.toThrow(/check constraint/);
});
