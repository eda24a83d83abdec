/** What a client gets for each kind of cart and instrument, through the real edge, runtime and participants. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { LockManager } from "../../locking/lock-manager.ts";
import { documentedStateOf } from "../../machines/view.ts";
import { lineItem, optIn } from "../services/checkouts.ts";
import { eventually, order } from "../support/client.ts";
import { Interference } from "../support/interference.ts";
import { startService, type Service } from "../support/service.ts";
import { onServersFirst } from "../support/stage.ts";
import { leftovers, moneyOf } from "../support/tables.ts";

const CONFIRMED_EVENTS = ["checkout_initiated", "line_items_updated", "line_items_confirmed", "checkout_completed"];

/** What a checkout that is paid at once asks of the lock manager and the participants, in the specification's order. */
const CALLS = [
  "createPaymentGroup",
  "acquire",
  "createPostSellingPreferences",
  "getLineItemSummary",
  "createCheckoutOrder",
  "handleOptinCreationAndModification",
  "upsertLineItems",
  "lockPaymentGroups",
  "createPaymentRequest",
  "hydratePaymentAndUpdateLineItems",
  "createPreferencesToLineItemsMapping",
  "recordSettlement",
  "settleLineItems",
  "settlePaymentGroups",
  "activateOptIns",
  "confirmCheckoutOrder",
  "confirmLineItems",
];
const STATES = [
  "INITIALIZED",
  "PROCESSING",
  "STEP_1",
  "STEP_2",
  "STEP_3",
  "STEP_4",
  "STEP_5",
  "STEP_6",
  "STEP_7",
  "STEP_8",
  "COMPLETED",
];
const ENTRIES_MAX = 200;

onServersFirst("outcomes", (stage) => {
  const observed = new Interference();
  const aroundLocks = (locks: LockManager): LockManager => ({
    acquire: (keys, owner, ttlMs) => {
      observed.calls.push({ operation: "acquire", executionContextId: owner, key: keys.join() });
      return locks.acquire(keys, owner, ttlMs);
    },
    renew: (keys, owner, ttlMs) => locks.renew(keys, owner, ttlMs),
    release: (keys, owner) => locks.release(keys, owner),
    ping: () => locks.ping(),
    stop: () => locks.stop(),
  });
  let service: Service;
  beforeAll(async () => {
    service = await startService(stage(), { aroundServices: observed.around, aroundLocks });
  });
  afterAll(() => service.stop());

  /** The types on the bus; fails unless seq and typeseq have no gap. */
  const eventsOf = (id: string, lastType: string) =>
    eventually(() => {
      const events = service.delivered(id);
      expect(events.at(-1)?.type).toBe(`checkout.v1.${lastType}`);
      expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1));
      for (const { type, typeseq } of events.slice(-1)) expect(typeseq).toBe(events.filter((one) => one.type === type).length);
      return events.map(({ type }) => type.replace("checkout.v1.", ""));
    });

  test("the documented example awaits its payment, with the documented amounts", async () => {
    const answer = await service.initiate(order("ins_async"));
    expect(answer.status).toBe(200);
    const checkout = answer.checkout();
    expect(checkout).toMatchObject({
      status: "AWAITING_PAYMENT",
      state: "STEP_8",
      orderNumber: expect.stringMatching(/^BLR-\d{6}$/),
      paymentGroups: [
        { lineItemRefs: ["l1"], amount: 201_901 },
        { lineItemRefs: ["l2"], amount: 47_999 },
      ],
      invoice: { version: 1, payable: 249_900, currency: "INR" },
      lineItems: [
        { ref: "l1", status: "UPDATED", total: 191_901, preferenceIds: checkout.preferenceIds },
        { ref: "l2", status: "UPDATED", total: 47_999, preferenceIds: [] },
      ],
      payment: {
        status: "REQUIRES_ACTION",
        amount: 249_900,
        currency: "INR",
        capturedAmount: 0,
        refundedAmount: 0,
        attemptsLeft: 2,
        nextAction: { type: "UPI_COLLECT" },
      },
      lastError: null,
    });
    expect(checkout.optInIds).toHaveLength(1);
    expect((await service.get(checkout.executionContextId)).checkout()).toEqual(checkout);
  });

  test("a payment that succeeds at once confirms, and its four events come in order", async () => {
    const checkout = (await service.initiate(order("ins_sync_ok"))).checkout();
    expect(checkout).toMatchObject({ status: "CONFIRMED", state: "COMPLETED", payment: { capturedAmount: 249_900 } });
    expect(await eventsOf(checkout.executionContextId, "checkout_completed")).toEqual(CONFIRMED_EVENTS);
    const [left] = await service.rows<{ carts: number; groups: number }>(
      `select (select count(*)::int from checkoutd.live_carts where context_id = $1) as carts,
              (select count(*)::int from checkoutd.payment_groups where context_id = $1 and status = 'SETTLED') as groups`,
      [checkout.executionContextId],
    );
    expect(left).toEqual({ carts: 0, groups: 2 });
  });

  test("the steps call their participants once each, in the specification's order, and the journal says so", async () => {
    const { executionContextId, paymentGroups } = (await service.initiate(order("ins_sync_ok"))).checkout();
    const calls = observed.calls.filter((call) => call.executionContextId === executionContextId);
    expect(calls.map(({ operation }) => operation)).toEqual(CALLS);
    const locked = [executionContextId, ...paymentGroups.map(({ paymentGroupId }) => paymentGroupId)];
    expect(calls.find(({ operation }) => operation === "acquire")?.key).toBe(locked.join());
    const journal = await service.orchestrator.history(executionContextId, 0, ENTRIES_MAX);
    const states = journal.map(({ to }) => documentedStateOf(to));
    expect(states.filter((state, index) => state !== states[index - 1])).toEqual(STATES);
  });

  test("the ids that the participants answered are kept and name their rows", async () => {
    const { executionContextId: id, ...checkout } = (await service.initiate(order("ins_async"))).checkout();
    const idsIn = async (table: string, column = "id") => {
      const query = `select ${column} as id from checkoutd.${table} where context_id = $1 order by 1`;
      return (await service.rows<{ id: string }>(query, [id])).map((row) => row.id);
    };
    expect(await idsIn("payment_groups")).toEqual(checkout.paymentGroups.map(({ paymentGroupId }) => paymentGroupId).sort());
    expect(await idsIn("post_selling_preferences")).toEqual(checkout.preferenceIds);
    expect(await idsIn("invoices")).toEqual([checkout.invoice?.invoiceId]);
    expect(await idsIn("checkout_orders")).toEqual([checkout.checkoutOrderId]);
    expect(await idsIn("opt_ins")).toEqual(checkout.optInIds);
    expect(await idsIn("line_items")).toEqual(checkout.lineItems.map(({ lineItemId }) => lineItemId).sort());
    expect(await idsIn("payment_collection_requirements")).toEqual([checkout.payment.pcrId]);
    expect(await idsIn("line_item_preferences", "preference_id")).toEqual(checkout.preferenceIds);
    expect(await idsIn("line_item_preferences", "line_item_id")).toEqual([checkout.lineItems[0]?.lineItemId]);
  });

  test("flags go by user, device and city, and are pinned to the checkout that they decide about", async () => {
    const device = (deviceId: string) => ({ deviceId, platform: "ANDROID" as const, appVersion: "8.4.0" });
    const cases = [
      { userId: "usr_42", deviceId: "dev_9", cityId: "BLR", attemptsLeft: 2, isExpress: true },
      { userId: "usr_42", deviceId: "dev_patient", cityId: "BLR", attemptsLeft: 4, isExpress: true },
      { userId: "usr_one_attempt_flags", deviceId: "dev_9", cityId: "BLR", attemptsLeft: 0, isExpress: true },
      { userId: "usr_42", deviceId: "dev_9", cityId: "BOM", attemptsLeft: 2, isExpress: false },
    ];
    for (const { userId, deviceId, cityId, attemptsLeft, isExpress } of cases) {
      const body = order("ins_async", { user: { userId, cityId }, device: device(deviceId), preferences: [], optIns: [] });
      const { executionContextId, payment } = (await service.initiate({ ...body, expectedTotal: undefined })).checkout();
      expect(payment.attemptsLeft).toBe(attemptsLeft);
      const stored = await service.orchestrator.view(executionContextId);
      expect(stored?.view.context.flags["express_confirmation"]).toMatchObject({ value: isExpress });
    }
  });

  test.each(["ins_flaky", "ins_reply_lost"])("%s is charged exactly once and confirms", async (instrumentId) => {
    const checkout = (await service.initiate(order(instrumentId))).checkout();
    expect(checkout).toMatchObject({ status: "CONFIRMED", payment: { capturedAmount: 249_900 } });
    expect(await moneyOf(stage().database, checkout.executionContextId)).toEqual({ captures: 1, net: 249_900 });
  });

  test("a declined payment leaves the checkout waiting for another attempt", async () => {
    const checkout = (await service.initiate(order("ins_decline"))).checkout();
    expect(checkout).toMatchObject({ status: "AWAITING_PAYMENT", payment: { status: "DECLINED", attemptsLeft: 2 } });
    const events = await eventsOf(checkout.executionContextId, "payment_failed");
    expect(events).toEqual(["checkout_initiated", "line_items_updated", "payment_failed"]);
  });

  test("the last attempt declined rolls back and answers PAYMENT_DECLINED", async () => {
    const answer = await service.initiate(order("ins_decline", { user: { userId: "usr_one_attempt_1", cityId: "BLR" } }));
    expect(answer.problem()).toMatchObject({ status: 422, code: "PAYMENT_DECLINED", rollback: "DONE" });
    expect(await leftovers(stage().database, answer.problem().executionContextId ?? "")).toEqual([]);
  });

  test("an asynchronous success confirms by the provider's own event, sent twice or once", async () => {
    const ids = await Promise.all(
      ["ins_async_ok", "ins_double"].map(async (instrumentId) => {
        const { executionContextId, status } = (await service.initiate(order(instrumentId))).checkout();
        expect(status).toBe("AWAITING_PAYMENT");
        await service.reaches(executionContextId, "CONFIRMED");
        return executionContextId;
      }),
    );
    for (const id of ids) {
      expect(await eventsOf(id, "checkout_completed")).toEqual(CONFIRMED_EVENTS);
      expect(await moneyOf(stage().database, id)).toEqual({ captures: 1, net: 249_900 });
    }
  });

  test("an asynchronous failure is heard of and another attempt is awaited", async () => {
    const { executionContextId } = (await service.initiate(order("ins_async_fail"))).checkout();
    await eventually(async () => {
      expect((await service.get(executionContextId)).checkout()).toMatchObject({
        status: "AWAITING_PAYMENT",
        payment: { status: "DECLINED" },
      });
    });
    expect(await eventsOf(executionContextId, "payment_failed")).toHaveLength(3);
  });

  test("nothing to pay confirms without the provider (hard case 3)", async () => {
    const free = order("ins_down", { couponCodes: ["ALLFREE"], optIns: [], expectedTotal: { amount: 0, currency: "INR" } });
    const checkout = (await service.initiate(free)).checkout();
    expect(checkout).toMatchObject({ status: "CONFIRMED", invoice: { payable: 0 }, payment: { amount: 0, capturedAmount: 0 } });
    const charges = await service.rows("select id from checkoutd.provider_charges where context_id = $1", [
      checkout.executionContextId,
    ]);
    expect(charges).toEqual([]);
  });

  test.each([
    { city: "TYO", sku: "JP-TEA", seller: "slr_3", coupon: "TOKYO100", payable: 3 * 333 - 100, currency: "JPY" },
    { city: "KWI", sku: "KW-DATES", seller: "slr_4", coupon: "KUWAIT1", payable: 3 * 1234 - 1000, currency: "KWD" },
    { city: "BLR", sku: "PRD-CANDLE", seller: "slr_2", coupon: "TENOFF", payable: 9999 - 1000, currency: "INR" },
  ])("three of $sku in $currency: the lines sum to the total exactly (hard case 3)", async (cart) => {
    const one = (ref: string) => lineItem({ ref, sku: cart.sku, quantity: 1, sellerId: cart.seller });
    const checkout = (
      await service.initiate(
        order("ins_sync_ok", {
          user: { userId: "usr_42", cityId: cart.city },
          lineItems: [one("a"), one("b"), one("c")],
          preferences: [],
          optIns: [],
          couponCodes: [cart.coupon],
          expectedTotal: { amount: cart.payable, currency: cart.currency },
        }),
      )
    ).checkout();
    expect(checkout).toMatchObject({
      status: "CONFIRMED",
      invoice: { payable: cart.payable, currency: cart.currency },
      payment: { capturedAmount: cart.payable, currency: cart.currency },
    });
    expect(checkout.lineItems.reduce((sum, { total }) => sum + (total ?? 0), 0)).toBe(cart.payable);
    expect(checkout.paymentGroups.reduce((sum, { amount }) => sum + (amount ?? 0), 0)).toBe(cart.payable);
  });

  test("what is paid LATER is recorded and not collected now", async () => {
    const later = lineItem({ ref: "l2", sku: "PRD-FILTER", quantity: 1, sellerId: "slr_2", paymentTiming: "LATER" });
    const checkout = (await service.initiate(order("ins_sync_ok", { lineItems: [lineItem(), later] }))).checkout();
    expect(checkout).toMatchObject({
      status: "CONFIRMED",
      invoice: { payable: 249_900 },
      payment: { amount: 201_901, capturedAmount: 201_901 },
    });
    expect(checkout.paymentGroups.map(({ amount }) => amount)).toEqual([201_901, 47_999]);
    expect((await moneyOf(stage().database, checkout.executionContextId)).net).toBe(201_901);
  });

  test("memberships, plans and preferences become what was bought", async () => {
    const user = { userId: `usr_${Date.now()}_${stage().kind}`, cityId: "BLR" };
    const optIns = [optIn(), optIn({ ref: "o2", type: "CONSENT", planId: "whatsapp" })];
    const checkout = (await service.initiate(order("ins_sync_ok", { user, optIns }))).checkout();
    const live = await service.rows<{ status: string }>(
      `select status from checkoutd.opt_ins where context_id = $1
       union all select status from checkoutd.post_selling_preferences where context_id = $1
       union all select status from checkoutd.line_items where context_id = $1
       union all select status from checkoutd.checkout_orders where context_id = $1 order by 1`,
      [checkout.executionContextId],
    );
    expect(live.map(({ status }) => status)).toEqual(["ACTIVE", "ACTIVE", "ACTIVE", "CONFIRMED", "CONFIRMED", "CONFIRMED"]);
  });
});
