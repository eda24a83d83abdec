import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { countingIds } from "../support/ports.ts";
import { openPaymentDesk, successEvent } from "../support/payment-desk.ts";

let database: Database;
const ids = countingIds();

beforeAll(async () => {
  database = await openMemoryDatabase();
});
afterAll(() => database.close());

const setup = (instrumentId: string, amount?: number) => openPaymentDesk(database, ids, instrumentId, amount);
const crash = (where: string) => (operation: string) =>
  operation === where ? Promise.reject(new Error("the process died")) : Promise.resolve();

describe("createPaymentRequest", () => {
  test("captures at once, and the same key again is the same capture and one charge", async () => {
    const { payments, request, restarted, ledger, books } = setup("ins_sync_ok");
    const first = await payments.createPaymentRequest(request);
    expect(first.outcome).toMatchObject({ kind: "captured", amount: 249900, currency: "INR" });
    expect(await payments.createPaymentRequest(request)).toEqual(first);
    expect(await restarted().createPaymentRequest(request)).toEqual(first);
    expect(await ledger()).toMatchObject([{ captured: 249900, refunded: 0, status: "captured" }]);
    expect(await books()).toEqual([{ captured: 249900, refunded: 0 }]);
  });

  test("the same key at the same time on two nodes is one charge", async () => {
    const { payments, request, restarted, ledger } = setup("ins_sync_ok");
    const [left, right] = await Promise.all([payments.createPaymentRequest(request), restarted().createPaymentRequest(request)]);
    expect(left).toEqual(right);
    expect(await ledger()).toMatchObject([{ captured: 249900 }]);
  });

  test.each(["create", "confirm"])(
    "a crash after the provider's %s and before our record is repeated into the same capture",
    async (where) => {
      const { payments, provider, request, restarted, ledger } = setup("ins_sync_ok");
      provider.after = crash(where);
      await expect(payments.createPaymentRequest(request)).rejects.toThrow("the process died");
      const [before] = await ledger();
      const attempt = await restarted().createPaymentRequest(request);
      expect(attempt.outcome).toMatchObject({ kind: "captured", pspReference: before?.chargeId });
      expect(await ledger()).toMatchObject([{ captured: 249900 }]);
    },
  );

  test("a crash before the provider was called is repeated into one charge", async () => {
    const { payments, provider, request, restarted, ledger } = setup("ins_sync_ok");
    provider.before = crash("create");
    await expect(payments.createPaymentRequest(request)).rejects.toThrow("the process died");
    expect(await ledger()).toEqual([]);
    await restarted().createPaymentRequest(request);
    expect(await ledger()).toMatchObject([{ captured: 249900 }]);
  });

  test("a lost reply is a transient error, and its repetition finds the charge that was made", async () => {
    const { payments, request, ledger } = setup("ins_reply_lost");
    await expect(payments.createPaymentRequest(request)).rejects.toMatchObject({ class: "TRANSIENT", code: "PROVIDER_TIMEOUT" });
    const [charge] = await ledger();
    expect(charge).toMatchObject({ captured: 249900 });
    const attempt = await payments.createPaymentRequest(request);
    expect(attempt.outcome).toMatchObject({ kind: "captured", pspReference: charge?.chargeId });
    expect(await ledger()).toHaveLength(1);
  });

  test("a flaky instrument fails twice, over a restart, then succeeds", async () => {
    const { payments, request, restarted, net } = setup("ins_flaky");
    await expect(payments.createPaymentRequest(request)).rejects.toMatchObject({ class: "TRANSIENT" });
    await expect(restarted().createPaymentRequest(request)).rejects.toMatchObject({ class: "TRANSIENT" });
    expect((await restarted().createPaymentRequest(request)).outcome.kind).toBe("captured");
    expect(await net()).toBe(249900);
  });

  test("a provider that is down is a transient error for ever, and can be undone", async () => {
    const { payments, request, undo, net } = setup("ins_down");
    for (let tries = 0; tries < 4; tries++) {
      await expect(payments.createPaymentRequest(request)).rejects.toMatchObject({ code: "PROVIDER_UNAVAILABLE" });
    }
    expect(await payments.reversePaymentRequest(undo)).toMatchObject({ refunds: [] });
    expect(await net()).toBe(0);
  });

  test("a decline is an outcome, the same for a repetition", async () => {
    const { payments, request } = setup("ins_decline");
    const declined = await payments.createPaymentRequest(request);
    expect(declined.outcome).toEqual({ kind: "declined", code: "CARD_DECLINED" });
    expect(await payments.createPaymentRequest(request)).toEqual(declined);
  });

  test("asks for an action that ends at the payment's deadline", async () => {
    const { payments, request } = setup("ins_async");
    const { outcome } = await payments.createPaymentRequest(request);
    expect(outcome).toEqual({ kind: "pending", nextAction: { type: "UPI_COLLECT", expiresAt: request.dueAt } });
  });

  test("nothing to pay is captured without the provider, and its undo gives nothing back", async () => {
    const { payments, provider, request, undo, executionContextId } = setup("ins_down", 0);
    const attempt = await payments.createPaymentRequest(request);
    expect(attempt.outcome).toMatchObject({ kind: "captured", amount: 0, currency: "INR" });
    expect(await payments.createPaymentRequest(request)).toEqual(attempt);
    const report = await payments.getPaymentStatus({ executionContextId, pcrId: attempt.pcrId });
    expect(report).toMatchObject({ attemptId: attempt.attemptId, outcome: attempt.outcome });
    expect(await payments.reversePaymentRequest(undo)).toMatchObject({ refunds: [] });
    expect(provider.calls).toEqual([]);
  });

  test("an instrument that nobody knows is a terminal error, and can be undone", async () => {
    const { payments, request, undo, ledger } = setup("ins_from_elsewhere");
    await expect(payments.createPaymentRequest(request)).rejects.toMatchObject({ class: "TERMINAL", code: "INSTRUMENT_UNKNOWN" });
    expect(await payments.reversePaymentRequest(undo)).toMatchObject({ refunds: [] });
    expect(await ledger()).toEqual([]);
  });

  test("refuses a second payment request of the same checkout under another key", async () => {
    const { payments, request, ledger } = setup("ins_sync_ok");
    await payments.createPaymentRequest(request);
    await expect(payments.createPaymentRequest({ ...request, key: `${request.key}:other` })).rejects.toMatchObject({
      code: "PCR_EXISTS",
    });
    expect(await ledger()).toHaveLength(1);
  });

  test("stops before it charges when the checkout no longer waits", async () => {
    const { payments, provider, request, net } = setup("ins_sync_ok");
    const abort = new AbortController();
    provider.after = async () => abort.abort();
    await expect(payments.createPaymentRequest({ ...request, signal: abort.signal })).rejects.toMatchObject({
      name: "AbortError",
    });
    expect(await net()).toBe(0);
  });
});

describe("createPaymentAttempt", () => {
  test("cancels the open attempt first, then charges on the same PCR, once", async () => {
    const { payments, request, attempt, ledger } = setup("ins_async");
    const first = await payments.createPaymentRequest(request);
    const second = await payments.createPaymentAttempt(attempt(first.pcrId, 2, "ins_sync_ok"));
    expect(second).toMatchObject({ pcrId: first.pcrId, outcome: { kind: "captured" } });
    expect(second.attemptId).not.toBe(first.attemptId);
    expect(await payments.createPaymentAttempt(attempt(first.pcrId, 2, "ins_sync_ok"))).toEqual(second);
    expect(await ledger()).toMatchObject([
      { status: "cancelled", captured: 0 },
      { status: "captured", captured: 249900 },
    ]);
  });

  test("follows a decline", async () => {
    const { payments, request, attempt, net } = setup("ins_decline");
    const { pcrId } = await payments.createPaymentRequest(request);
    expect((await payments.createPaymentAttempt(attempt(pcrId, 2, "ins_decline"))).outcome.kind).toBe("declined");
    expect((await payments.createPaymentAttempt(attempt(pcrId, 3, "ins_sync_ok"))).outcome.kind).toBe("captured");
    expect(await net()).toBe(249900);
  });

  test("makes no attempt when the open one was captured meanwhile: that capture is the outcome", async () => {
    const { payments, simulator, request, attempt, ledger } = setup("ins_async");
    const first = await payments.createPaymentRequest(request);
    await simulator.recordAuthenticatedSuccess(successEvent(first.pcrId, "psp_meanwhile"));
    const second = await payments.createPaymentAttempt(attempt(first.pcrId, 2, "ins_sync_ok"));
    expect(second).toMatchObject({ attemptId: first.attemptId, outcome: { kind: "captured", pspReference: "psp_meanwhile" } });
    expect(await payments.createPaymentAttempt(attempt(first.pcrId, 2, "ins_sync_ok"))).toEqual(second);
    expect(await ledger()).toHaveLength(1);
  });

  test("a capture of another amount is not an outcome that stands in its way", async () => {
    const { payments, simulator, request, attempt } = setup("ins_async");
    const { pcrId } = await payments.createPaymentRequest(request);
    await simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_short", 100));
    const second = await payments.createPaymentAttempt(attempt(pcrId, 2, "ins_sync_ok"));
    expect(second.outcome).toMatchObject({ kind: "captured", amount: 249900 });
  });

  test("a lost reply is repeated under the same key into the same capture", async () => {
    const { payments, request, attempt, ledger } = setup("ins_async");
    const { pcrId } = await payments.createPaymentRequest(request);
    const call = attempt(pcrId, 2, "ins_reply_lost");
    await expect(payments.createPaymentAttempt(call)).rejects.toMatchObject({ class: "TRANSIENT" });
    expect((await payments.createPaymentAttempt(call)).outcome.kind).toBe("captured");
    expect((await ledger()).map(({ captured }) => captured)).toEqual([0, 249900]);
  });
});

describe("recordSettlement", () => {
  test("cancels the attempt that is still pending when an earlier one succeeded late", async () => {
    const { payments, simulator, request, attempt, executionContextId, ledger, pass, net } = setup("ins_async");
    const first = await payments.createPaymentRequest(request);
    await payments.createPaymentAttempt(attempt(first.pcrId, 2, "ins_async_ok"));
    await simulator.recordAuthenticatedSuccess(successEvent(first.pcrId, "psp_late", 249900, first.attemptId));
    const call = { executionContextId, key: `${executionContextId}:STEP_9`, pcrId: first.pcrId };
    await payments.recordSettlement(call);
    await payments.recordSettlement(call);
    expect(await ledger()).toMatchObject([
      { status: "captured", captured: 249900, refunded: 0 },
      { status: "cancelled", captured: 0 },
    ]);
    expect(await attempts(executionContextId)).toEqual(["CAPTURED", "CANCELLED"]);
    await pass(10_000);
    expect(await net()).toBe(249900);
  });

  test("closes an attempt of which it isn't known whether a charge exists: its delayed original takes nothing", async () => {
    const { payments, provider, simulator, request, attempt, executionContextId, restarted, net } = setup("ins_async");
    const first = await payments.createPaymentRequest(request);
    const second = attempt(first.pcrId, 2, "ins_sync_ok");
    provider.before = crash("create");
    await expect(payments.createPaymentAttempt(second)).rejects.toThrow("the process died");
    await simulator.recordAuthenticatedSuccess(successEvent(first.pcrId, "psp_late", 249900, first.attemptId));
    await restarted().recordSettlement({ executionContextId, key: "k", pcrId: first.pcrId });
    await restarted().createPaymentAttempt(second);
    expect(await net()).toBe(249900);
  });

  test("asks the provider for nothing when every attempt is known to be captured", async () => {
    const { payments, provider, request, executionContextId } = setup("ins_sync_ok");
    const { pcrId } = await payments.createPaymentRequest(request);
    const calls = provider.calls.length;
    await payments.recordSettlement({ executionContextId, key: "k", pcrId });
    expect(provider.calls).toHaveLength(calls);
  });

  test("has nothing to cancel where nothing was to pay", async () => {
    const { payments, provider, request, executionContextId } = setup("ins_down", 0);
    const { pcrId } = await payments.createPaymentRequest(request);
    await payments.recordSettlement({ executionContextId, key: "k", pcrId });
    expect(provider.calls).toEqual([]);
    expect(await attempts(executionContextId)).toEqual(["CAPTURED"]);
  });

  async function attempts(executionContextId: string): Promise<readonly string[]> {
    const rows = await database.rows<{ status: string }>(
      "select status from checkoutd.payment_attempts where context_id = $1 order by round",
      [executionContextId],
    );
    return rows.map(({ status }) => status);
  }
});

describe("a success that is faster than the answer to the charge", () => {
  /** The payment request exists, its charge doesn't: the process died before the provider heard of it. */
  async function uncharged(instrumentId: string) {
    const desk = setup(instrumentId);
    desk.provider.before = crash("create");
    await expect(desk.payments.createPaymentRequest(desk.request)).rejects.toThrow("the process died");
    const [row] = await database.rows<{ id: string }>(
      "select id from checkoutd.payment_collection_requirements where context_id = $1",
      [desk.executionContextId],
    );
    const pcrId = row?.id ?? "";
    const isBooked = await desk.simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_early"));
    expect(isBooked).toBe(false);
    await desk.simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_early"));
    return { ...desk, pcrId, payments: desk.restarted() };
  }

  test("is the outcome of the charge, which takes nothing more", async () => {
    const { payments, request, net, ledger } = await uncharged("ins_sync_ok");
    const { outcome } = await payments.createPaymentRequest(request);
    expect(outcome).toEqual({ kind: "captured", pspReference: "psp_early", amount: 249900, currency: "INR" });
    expect(await net()).toBe(249900);
    expect(await ledger()).toMatchObject([{ status: "captured", authorised: 249900, captures: [{ pspReference: "psp_early" }] }]);
  });

  test.each(["getPaymentStatus", "cancelIfPending"] as const)("is seen by %s", async (operation) => {
    const { payments, executionContextId, pcrId } = await uncharged("ins_async");
    const report = await payments[operation]({ executionContextId, key: "k", pcrId });
    expect(report.outcome).toMatchObject({ kind: "captured", pspReference: "psp_early" });
    expect(report.captures).toHaveLength(1);
  });

  test("is not cancelled by the settlement", async () => {
    const { payments, executionContextId, pcrId, ledger } = await uncharged("ins_async");
    await payments.recordSettlement({ executionContextId, key: "k", pcrId });
    expect(await ledger()).toMatchObject([{ status: "captured", captured: 249900 }]);
  });

  test("is given back by the reversal", async () => {
    const { payments, undo, net, ledger } = await uncharged("ins_async");
    expect((await payments.reversePaymentRequest(undo)).refunds).toMatchObject([{ pspReference: "psp_early" }]);
    expect(await ledger()).toMatchObject([{ captured: 249900, refunded: 249900 }]);
    expect(await net()).toBe(0);
  });

  test("can be refunded before there is a charge, and the charge then shows it", async () => {
    const { payments, simulator, request, pcrId, ledger, executionContextId } = await uncharged("ins_async");
    await simulator.refund({ key: "k", pcrId, pspReference: "psp_early" });
    await payments.createPaymentRequest(request);
    expect(await ledger()).toMatchObject([{ captured: 249900, refunded: 249900 }]);
    const report = await payments.getPaymentStatus({ executionContextId, pcrId });
    expect(report.outcome).toEqual({ kind: "cancelled" });
  });
});

describe("asking and cancelling", () => {
  test("reports what is pending, and after the cancellation that it is cancelled", async () => {
    const { payments, request, executionContextId } = setup("ins_async");
    const { pcrId, attemptId } = await payments.createPaymentRequest(request);
    const query = { executionContextId, pcrId };
    expect(await payments.getPaymentStatus(query)).toMatchObject({ attemptId, outcome: { kind: "pending" }, captures: [] });
    const cancelled = { attemptId, outcome: { kind: "cancelled" }, captures: [] };
    expect(await payments.cancelIfPending({ ...query, key: "k" })).toEqual(cancelled);
    expect(await payments.cancelIfPending({ ...query, key: "k" })).toEqual(cancelled);
    expect(await payments.getPaymentStatus(query)).toEqual(cancelled);
  });

  test("finds a capture whose event was lost, instead of cancelling it", async () => {
    const { payments, simulator, request, executionContextId, net } = setup("ins_async");
    const { pcrId } = await payments.createPaymentRequest(request);
    await simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_lost_event"));
    const report = await payments.cancelIfPending({ executionContextId, key: "k", pcrId });
    expect(report.outcome).toMatchObject({ kind: "captured", pspReference: "psp_lost_event" });
    expect(await net()).toBe(249900);
  });

  test("a capture during the cancellation is either reported or refused, never lost", async () => {
    const { payments, provider, simulator, request, executionContextId } = setup("ins_async");
    const { pcrId } = await payments.createPaymentRequest(request);
    provider.before = async (operation) => {
      if (operation === "cancel") await simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_in_between"));
    };
    const report = await payments.cancelIfPending({ executionContextId, key: "k", pcrId });
    expect(report.outcome).toMatchObject({ kind: "captured", pspReference: "psp_in_between" });
  });

  test("a capture outweighs the failure of another attempt, and all captures are listed", async () => {
    const { payments, simulator, request, attempt, executionContextId } = setup("ins_async");
    const first = await payments.createPaymentRequest(request);
    await payments.createPaymentAttempt(attempt(first.pcrId, 2, "ins_decline"));
    await simulator.recordAuthenticatedSuccess(successEvent(first.pcrId, "psp_late", 249900, first.attemptId));
    await simulator.recordAuthenticatedSuccess(successEvent(first.pcrId, "psp_other", 5, first.attemptId));
    const report = await payments.getPaymentStatus({ executionContextId, pcrId: first.pcrId });
    expect(report).toMatchObject({ attemptId: first.attemptId, outcome: { kind: "captured", pspReference: "psp_late" } });
    expect(report.captures.map(({ pspReference }) => pspReference).sort()).toEqual(["psp_late", "psp_other"]);
  });

  test("a capture of another amount never counts as paid", async () => {
    const { payments, simulator, request, executionContextId } = setup("ins_async");
    const { pcrId } = await payments.createPaymentRequest(request);
    await simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_more", 249901));
    const report = await payments.getPaymentStatus({ executionContextId, pcrId });
    expect(report.outcome).toEqual({ kind: "declined", code: "AMOUNT_MISMATCH" });
    expect(report.captures).toEqual([{ pspReference: "psp_more", amount: 249901, currency: "INR" }]);
  });

  test("another checkout's payment is not found", async () => {
    const { payments, request } = setup("ins_async");
    const { pcrId } = await payments.createPaymentRequest(request);
    await expect(payments.getPaymentStatus({ executionContextId: "ctx_other", pcrId })).rejects.toMatchObject({
      code: "PCR_UNKNOWN",
    });
  });
});
