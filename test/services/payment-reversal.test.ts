import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { OwedRefund } from "../../machines/context.ts";
import { refundKey } from "../../machines/keys.ts";
import { owedFor } from "../../machines/payment.ts";
import type { Database } from "../../persistence/connect.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { countingIds } from "../support/ports.ts";
import { gate, openPaymentDesk, successEvent } from "../support/payment-desk.ts";

let database: Database;
const ids = countingIds();

beforeAll(async () => {
  database = await openMemoryDatabase();
});
afterAll(() => database.close());

const setup = (instrumentId: string, amount?: number) => openPaymentDesk(database, ids, instrumentId, amount);
const refundCall = (executionContextId: string, pcrId: string, owed: OwedRefund) => ({
  executionContextId,
  key: refundKey(executionContextId, owed.pspReference, owed.round),
  pcrId,
  owed,
});
const crash = (where: string) => (operation: string) =>
  operation === where ? Promise.reject(new Error("the process died")) : Promise.resolve();

describe("reversePaymentRequest", () => {
  test("gives back what was captured, and a second time changes nothing", async () => {
    const { payments, request, undo, restarted, ledger, books } = setup("ins_sync_ok");
    await payments.createPaymentRequest(request);
    const first = await payments.reversePaymentRequest(undo);
    expect(first.refunds).toMatchObject([{ amount: 249900, currency: "INR", reason: "ROLLBACK" }]);
    expect(await restarted().reversePaymentRequest(undo)).toEqual(first);
    expect(await ledger()).toMatchObject([{ captured: 249900, refunded: 249900 }]);
    expect(await books()).toEqual([{ captured: 249900, refunded: 249900 }]);
  });

  test("cancels what waits for the customer", async () => {
    const { payments, request, undo, ledger } = setup("ins_async");
    await payments.createPaymentRequest(request);
    expect(await payments.reversePaymentRequest(undo)).toMatchObject({ refunds: [] });
    expect(await ledger()).toMatchObject([{ status: "cancelled", captured: 0 }]);
  });

  test.each([
    ["the provider's answer to the charge was lost", "after", "confirm"],
    ["the charge was created but never confirmed", "after", "create"],
    ["the provider was never called", "before", "create"],
  ] as const)("works by the key alone when %s", async (_, when, where) => {
    const { payments, provider, request, undo, restarted, net } = setup("ins_sync_ok");
    provider[when] = crash(where);
    await expect(payments.createPaymentRequest(request)).rejects.toThrow("the process died");
    await restarted().reversePaymentRequest(undo);
    expect(await net()).toBe(0);
    await expect(restarted().createPaymentRequest(request)).rejects.toMatchObject({ code: "UNDONE" });
    expect(await net()).toBe(0);
  });

  test("gives back a charge whose reply never arrived", async () => {
    const { payments, request, undo, net } = setup("ins_reply_lost");
    await expect(payments.createPaymentRequest(request)).rejects.toMatchObject({ class: "TRANSIENT" });
    expect((await payments.reversePaymentRequest(undo)).refunds).toHaveLength(1);
    expect(await net()).toBe(0);
  });

  test("an undo of nothing leaves a tombstone: the delayed original is refused and nothing is charged", async () => {
    const { payments, request, undo, ledger } = setup("ins_sync_ok");
    expect(await payments.reversePaymentRequest(undo)).toMatchObject({ refunds: [] });
    await expect(payments.createPaymentRequest(request)).rejects.toMatchObject({ class: "TERMINAL", code: "UNDONE" });
    expect(await ledger()).toEqual([]);
  });

  test.each(["create", "confirm"])(
    "an original that hangs before the provider's %s is refused when it wakes up after the undo",
    async (where) => {
      const { payments, provider, request, undo, restarted, net } = setup("ins_sync_ok");
      const hang = gate();
      provider.before = async (operation) => {
        if (operation === where) await hang.pass();
      };
      const original = Promise.allSettled([payments.createPaymentRequest(request)]);
      await hang.reached;
      await restarted().reversePaymentRequest(undo);
      hang.open();
      expect(await original).toMatchObject([{ status: "rejected", reason: { code: "UNDONE" } }]);
      expect(await net()).toBe(0);
    },
  );

  test.each(["ins_sync_ok", "ins_reply_lost", "ins_flaky", "ins_down", "ins_async", "ins_decline"])(
    "holds nothing of %s, however original, retry and undo interleave",
    async (instrumentId) => {
      const desks = Array.from({ length: 8 }, () => setup(instrumentId));
      await Promise.all(
        desks.map(async ({ payments, provider, request, undo, restarted }, index) => {
          const hang = gate();
          // Each desk lets the undo in at another of the original's calls.
          provider.after = async () => (provider.calls.length > index % 3 ? hang.pass() : undefined);
          const original = payments.createPaymentRequest(request);
          const both = Promise.allSettled([original, restarted().createPaymentRequest(request)]);
          await Promise.race([hang.reached, both]);
          const reversal = restarted().reversePaymentRequest(undo);
          hang.open();
          await Promise.all([both, reversal]);
        }),
      );
      expect(await Promise.all(desks.map(({ net }) => net()))).toEqual(desks.map(() => 0));
    },
  );

  test("refuses another attempt afterwards, also one that was opened before", async () => {
    const { payments, request, undo, attempt, net } = setup("ins_async");
    const { pcrId } = await payments.createPaymentRequest(request);
    const opened = attempt(pcrId, 2, "ins_flaky");
    await expect(payments.createPaymentAttempt(opened)).rejects.toMatchObject({ class: "TRANSIENT" });
    await payments.reversePaymentRequest(undo);
    await expect(payments.createPaymentAttempt(opened)).rejects.toMatchObject({ code: "UNDONE" });
    await expect(payments.createPaymentAttempt(attempt(pcrId, 3, "ins_sync_ok"))).rejects.toMatchObject({ code: "UNDONE" });
    expect(await net()).toBe(0);
  });

  test("gives back every capture of every attempt, each with the reason that it is owed for", async () => {
    const { payments, simulator, request, undo, attempt, net } = setup("ins_async");
    const first = await payments.createPaymentRequest(request);
    await payments.createPaymentAttempt(attempt(first.pcrId, 2, "ins_sync_ok"));
    await simulator.recordAuthenticatedSuccess(successEvent(first.pcrId, "psp_dup", 249900, first.attemptId));
    const owed = [owedFor({ pspReference: "psp_dup", amount: 249900, currency: "INR" }, "DUPLICATE")];
    const { refunds } = await payments.reversePaymentRequest({ ...undo, owed });
    expect(refunds.map(({ reason }) => reason).sort()).toEqual(["DUPLICATE", "ROLLBACK"]);
    expect(await net()).toBe(0);
  });

  test("leaves what an operator gave back by hand at the provider, and gives back the rest", async () => {
    const { payments, simulator, request, undo, net } = setup("ins_sync_ok");
    const first = await payments.createPaymentRequest(request);
    await simulator.recordAuthenticatedSuccess(successEvent(first.pcrId, "psp_by_hand", 111, first.attemptId));
    const { refunds } = await payments.reversePaymentRequest({ ...undo, byHand: ["psp_by_hand"] });
    expect(refunds.map(({ amount }) => amount)).toEqual([request.amount]);
    expect(await net()).toBe(111);
  });

  test("a capture that lands while it looks is given back as well", async () => {
    const { payments, provider, simulator, request, undo, net } = setup("ins_sync_ok");
    const { pcrId } = await payments.createPaymentRequest(request);
    provider.before = async (operation) => {
      if (operation === "refund") await simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_while_refunding"));
    };
    expect((await payments.reversePaymentRequest(undo)).refunds).toHaveLength(2);
    expect(await net()).toBe(0);
  });

  test("a capture that lands after it is given back by the next reversal", async () => {
    const { payments, simulator, request, undo, net } = setup("ins_async");
    const { pcrId } = await payments.createPaymentRequest(request);
    await payments.reversePaymentRequest(undo);
    await simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_too_late"));
    expect((await payments.reversePaymentRequest(undo)).refunds).toMatchObject([{ pspReference: "psp_too_late" }]);
    expect(await net()).toBe(0);
  });

  test("goes on after a crash in the middle of a refund, which is made once", async () => {
    const { payments, provider, request, undo, restarted, ledger, books } = setup("ins_sync_ok");
    await payments.createPaymentRequest(request);
    provider.after = crash("refund");
    await expect(payments.reversePaymentRequest(undo)).rejects.toThrow("the process died");
    expect((await restarted().reversePaymentRequest(undo)).refunds).toHaveLength(1);
    expect(await books()).toEqual([{ captured: 249900, refunded: 249900 }]);
    expect(await ledger()).toMatchObject([{ captured: 249900, refunded: 249900 }]);
  });

  test("a second time it gives back anew what the bank sent back and no event told of", async () => {
    const { payments, request, undo, bounce, net, books } = setup("ins_sync_ok");
    await payments.createPaymentRequest(request);
    const [first] = (await payments.reversePaymentRequest(undo)).refunds;
    expect(await bounce()).toBe(first?.providerRefundId);
    const { refunds } = await payments.reversePaymentRequest(undo);
    expect(refunds).toMatchObject([{ round: 2, reason: "ROLLBACK" }]);
    expect(await net()).toBe(0);
    expect(await books()).toEqual([{ captured: 249900, refunded: 249900 }]);
  });

  test("believes the provider's answer to a refund, though its reads that lag behind show the money as held", async () => {
    const { payments, request, undo, freezeReads, net, books } = setup("ins_sync_ok");
    await payments.createPaymentRequest(request);
    await freezeReads();
    const first = await payments.reversePaymentRequest(undo);
    expect(first.refunds).toMatchObject([{ round: 1 }]);
    expect(await payments.reversePaymentRequest(undo)).toEqual(first);
    expect(await net()).toBe(0);
    expect(await books()).toEqual([{ captured: 249900, refunded: 249900 }]);
  });

  test("does not claim to be done while the provider can't be asked", async () => {
    const { payments, provider, request, undo } = setup("ins_async");
    await payments.createPaymentRequest(request);
    provider.before = crash("cancel");
    await expect(payments.reversePaymentRequest(undo)).rejects.toThrow("the process died");
    provider.before = async () => undefined;
    expect(await payments.reversePaymentRequest(undo)).toMatchObject({ refunds: [] });
  });
});

describe("refundCapture", () => {
  async function captured() {
    const desk = setup("ins_sync_ok");
    const { pcrId, outcome } = await desk.payments.createPaymentRequest(desk.request);
    if (outcome.kind !== "captured") throw new Error("expected a capture");
    const owed = owedFor(outcome, "LATE");
    return { ...desk, call: refundCall(desk.executionContextId, pcrId, owed) };
  }

  test("refunds once, however often it is asked", async () => {
    const { payments, restarted, call, ledger, books } = await captured();
    const refund = await payments.refundCapture(call);
    expect(refund).toMatchObject({ amount: 249900, reason: "LATE", pspReference: call.owed.pspReference });
    expect(await restarted().refundCapture(call)).toEqual(refund);
    expect(await Promise.all([payments.refundCapture(call), payments.refundCapture(call)])).toEqual([refund, refund]);
    expect(await ledger()).toMatchObject([{ captured: 249900, refunded: 249900 }]);
    expect(await books()).toEqual([{ captured: 249900, refunded: 249900 }]);
  });

  test("two at the same time are one refund", async () => {
    const { payments, restarted, call, books, net } = await captured();
    const [left, right] = await Promise.all([payments.refundCapture(call), restarted().refundCapture(call)]);
    expect(left).toEqual(right);
    expect(await books()).toEqual([{ captured: 249900, refunded: 249900 }]);
    expect(await net()).toBe(0);
  });

  test("refunded already, by somebody at the provider, is a success", async () => {
    const { payments, simulator, call, ledger } = await captured();
    await simulator.refund({ key: "by hand", pcrId: call.pcrId, pspReference: call.owed.pspReference });
    expect(await payments.refundCapture(call)).toMatchObject({ amount: 249900 });
    expect(await ledger()).toMatchObject([{ refunded: 249900 }]);
  });

  test("a lost answer is asked for again under the same key", async () => {
    const { payments, provider, restarted, call, ledger, books } = await captured();
    provider.after = crash("refund");
    await expect(payments.refundCapture(call)).rejects.toThrow("the process died");
    expect(await books()).toEqual([{ captured: 249900, refunded: 0 }]);
    await restarted().refundCapture(call);
    expect(await ledger()).toMatchObject([{ refunded: 249900 }]);
    expect(await books()).toEqual([{ captured: 249900, refunded: 249900 }]);
  });

  test("a reversal afterwards doesn't refund again", async () => {
    const { payments, call, undo, ledger } = await captured();
    const refund = await payments.refundCapture(call);
    expect(await payments.reversePaymentRequest(undo)).toEqual({ pcrId: call.pcrId, refunds: [refund] });
    expect(await ledger()).toMatchObject([{ refunded: 249900 }]);
  });

  test("a capture that the provider doesn't know is a terminal error: an operator must look", async () => {
    const { payments, call, executionContextId } = await captured();
    const invented = refundCall(executionContextId, call.pcrId, { ...call.owed, pspReference: "psp_invented" });
    await expect(payments.refundCapture(invented)).rejects.toMatchObject({ class: "TERMINAL", code: "CAPTURE_UNKNOWN" });
  });

  test.each([
    "payment_collection_requirements set refunded_amount = captured_amount + 1",
    "payment_captures set refunded_amount = amount + 1",
    "payment_captures set refunded_amount = -1",
    "provider_charges set refunded_amount = captured_amount + 1",
    "provider_captures set refunded_amount = amount + 1",
  ])("the database refuses: update %s", async (update) => {
    const { executionContextId } = await captured();
    const broken = database.rows(`update checkoutd.${update} where context_id = $1`, [executionContextId]);
    await expect(broken).rejects.toThrow(/check constraint/);
  });
});
