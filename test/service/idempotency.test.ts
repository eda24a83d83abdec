/** One key, one checkout; one cart, one live checkout (hard cases 1, 2 and 4). */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { order, type Answer } from "../support/client.ts";
import { Interference } from "../support/interference.ts";
import { gate } from "../support/payment-desk.ts";
import { startService, type Service } from "../support/service.ts";
import { onServers, onServersFirst } from "../support/stage.ts";
import { moneyOf } from "../support/tables.ts";

const TOGETHER = 20;
const APP = { name: "app", key: "app-key-0123456789abcdef" };
const KIOSK = { name: "kiosk", key: "kiosk-key-0123456789abcdef" };

function contextsOf(service: Service, cartId: string): Promise<{ id: string; status: string }[]> {
  return service.rows("select id, status from checkoutd.contexts where cart_id = $1", [cartId]);
}

function expectOneAnswer(answers: readonly Answer[]): void {
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
  expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
}

onServersFirst("idempotency", (stage) => {
  let service: Service;
  beforeAll(async () => {
    service = await startService(stage());
  });
  afterAll(() => service.stop());

  test("the same key again gives the same bytes, marked replayed, and no new row", async () => {
    const body = order("ins_sync_ok");
    const key = randomUUID();
    const first = await service.initiate(body, { key });
    const second = await service.initiate(body, { key });
    expect(first).toMatchObject({ status: 200, isReplayed: false });
    expect(second).toMatchObject({ status: 200, isReplayed: true, text: first.text });
    expect(await contextsOf(service, body.cart.cartId)).toHaveLength(1);
  });

  test("a rolled back answer is replayed byte for byte as well", async () => {
    const body = order("ins_sync_ok", { expectedTotal: { amount: 1, currency: "INR" } });
    const key = randomUUID();
    const first = await service.initiate(body, { key });
    const second = await service.initiate(body, { key });
    expect(first.problem()).toMatchObject({ code: "PRICE_CHANGED", rollback: "DONE" });
    expect(second).toMatchObject({ status: 409, isReplayed: true, text: first.text });
  });

  test("an answer stays what it was although the checkout has moved on", async () => {
    const body = order("ins_async_ok");
    const key = randomUUID();
    const first = await service.initiate(body, { key });
    await service.reaches(first.checkout().executionContextId, "CONFIRMED");
    expect(await service.initiate(body, { key })).toMatchObject({ isReplayed: true, text: first.text });
  });

  test("key order and white space don't make another body; another amount does, and the original stays untouched", async () => {
    const body = order("ins_async");
    const key = randomUUID();
    const first = await service.initiate(body, { key });
    const reordered = JSON.stringify(Object.fromEntries(Object.entries(body).toReversed()), null, 2);
    expect(await service.initiate(reordered, { key })).toMatchObject({ status: 200, isReplayed: true, text: first.text });
    const other = await service.initiate({ ...body, couponCodes: [] }, { key });
    expect(other.problem()).toMatchObject({ status: 422, code: "IDEMPOTENCY_KEY_REUSED" });
    const { executionContextId } = first.checkout();
    expect((await service.get(executionContextId)).checkout()).toEqual(first.checkout());
    expect(await contextsOf(service, body.cart.cartId)).toHaveLength(1);
  });

  test(`${TOGETHER} at once with one key join one checkout and hear the same`, async () => {
    const body = order("ins_sync_ok");
    const key = randomUUID();
    const answers = await Promise.all(Array.from({ length: TOGETHER }, () => service.initiate(body, { key })));
    expectOneAnswer(answers);
    const contexts = await contextsOf(service, body.cart.cartId);
    expect(contexts).toHaveLength(1);
    expect(await moneyOf(stage().database, contexts[0]?.id ?? "")).toEqual({ captures: 1, net: 249_900 });
  });

  test(`of ${TOGETHER} at once with their own keys for one cart one runs, the others learn its id`, async () => {
    const body = order("ins_async");
    const answers = await Promise.all(Array.from({ length: TOGETHER }, () => service.initiate(body)));
    const [winner, ...more] = answers.filter(({ status }) => status === 200);
    expect(more).toEqual([]);
    const losers = answers.filter((answer) => answer !== winner).map((answer) => answer.problem());
    const { executionContextId } = winner?.checkout() ?? {};
    expect(losers).toHaveLength(TOGETHER - 1);
    for (const loser of losers) expect(loser).toMatchObject({ status: 409, code: "CHECKOUT_IN_PROGRESS", executionContextId });
    expect(await contextsOf(service, body.cart.cartId)).toHaveLength(1);
  });

  test("another user's live checkout of the cart is not named", async () => {
    const body = order("ins_async");
    await service.initiate(body);
    const answer = await service.initiate({ ...body, user: { userId: "usr_other", cityId: "BLR" } });
    expect(answer.problem()).toMatchObject({ status: 409, code: "CHECKOUT_IN_PROGRESS" });
    expect(answer.problem()).not.toHaveProperty("executionContextId");
  });

  test("a fresh key after the cart was bought doesn't sell it twice; its next version may be bought", async () => {
    const body = order("ins_sync_ok");
    const { executionContextId } = (await service.initiate(body)).checkout();
    for (const version of [7, 6]) {
      const again = await service.initiate({ ...body, cart: { ...body.cart, version } });
      expect(again.problem()).toMatchObject({ status: 409, code: "CART_ALREADY_CHECKED_OUT", executionContextId });
    }
    const next = await service.initiate({ ...body, cart: { ...body.cart, version: 8 }, optIns: [], expectedTotal: undefined });
    expect(next.checkout()).toMatchObject({ status: "CONFIRMED" });
  });

  test("a rolled back cart may be tried again with a fresh key; an older version than one seen is stale", async () => {
    const body = order("ins_sync_ok", { expectedTotal: { amount: 1, currency: "INR" } });
    await service.initiate(body);
    const stale = await service.initiate({ ...body, cart: { ...body.cart, version: 6 } });
    expect(stale.problem()).toMatchObject({ status: 409, code: "CART_VERSION_STALE", highestSeen: 7 });
    const again = await service.initiate({ ...body, expectedTotal: { amount: 249_900, currency: "INR" } });
    expect(again.checkout()).toMatchObject({ status: "CONFIRMED" });
    expect(await contextsOf(service, body.cart.cartId)).toHaveLength(2);
  });

  test("a 4xx before the claim doesn't consume the key", async () => {
    const key = randomUUID();
    const wrong = await service.initiate(order("ins_sync_ok", { couponCodes: ["NOSUCH"] }), { key });
    expect(wrong.status).toBe(400);
    expect((await service.initiate(order("ins_sync_ok"), { key })).status).toBe(200);
  });

  test("two callers' equal keys are two checkouts, and neither sees the other's", async () => {
    const guarded = await startService(stage(), { apiKeys: [APP, KIOSK] });
    const key = randomUUID();
    const ofApp = await guarded.initiate(order("ins_async"), { key, token: APP.key });
    const ofKiosk = await guarded.initiate(order("ins_async"), { key, token: KIOSK.key });
    expect([ofApp.status, ofKiosk.status]).toEqual([200, 200]);
    expect(ofKiosk.checkout().executionContextId).not.toBe(ofApp.checkout().executionContextId);
    await guarded.stop();
  });

  test("the same key while the first runs joins it, and one that arrives late in the first's claim does too", async () => {
    const held = gate();
    const lookedUp = gate();
    const interference = new Interference();
    let lookUps = 0;
    const slow = await startService(stage(), {
      aroundServices: interference.around,
      aroundStore: (store) =>
        new Proxy(store, {
          get: (target, name) => {
            const method: unknown = Reflect.get(target, name, target);
            if (typeof method !== "function") return method;
            return async (...parameters: readonly unknown[]) => {
              const result: unknown = await method.apply(target, parameters);
              // The second look-up saw no claim, and goes on only when the first request's claim is stored.
              if (name === "findClaim" && ++lookUps === 2) await lookedUp.pass();
              return result;
            };
          },
        }),
    });
    interference.before.set("createCheckoutOrder", held.pass);
    const body = order("ins_sync_ok");
    const key = randomUUID();
    const first = slow.initiate(body, { key });
    const late = slow.initiate(body, { key });
    await held.reached;
    const joining = slow.initiate(body, { key });
    lookedUp.open();
    held.open();
    const answers = await Promise.all([first, late, joining]);
    expectOneAnswer(answers);
    expect(interference.calls.filter(({ operation }) => operation === "createCheckoutOrder")).toHaveLength(1);
    await slow.stop();
  });
});

onServers("two nodes on one database", (stage) => {
  let nodes: readonly Service[];
  beforeAll(async () => {
    nodes = await Promise.all([startService(stage()), startService(stage())]);
  });
  afterAll(() => Promise.all(nodes.map((node) => node.stop())));

  test("initiates of one key in the same instant are one checkout with one answer (hard case 2)", async () => {
    for (let round = 0; round < 5; round++) {
      const body = order("ins_sync_ok");
      const key = randomUUID();
      const answers = await Promise.all(nodes.flatMap((node) => [node.initiate(body, { key }), node.initiate(body, { key })]));
      expectOneAnswer(answers);
      expect(
        await stage().database.rows("select id from checkoutd.contexts where cart_id = $1", [body.cart.cartId]),
      ).toHaveLength(1);
    }
  });

  test("initiates of one cart with a key each are one checkout and conflicts", async () => {
    const body = order("ins_async");
    const answers = await Promise.all(nodes.flatMap((node) => [node.initiate(body), node.initiate(body), node.initiate(body)]));
    expect(answers.map(({ status }) => status).sort((a, b) => a - b)).toEqual([200, 409, 409, 409, 409, 409]);
  });
});
