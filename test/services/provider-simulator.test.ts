import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import type { ProviderEvent } from "../../services/payment-provider.ts";
import { SimulatedProvider } from "../../services/provider-simulator.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { countingIds, ManualClock } from "../support/ports.ts";
import { successEvent } from "../support/payment-desk.ts";

let database: Database;
const ids = countingIds();

beforeAll(async () => {
  database = await openMemoryDatabase();
});
afterAll(() => database.close());
// Events wait in one table for whoever pumps next: what an earlier test left over is not ours.
beforeEach(() => database.rows("delete from checkoutd.provider_sends"));

const EXPIRES_IN_MS = 60_000;

async function setup(instrumentId: string) {
  const clock = new ManualClock();
  const simulator = new SimulatedProvider({ database, ids, clock });
  const pcrId = ids.next("pcr");
  const request = {
    key: `${pcrId}:key`,
    executionContextId: ids.next("ctx"),
    pcrId,
    attemptId: ids.next("att"),
    amount: 1000,
    currency: "KWD",
    method: "CARD",
    instrumentId,
    expiresAt: clock.now() + EXPIRES_IN_MS,
  };
  const { chargeId } = await simulator.create(request);
  const sent: ProviderEvent[] = [];
  const send = async (event: ProviderEvent) => void sent.push(event);
  const status = async () => (await simulator.retrieve({ chargeId })).status;
  const entry = async () => (await simulator.listCharges({ pcrId }))[0];
  return { clock, simulator, request, chargeId, pcrId, sent, send, status, entry };
}

test("creating moves no money, and the same key is the same charge", async () => {
  const { simulator, request, chargeId, entry } = await setup("ins_sync_ok");
  expect((await simulator.create(request)).chargeId).toBe(chargeId);
  expect(await entry()).toMatchObject({ authorised: 0, captured: 0, refunded: 0, status: "created" });
});

test("refuses a key that was used for another charge", async () => {
  const { simulator, request } = await setup("ins_sync_ok");
  await expect(simulator.create({ ...request, amount: 1 })).rejects.toMatchObject({ code: "PROVIDER_KEY_REUSED" });
});

test("refuses to charge what was cancelled, and to cancel what was charged", async () => {
  const cancelled = await setup("ins_sync_ok");
  await cancelled.simulator.cancel(cancelled);
  expect(await cancelled.simulator.confirm(cancelled)).toMatchObject({ status: "cancelled", captures: [] });
  const charged = await setup("ins_sync_ok");
  await charged.simulator.confirm(charged);
  expect(await charged.simulator.cancel(charged)).toMatchObject({ status: "captured", captures: [{ amount: 1000 }] });
});

test("announces its success about a second later, once it is true", async () => {
  const { simulator, clock, chargeId, pcrId, request, sent, send, entry } = await setup("ins_async_ok");
  expect((await simulator.confirm({ chargeId })).status).toBe("requires_action");
  expect(await simulator.deliverDue(send)).toBe(0);
  clock.advance(1_000);
  expect(await simulator.deliverDue(send)).toBe(1);
  const occurredAt = new Date(clock.now()).toISOString();
  const { attemptId, amount, currency } = request;
  expect(sent).toEqual([
    {
      type: "payment_collection_requirement_success",
      timestamp: occurredAt,
      data: { eventId: `${chargeId}:1`, pcrId, attemptId, pspReference: chargeId, amount, currency, occurredAt },
    },
  ]);
  expect(await entry()).toMatchObject({ authorised: 1000, captured: 1000, refunded: 0 });
  clock.advance(60_000);
  expect(await simulator.deliverDue(send)).toBe(0);
});

test("an announced event survives a restart", async () => {
  const { simulator, clock, chargeId, sent, send } = await setup("ins_async_ok");
  await simulator.confirm({ chargeId });
  clock.advance(5_000);
  await new SimulatedProvider({ database, ids, clock }).deliverDue(send);
  expect(sent).toHaveLength(1);
});

test("an event that was refused is sent again with the same id, and its money is booked once", async () => {
  const { simulator, clock, chargeId, sent, send, entry } = await setup("ins_async_ok");
  await simulator.confirm({ chargeId });
  clock.advance(1_000);
  const refuse = async () => Promise.reject(new Error("503"));
  await expect(simulator.deliverDue(refuse)).rejects.toThrow("sent again");
  clock.advance(5_000);
  expect(await simulator.deliverDue(send)).toBe(1);
  expect(sent[0]?.data.eventId).toBe(`${chargeId}:1`);
  expect(await entry()).toMatchObject({ captured: 1000 });
});

test("announces its failure", async () => {
  const { simulator, clock, chargeId, sent, send, status } = await setup("ins_async_fail");
  await simulator.confirm({ chargeId });
  clock.advance(1_000);
  await simulator.deliverDue(send);
  expect(sent).toMatchObject([{ type: "payment_collection_requirement_failed", data: { code: "DECLINED_BY_BANK" } }]);
  expect(await status()).toBe("declined");
});

test("a cancellation takes back what was announced", async () => {
  const { simulator, clock, chargeId, send, entry } = await setup("ins_async_ok");
  await simulator.confirm({ chargeId });
  await simulator.cancel({ chargeId });
  clock.advance(10_000);
  expect(await simulator.deliverDue(send)).toBe(0);
  expect(await entry()).toMatchObject({ status: "cancelled", authorised: 0, captured: 0 });
});

test("the late instrument succeeds two seconds after it was cancelled", async () => {
  const { simulator, clock, chargeId, sent, send, entry } = await setup("ins_late");
  await simulator.confirm({ chargeId });
  expect((await simulator.cancel({ chargeId })).status).toBe("cancelled");
  clock.advance(1_999);
  expect(await simulator.deliverDue(send)).toBe(0);
  clock.advance(1);
  expect(await simulator.deliverDue(send)).toBe(1);
  expect(sent).toMatchObject([{ type: "payment_collection_requirement_success", data: { pspReference: chargeId } }]);
  expect(await entry()).toMatchObject({ captured: 1000 });
});

test("the late instrument succeeds two seconds after it expired", async () => {
  const { simulator, clock, chargeId, send, status, entry } = await setup("ins_late");
  await simulator.confirm({ chargeId });
  clock.advance(EXPIRES_IN_MS);
  expect(await status()).toBe("expired");
  clock.advance(2_000);
  expect(await simulator.deliverDue(send)).toBe(1);
  expect(await entry()).toMatchObject({ captured: 1000 });
});

test("the double instrument announces one success in two events", async () => {
  const { simulator, clock, chargeId, sent, send, entry } = await setup("ins_double");
  await simulator.confirm({ chargeId });
  clock.advance(1_000);
  expect(await simulator.deliverDue(send)).toBe(2);
  expect(new Set(sent.map(({ data }) => data.eventId)).size).toBe(2);
  expect(new Set(sent.map(({ data }) => data.pspReference))).toEqual(new Set([chargeId]));
  expect(await entry()).toMatchObject({ captured: 1000 });
});

test("books a success that was announced by others, once per reference", async () => {
  const { simulator, pcrId, chargeId, entry } = await setup("ins_async");
  await simulator.confirm({ chargeId });
  expect(await simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_1", 1000))).toBe(true);
  expect(await simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_1", 1000))).toBe(true);
  expect(await entry()).toMatchObject({ captured: 1000, status: "captured" });
  expect(await simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_2", 7))).toBe(true);
  expect(await entry()).toMatchObject({ captured: 1007 });
});

test("does not tell of a success of its own after others announced one", async () => {
  const { simulator, clock, pcrId, chargeId, send, entry } = await setup("ins_async_ok");
  await simulator.confirm({ chargeId });
  await simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_1", 1000));
  clock.advance(1_000);
  expect(await simulator.deliverDue(send)).toBe(0);
  expect(await entry()).toMatchObject({ captured: 1000 });
});

test("says so when a success is for a payment that nobody knows yet", async () => {
  const { simulator } = await setup("ins_async");
  expect(await simulator.recordAuthenticatedSuccess(successEvent("pcr_unknown", "psp_1"))).toBe(false);
});

describe("the instrument whose first refund fails", () => {
  async function paid() {
    const desk = await setup("ins_refund_fails");
    expect(await desk.simulator.confirm(desk)).toMatchObject({ status: "requires_action" });
    desk.clock.advance(1_000);
    await desk.simulator.deliverDue(desk.send);
    const refund = (key: string) =>
      desk.simulator.refund({ key: `${desk.pcrId}:${key}`, pcrId: desk.pcrId, pspReference: desk.chargeId });
    return { ...desk, refund };
  }

  test("asks for an action and is captured about a second later", async () => {
    const { sent, entry } = await paid();
    expect(sent).toMatchObject([{ type: "payment_collection_requirement_success" }]);
    expect(await entry()).toMatchObject({ captured: 1000, refunded: 0 });
  });

  test("accepts the first refund, then holds the money again and tells so", async () => {
    const { simulator, clock, refund, entry, sent, send, chargeId, pcrId, request } = await paid();
    const first = await refund("k1");
    expect(first.status).toBe("accepted");
    expect(await entry()).toMatchObject({ refunded: 1000, captures: [{ refundedAmount: 1000 }] });
    clock.advance(999);
    expect(await simulator.deliverDue(send)).toBe(0);
    clock.advance(1);
    const refuse = async () => Promise.reject(new Error("503"));
    await expect(simulator.deliverDue(refuse)).rejects.toThrow("sent again");
    clock.advance(5_000);
    expect(await simulator.deliverDue(send)).toBe(1);
    expect(sent[1]).toEqual({
      type: "payment_refund_failed",
      timestamp: new Date(clock.now() - 5_000).toISOString(),
      data: {
        eventId: `${first.refundId}:failed`,
        pcrId,
        attemptId: request.attemptId,
        pspReference: chargeId,
        amount: 1000,
        currency: "KWD",
        occurredAt: new Date(clock.now() - 5_000).toISOString(),
        code: "REFUND_FAILED_AT_BANK",
        providerRefundId: first.refundId,
      },
    });
    expect(await entry()).toMatchObject({ captured: 1000, refunded: 0, captures: [{ refundedAmount: 0 }] });
  });

  test("the old key answers the failed refund and pays nothing; a new key succeeds, once", async () => {
    const { simulator, clock, refund, entry, send } = await paid();
    const first = await refund("k1");
    expect(await refund("k1")).toEqual(first);
    clock.advance(1_000);
    await simulator.deliverDue(send);
    expect(await refund("k1")).toEqual({ refundId: first.refundId, status: "failed" });
    expect(await entry()).toMatchObject({ refunded: 0 });
    const second = await refund("k2");
    expect(second.refundId).not.toBe(first.refundId);
    expect(await refund("k3")).toEqual(second);
    expect(await refund("k1")).toEqual({ refundId: first.refundId, status: "failed" });
    clock.advance(60_000);
    expect(await simulator.deliverDue(send)).toBe(0);
    expect(await entry()).toMatchObject({ captured: 1000, refunded: 1000 });
  });
});

test("refuses a refund key that was used for another capture", async () => {
  const { simulator, pcrId, chargeId } = await setup("ins_sync_ok");
  await simulator.confirm({ chargeId });
  await simulator.recordAuthenticatedSuccess(successEvent(pcrId, "psp_1", 7));
  await simulator.refund({ key: `${pcrId}:k`, pcrId, pspReference: "psp_1" });
  const other = simulator.refund({ key: `${pcrId}:k`, pcrId, pspReference: chargeId });
  await expect(other).rejects.toMatchObject({ code: "PROVIDER_KEY_REUSED" });
});

describe("the list for reconciliation", () => {
  test("has each charge once, in the order of ids, however small the pages are", async () => {
    const { simulator } = await setup("ins_sync_ok");
    for (let count = 0; count < 4; count++) await setup("ins_async");
    const all = (await simulator.listCharges()).map(({ chargeId }) => chargeId);
    const paged: string[] = [];
    for (let after: string | undefined; ; after = paged.at(-1)) {
      const page = await simulator.listCharges({ limit: 2, ...(after === undefined ? {} : { after }) });
      if (page.length === 0) break;
      expect(page.length).toBeLessThanOrEqual(2);
      paged.push(...page.map(({ chargeId }) => chargeId));
    }
    expect(paged).toEqual(all);
    expect(paged).toEqual([...new Set(paged)].sort());
  });

  test("tells what a charge captured and gave back, for whom, and when its money last moved", async () => {
    const { simulator, clock, pcrId, chargeId, request, entry } = await setup("ins_sync_ok");
    expect(await entry()).toMatchObject({ chargeId, captures: [], movedAt: null });
    await simulator.confirm({ chargeId });
    const capturedAt = clock.now();
    const { executionContextId, attemptId } = request;
    expect(await entry()).toMatchObject({
      executionContextId,
      pcrId,
      attemptId,
      currency: "KWD",
      status: "captured",
      movedAt: capturedAt,
      captures: [{ pspReference: chargeId, amount: 1000, currency: "KWD", refundedAmount: 0 }],
    });
    clock.advance(5);
    await simulator.refund({ key: `${pcrId}:k`, pcrId, pspReference: chargeId });
    expect(await entry()).toMatchObject({ movedAt: capturedAt + 5, captures: [{ refundedAmount: 1000 }] });
  });
});

test("sends by itself once started, and nothing after it was stopped", async () => {
  const { simulator, clock, chargeId } = await setup("ins_double");
  await simulator.confirm({ chargeId });
  const sent: ProviderEvent[] = [];
  const { promise: both, resolve } = withResolvers();
  const stop = simulator.start(
    async (event) => {
      sent.push(event);
      if (sent.length === 2) resolve();
    },
    (error) => {
      throw error;
    },
  );
  clock.advance(1_000);
  await both;
  await stop();
  await stop();
  clock.advance(60_000);
  expect(sent).toHaveLength(2);
});

function withResolvers(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>((done) => (resolve = done));
  return { promise, resolve };
}
