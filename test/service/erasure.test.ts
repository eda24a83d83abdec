/** Where a user's personal data stands, and that none of it is left after erasure, in any column of any table (docs/decisions/0017). */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { eraseUser } from "../../persistence/erasure.ts";
import { auditCheckout } from "../../scripts/checkout-audit.ts";
import { PREFERENCE_TYPES, type CheckoutRequest } from "../../steps/request.ts";
import { age, retain } from "../support/aged.ts";
import { bookableDate, eventually, order } from "../support/client.ts";
import { Interference } from "../support/interference.ts";
import { successEvent } from "../support/payment-desk.ts";
import { startService, type Service } from "../support/service.ts";
import { onEveryBackend } from "../support/stage.ts";
import { deliver, failOncePaid, newestPayment, rest } from "../support/thread-desk.ts";

/** In whatever a client may write in its own words, or says of its device. */
const CANARY = "canary7f3a";

const OF_GOODS: ReadonlySet<string> = new Set(["SUBSTITUTION", "GIFT"]);

/** The documented order of this user, with a canary in every field that takes one. */
function personalOrder(userId: string, instrumentId: string, overrides: Partial<CheckoutRequest> = {}): CheckoutRequest {
  const preferences = PREFERENCE_TYPES.map((type, index) => ({
    ref: `p${index}`,
    type,
    lineItemRefs: [OF_GOODS.has(type) ? "l2" : "l1"],
    payload: {
      ...(type === "DELIVERY_SLOT" ? { slotId: "slot_0900", date: bookableDate() } : {}),
      [`${CANARY}Key`]: { text: `${CANARY} ${type}, 4 Rose Lane`, list: [`${CANARY}@mail.example`] },
    },
  }));
  return order(instrumentId, {
    user: { userId, cityId: "BLR" },
    device: { deviceId: `${CANARY}-device`, platform: `${CANARY}-platform`, appVersion: `${CANARY}-1` },
    preferences,
    payment: { method: "UPI", instrumentId, returnUrl: `https://shop.example/${CANARY}?mail=${CANARY}` },
    ...overrides,
  });
}

onEveryBackend("erasure", (stage) => {
  const interference = new Interference();
  let service: Service;
  beforeAll(async () => {
    service = await startService(stage(), { aroundServices: interference.around, requestWaitMs: 30_000 });
  });
  afterEach(() => interference.clear());
  afterAll(() => service.stop());

  /** Every column of every table in which this text stands, whatever its type. */
  async function columnsWith(text: string): Promise<readonly string[]> {
    const columns = await service.rows<{ table: string; column: string }>(
      `select table_name as "table", column_name as "column" from information_schema.columns
        where table_schema = 'checkoutd' order by 1, 2`,
    );
    const found = columns.map(
      ({ table, column }) =>
        `select '${table}.${column}' as name where exists (select from checkoutd.${table} t where position($1 in t.${column}::text) > 0)`,
    );
    const rows = await service.rows<{ name: string }>(found.join(" union all "), [text]);
    return rows.map(({ name }) => name).toSorted();
  }

  const initiate = async (userId: string, instrumentId: string, overrides: Partial<CheckoutRequest> = {}) => {
    const answer = await service.initiate(personalOrder(userId, instrumentId, overrides));
    const id = answer.status === 200 ? answer.checkout().executionContextId : answer.problem().executionContextId;
    if (id === undefined) throw new Error(`It was not taken: ${answer.text}`);
    return id;
  };

  /** One checkout through each ending, and how it ended. */
  async function throughAllEndings(userId: string): Promise<ReadonlyMap<string, "CONFIRMED" | "ROLLED_BACK">> {
    const ended = new Map<string, "CONFIRMED" | "ROLLED_BACK">();
    ended.set(await initiate(userId, "ins_sync_ok"), "CONFIRMED");
    ended.set(await initiate(userId, "ins_sync_ok", { expectedTotal: { amount: 1, currency: "INR" } }), "ROLLED_BACK");
    const another = await initiate(userId, "ins_decline");
    await service.pay(another, "ins_sync_ok");
    ended.set(another, "CONFIRMED");
    const late = await initiate(userId, "ins_async");
    await service.cancel(late);
    await deliver(service, successEvent((await service.get(late)).checkout().payment.pcrId ?? "", "psr_late"));
    await eventually(async () => expect((await service.get(late)).checkout().payment.refundedAmount).toBeGreaterThan(0));
    ended.set(late, "ROLLED_BACK");
    interference.before.set("createPreferencesToLineItemsMapping", async () =>
      failOncePaid(service, (await newestPayment(service)).id),
    );
    ended.set(await initiate(userId, "ins_sync_ok"), "ROLLED_BACK");
    interference.clear();
    for (const [id, status] of ended) {
      await service.reaches(id, status);
      await rest(service, id);
    }
    return ended;
  }

  test(
    "what was personal is gone from every column; folds, ledgers and answers stay as they were",
    { timeout: 120_000 },
    async () => {
      const ended = await throughAllEndings("usr_canary");
      const unfinished = await initiate("usr_canary", "ins_async");
      const before = await Promise.all([...ended.keys()].map((id) => service.get(id)));
      expect(await columnsWith(CANARY)).toEqual([
        "payment_attempts.return_url",
        "post_selling_preferences.payload",
        "requests.body",
      ]);
      for (const id of ended.keys()) expect(JSON.stringify(service.delivered(id))).not.toContain(CANARY);

      const erasure = await eraseUser(stage().database, "usr_canary");
      expect(erasure).toMatchObject({
        checkouts: ended.size,
        requests: ended.size,
        unfinished: [{ id: unfinished, status: "AWAITING_PAYMENT" }],
      });
      const after = await Promise.all([...ended.keys()].map((id) => service.get(id)));
      expect(after.map(({ text }) => text)).toEqual(before.map(({ text }) => text));
      for (const [id, status] of ended) expect((await auditCheckout(stage().database, id, status)).violations).toEqual([]);

      // It goes on with what it needs, also for another attempt, and is erased once it has ended.
      await service.pay(unfinished, "ins_sync_ok");
      await service.reaches(unfinished, "CONFIRMED");
      await rest(service, unfinished);
      expect(await columnsWith(CANARY)).not.toEqual([]);
      expect(await eraseUser(stage().database, "usr_canary")).toMatchObject({ requests: 1, returnUrls: 2, unfinished: [] });
      expect(await columnsWith(CANARY)).toEqual([]);
      expect((await auditCheckout(stage().database, unfinished, "CONFIRMED")).violations).toEqual([]);
      expect(await eraseUser(stage().database, "usr_canary")).toMatchObject({
        requests: 0,
        payloads: 0,
        returnUrls: 0,
        unfinished: [],
      });
    },
  );

  test(
    "what stays of a user is the id, where a business record or a fold has it; others are left alone",
    { timeout: 120_000 },
    async () => {
      await initiate("usr_stays", "ins_sync_ok");
      const other = await initiate("usr_other", "ins_sync_ok");
      await rest(service, other);
      await eraseUser(stage().database, "usr_stays");
      expect(await columnsWith("usr_stays")).toEqual([
        "checkout_orders.user_id",
        "contexts.user_id",
        "coupon_uses.user_id",
        "journal.event",
        "opt_ins.user_id",
        "outbox.data",
        "payment_collection_requirements.payer_id",
        "payment_groups.payer_id",
        "snapshots.snapshot",
      ]);
      expect(await columnsWith(CANARY)).toEqual([
        "payment_attempts.return_url",
        "post_selling_preferences.payload",
        "requests.body",
      ]);
      await eraseUser(stage().database, "usr_other");
      expect(await columnsWith(CANARY)).toEqual([]);
    },
  );

  test("a tombstone's preferences and return URLs are found and erased as well", { timeout: 120_000 }, async () => {
    const ended = await throughAllEndings("usr_tomb");
    await age(stage().database, [...ended.keys()]);
    expect(await retain(stage().database)).toMatchObject({ checkouts: ended.size, tombstones: ended.size - 1 });
    expect(await columnsWith(CANARY)).toEqual(["payment_attempts.return_url", "post_selling_preferences.payload"]);
    expect(await eraseUser(stage().database, "usr_tomb")).toMatchObject({ requests: 0, unfinished: [] });
    expect(await columnsWith(CANARY)).toEqual([]);
  });
});
