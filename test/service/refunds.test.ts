/**
 * Money on its way back: refused for a while, sent back by the bank, or handed over by an operator (hard cases 13 and 21).
 * What only the machine decides runs on one of the two databases.
 */
import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { TerminalError, TransientError } from "../../machines/errors.ts";
import type { PaymentProvider, ProviderEvent } from "../../services/payment-provider.ts";
import { takeBackRefund } from "../../services/simulator-refunds.ts";
import { eventually, order } from "../support/client.ts";
import { Interference } from "../support/interference.ts";
import { successEvent } from "../support/payment-desk.ts";
import { startService, type Service, type ServiceOptions } from "../support/service.ts";
import { onEveryBackend } from "../support/stage.ts";
import { leftovers, moneyOf } from "../support/tables.ts";
import { deliver, failOncePaid, newestPayment, PAYABLE, rest, tookRefundBack, wrongsOf } from "../support/thread-desk.ts";

const unavailable = () => Promise.reject(new TransientError("PROVIDER_UNAVAILABLE", "The payment provider does not answer."));

onEveryBackend("refunds", (stage, kind) => {
  const services = new Interference();
  const provider = new Interference();
  let service: Service;
  const options: ServiceOptions = {
    aroundServices: services.around,
    aroundProvider: (real: PaymentProvider) => provider.watch(real),
    policy: { undoRetryMax: 1 },
  };
  beforeAll(async () => {
    service = await startService(stage(), options);
  });
  afterEach(() => {
    services.clear();
    provider.clear();
  });
  afterAll(() => service.stop());

  async function awaiting() {
    const { executionContextId: id, payment } = (await service.initiate(order("ins_async"))).checkout();
    if (payment.pcrId === null) throw new Error("The payment was asked for.");
    return { id, pcrId: payment.pcrId };
  }

  const typesOf = (id: string) => service.delivered(id).map(({ type }) => type.replace("checkout.v1.", ""));
  const count = (id: string, type: string) => typesOf(id).filter((one) => one === type).length;
  const refundRowsOf = (id: string) =>
    service.rows<{ round: number; isStanding: boolean }>(
      `select round, failed_at is null as "isStanding" from checkoutd.payment_refunds where context_id = $1 order by round`,
      [id],
    );
  const balancesOf = async (id: string) =>
    Object.fromEntries((await service.ledger(id)).balances.map(({ account, amount }) => [account, amount]));

  /** The bank sends the first refund of that capture back; the event that tells of it. */
  async function sendBack(id: string, pcrId: string, pspReference: string): Promise<ProviderEvent> {
    const { timestamp, data } = successEvent(pcrId, pspReference);
    const [refund] = await service.rows<{ id: string }>(
      "select id from checkoutd.provider_refunds where context_id = $1 and psp_reference = $2 order by accepted_at limit 1",
      [id, pspReference],
    );
    if (refund === undefined) throw new Error("It was refunded.");
    await stage().database.transaction((tx) => takeBackRefund(tx, refund.id, Date.now()));
    return { type: "payment_refund_failed", timestamp, data: { ...data, code: "ACCOUNT_CLOSED", providerRefundId: refund.id } };
  }

  test("a refund that the bank sends back later: operators are told, and it is made again under a new key", async () => {
    services.before.set("createPreferencesToLineItemsMapping", async () => {
      await failOncePaid(service, (await newestPayment(service)).id);
    });
    const answer = await service.initiate(order("ins_refund_fails"));
    expect(answer.problem()).toMatchObject({ code: "STEP_FAILED", rollback: "DONE" });
    const { id, pcrId, pspReference } = await newestPayment(service);
    await tookRefundBack(service, pcrId);
    expect(await wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 2 })).toEqual([]);
    expect(await refundRowsOf(id)).toEqual([
      { round: 1, isStanding: false },
      { round: 2, isStanding: true },
    ]);
    const told = typesOf(id).filter((type) => ["payment_refunded", "checkout_needs_attention"].includes(type));
    expect(told).toEqual(["payment_refunded", "checkout_needs_attention", "payment_refunded"]);
    expect(await balancesOf(id)).toEqual({ PROVIDER: 0, SUSPENSE: 0 });
    const keys = provider.calls
      .filter(({ operation, key }) => operation === "refund" && key.startsWith(id))
      .map(({ key }) => key);
    expect(new Set(keys)).toEqual(new Set([`${id}:refund:${pspReference}`, `${id}:refund-2:${pspReference}`]));
  });

  test.runIf(kind === "embedded")("the same failure of a refund told twice more: nothing is given back again", async () => {
    const { id, pcrId } = await awaiting();
    await service.cancel(id);
    await deliver(service, successEvent(pcrId, "psr_fails_once"));
    await rest(service, id);
    const failure = await sendBack(id, pcrId, "psr_fails_once");
    const eventId = randomUUID();
    for (let times = 1; times <= 3; times++) await deliver(service, failure, eventId);
    await rest(service, id);
    expect(count(id, "checkout_needs_attention")).toBe(1);
    expect(await moneyOf(stage().database, id)).toEqual({ captures: 1, net: 0 });
    expect(await balancesOf(id)).toMatchObject({ SUSPENSE: 0 });
  });

  test.runIf(kind === "embedded")("news of a failed refund that comes after the next one was made: that one stands", async () => {
    const { id, pcrId } = await awaiting();
    await service.cancel(id);
    let news: ProviderEvent | undefined;
    provider.after.set("refund", async () => {
      provider.after.clear();
      news = await sendBack(id, pcrId, "psr_late_news");
      return unavailable();
    });
    await deliver(service, successEvent(pcrId, "psr_late_news"));
    await rest(service, id);
    if (news === undefined) throw new Error("The first refund was sent back.");
    await deliver(service, news);
    expect(await wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 })).toEqual([]);
    expect(await refundRowsOf(id)).toEqual([
      { round: 1, isStanding: false },
      { round: 2, isStanding: true },
    ]);
    expect(count(id, "checkout_needs_attention")).toBe(0);
    expect(await balancesOf(id)).toEqual({ PROVIDER: 0, SUSPENSE: 0 });
  });

  test("a rollback whose refund is refused for long: not rolled back, the cart is free, an operator is told; done in the end", async () => {
    provider.before.set("refund", unavailable);
    services.before.set("hydratePaymentAndUpdateLineItems", () =>
      Promise.reject(new TerminalError("BROKEN", "This participant is broken for good.")),
    );
    const body = order("ins_sync_ok");
    const answer = await service.initiate(body, { wait: 0 });
    const id = answer.problem().executionContextId ?? "";
    await service.reaches(id, "NEEDS_ATTENTION");
    // Only the money is left.
    await eventually(async () => {
      const left = await leftovers(stage().database, id);
      expect(left.map((one) => one.split(" ").slice(0, 2).join(" "))).toEqual(["held capture", "payment not"]);
    });
    expect(count(id, "checkout_needs_attention")).toBeGreaterThanOrEqual(1);
    expect(await balancesOf(id)).toEqual({ PROVIDER: PAYABLE, SUSPENSE: -PAYABLE });
    services.clear();
    const again = await service.initiate({ ...body, cart: { ...body.cart, version: body.cart.version + 1 } });
    expect(again.checkout()).toMatchObject({ status: "CONFIRMED" });
    provider.clear();
    expect(await reachesEnd(id)).toEqual([]);
    expect(await balancesOf(id)).toEqual({ PROVIDER: 0, SUSPENSE: 0 });
  });

  async function reachesEnd(id: string): Promise<readonly string[]> {
    await service.reaches(id, "ROLLED_BACK");
    return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 });
  }

  test.runIf(kind === "embedded")(
    "a late refund that is refused for long leaves the checkout ROLLED_BACK, and is made in the end",
    async () => {
      const { id, pcrId } = await awaiting();
      await service.cancel(id);
      provider.before.set("refund", unavailable);
      await deliver(service, successEvent(pcrId, "psr_stuck"));
      await eventually(() => expect(count(id, "checkout_needs_attention")).toBe(1));
      expect((await service.get(id)).checkout()).toMatchObject({
        status: "ROLLED_BACK",
        payment: { capturedAmount: PAYABLE, refundedAmount: 0, refunds: [{ pspReference: "psr_stuck", status: "OWED" }] },
      });
      expect(count(id, "payment_refunded")).toBe(0);
      provider.clear();
      expect(await wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 })).toEqual([]);
      expect(count(id, "checkout_needs_attention")).toBe(1);
    },
  );

  test.runIf(kind === "embedded")(
    "an operator gives an owed capture back by hand: told, counted BY_HAND, and never given back by itself",
    async () => {
      const { id, pcrId } = await awaiting();
      await service.cancel(id);
      provider.before.set("refund", unavailable);
      await deliver(service, successEvent(pcrId, "psr_by_hand"));
      await eventually(() => expect(count(id, "checkout_needs_attention")).toBe(1));
      const body = { pspReference: "psr_by_hand", reference: "OPS-1235" };
      const key = randomUUID();
      const wrong = await service.resolve(id, { ...body, pspReference: "psr_other" });
      expect(wrong.problem()).toMatchObject({ status: 409, code: "NOTHING_TO_RESOLVE" });
      for (let times = 1; times <= 2; times++) {
        expect((await service.resolve(id, body, { key })).checkout()).toMatchObject({
          status: "ROLLED_BACK",
          payment: { refunds: [{ pspReference: "psr_by_hand", status: "REFUNDED_BY_HAND" }] },
        });
      }
      await rest(service, id);
      provider.clear();
      await deliver(service, successEvent(pcrId, "psr_by_hand"));
      await rest(service, id);
      expect(count(id, "payment_refunded")).toBe(1);
      // The provider's own books are the operator's business now.
      expect(await moneyOf(stage().database, id)).toEqual({ captures: 1, net: PAYABLE });
      expect(await balancesOf(id)).toEqual({ PROVIDER: PAYABLE, SUSPENSE: 0, BY_HAND: -PAYABLE });
      expect((await service.resolve(id, body)).problem()).toMatchObject({ status: 409, code: "NOTHING_TO_RESOLVE" });
    },
  );

  test.runIf(kind === "embedded")("an operator does a deferred undo by hand: the rollback ends, and says so", async () => {
    services.before.set("undoHandleOptinCreationAndModification", unavailable);
    const { id } = await awaiting();
    const cancelling = service.cancel(id, { wait: 1 });
    await service.reaches(id, "NEEDS_ATTENTION");
    expect([200, 202]).toContain((await cancelling).status);
    const notLeft = await service.resolve(id, { undo: "order", reference: "OPS-1" });
    expect(notLeft.problem()).toMatchObject({ status: 409, code: "NOTHING_TO_RESOLVE" });
    // Refused while a try is under way: then the operator asks again.
    const resolved = await eventually(async () => {
      const answer = await service.resolve(id, { undo: "optIns", reference: "OPS-2" });
      return answer.checkout();
    });
    expect(resolved).toMatchObject({ status: "ROLLED_BACK" });
    await rest(service, id);
    const end = service.delivered(id).at(-1);
    expect(end).toMatchObject({ type: "checkout.v1.checkout_rolled_back", data: { undoneByHand: ["optIns"] } });
    const [heard] = await service.rows<{ operator: string; reference: string }>(
      `select event->>'operator' as operator, event->>'reference' as reference from checkoutd.journal
        where context_id = $1 and event->>'type' = 'RESOLVE' and event->>'undo' = 'optIns'`,
      [id],
    );
    expect(heard).toEqual({ operator: "local", reference: "OPS-2" });
  });

  test.runIf(kind === "embedded")(
    "a provider that does not answer the cancellation of what it captured: never rolled back while the money is held",
    async () => {
      const { id, pcrId } = await awaiting();
      provider.before.set("cancel", unavailable);
      await deliver(service, successEvent(pcrId, "psr_uncancellable", PAYABLE - 1));
      const cancelling = service.cancel(id, { wait: 1 });
      await service.reaches(id, "NEEDS_ATTENTION");
      await cancelling;
      expect(await moneyOf(stage().database, id)).toEqual({ captures: 1, net: PAYABLE - 1 });
      provider.clear();
      expect(await reachesEnd(id)).toEqual([]);
    },
  );
});
