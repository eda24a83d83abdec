import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { SqlCheckoutRules } from "../../services/business-rules.ts";
import { createDemoCatalogue } from "../../services/demo-catalogue.ts";
import { SqlInvoices } from "../../services/invoices.ts";
import { SqlOptIns } from "../../services/opt-ins.ts";
import { SqlPreferences } from "../../services/preferences.ts";
import type { CheckoutRequest, RequestedLineItem, RequestedOptIn, RequestedPreference } from "../../steps/request.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { countingIds, ManualClock } from "../support/ports.ts";
import { documentedRequest, FILTER, lineItem, newContext, optIn, slotPreference } from "./checkouts.ts";

const database = await openMemoryDatabase();
afterAll(() => database.close());
const catalogue = createDemoCatalogue();
const clock = new ManualClock();
const ids = countingIds();
const rules = new SqlCheckoutRules({ database, clock, catalogue });

/** `pointer code` of each violation of the documented request with these changes. */
async function violationsOf(overrides: Partial<CheckoutRequest>): Promise<string[]> {
  const violations = await rules.check(documentedRequest(overrides));
  for (const { message } of violations) expect(message).toMatch(/^[\x20-\x7e]{10,400}$/);
  return violations.map(({ pointer, code }) => `${pointer} ${code}`);
}

const items = (...lineItems: RequestedLineItem[]) => ({ lineItems, preferences: [], couponCodes: [] });
const preferring = (...preferences: RequestedPreference[]) => ({ preferences });
const optingIn = (...optIns: RequestedOptIn[]) => ({ optIns });
const ODD_TYPE = "TELEPORT" as "GIFT";

test("has nothing against the documented example", async () => {
  expect(await rules.check(documentedRequest())).toEqual([]);
});

test("lists every mistake in one answer", async () => {
  const found = await violationsOf({
    user: { userId: "usr_blocked", cityId: "BLR" },
    lineItems: [lineItem({ sku: "NOPE" }), lineItem({ ref: "l2", quantity: 11 })],
    preferences: [slotPreference("slot_none", "tomorrow")],
    optIns: [optIn({ planId: "none" })],
    couponCodes: ["NONE"],
    expectedTotal: { amount: 1, currency: "USD" },
  });
  expect(found).toEqual([
    "/user/userId USER_BLOCKED",
    "/lineItems/0/sku SKU_UNKNOWN",
    "/lineItems/1/quantity QUANTITY_ABOVE_LIMIT",
    "/preferences/0/payload/slotId SLOT_UNKNOWN",
    "/preferences/0/payload/date SLOT_DATE_INVALID",
    "/optIns/0/planId PLAN_UNKNOWN",
    "/couponCodes/0 COUPON_UNKNOWN",
    "/expectedTotal/currency CURRENCY_MISMATCH",
  ]);
});

describe.each<[string, Partial<CheckoutRequest>, string[]]>([
  ["a city that is not served", { user: { userId: "u", cityId: "MARS" }, preferences: [] }, ["/user/cityId CITY_UNKNOWN"]],
  [
    "a SKU that is not sold in the city",
    { user: { userId: "u", cityId: "DEL" }, ...items(lineItem({ sku: "SVC-PLUMBER" })) },
    ["/lineItems/0/sku SKU_NOT_SOLD_IN_CITY"],
  ],
  ["another seller", items(lineItem({ sellerId: "slr_2" })), ["/lineItems/0/sellerId SELLER_MISMATCH"]],
  ["no line items", { ...items(), optIns: [] }, ["/lineItems LINE_ITEMS_MISSING"]],
  [
    "500 line items",
    { ...items(...Array.from({ length: 500 }, (_, n) => lineItem({ ref: `l${n}` }))), optIns: [] },
    ["/lineItems LINE_ITEMS_TOO_MANY"],
  ],
  [
    "a limit passed by two lines together",
    items(lineItem({ quantity: 6 }), lineItem({ ref: "l2", quantity: 6 })),
    ["/lineItems/1/quantity QUANTITY_ABOVE_LIMIT"],
  ],
  [
    "too few of a SKU",
    items(lineItem({ sku: "PRD-RICE-10KG", sellerId: "slr_2", quantity: 1 })),
    ["/lineItems/0/quantity QUANTITY_BELOW_LIMIT"],
  ],
  ["a quantity of 0", items(lineItem({ quantity: 0 })), ["/lineItems/0/quantity QUANTITY_INVALID"]],
  ["a reference used twice", items(lineItem({ quantity: 1 }), lineItem({ quantity: 1 })), ["/lineItems/1/ref REF_NOT_UNIQUE"]],
  ["an opt-in with a line item's reference", optingIn(optIn({ ref: "l1" })), ["/optIns/0/ref REF_NOT_UNIQUE"]],
  [
    "two currencies",
    items(FILTER, lineItem({ sku: "JP-TEA", sellerId: "slr_3" })),
    ["/lineItems/1/sku SKU_NOT_SOLD_IN_CITY", "/lineItems/1/sku CURRENCY_MIXED"],
  ],
  [
    "an unknown preference",
    preferring({ ref: "p1", type: ODD_TYPE, lineItemRefs: ["l1"], payload: {} }),
    ["/preferences/0/type PREFERENCE_TYPE_UNKNOWN"],
  ],
  [
    "a preference for no line item",
    preferring({ ref: "p1", type: "GIFT", lineItemRefs: [], payload: {} }),
    ["/preferences/0/lineItemRefs LINE_ITEM_REFS_MISSING"],
  ],
  [
    "a preference for a line item that isn't there",
    preferring({ ref: "p1", type: "GIFT", lineItemRefs: ["l2", "l9"], payload: {} }),
    ["/preferences/0/lineItemRefs/1 LINE_ITEM_REF_UNKNOWN"],
  ],
  [
    "a preference that the item doesn't offer",
    preferring({ ref: "p1", type: "GIFT", lineItemRefs: ["l2", "l1"], payload: {} }),
    ["/preferences/0/lineItemRefs/1 PREFERENCE_NOT_OFFERED"],
  ],
  [
    "a slot of another city",
    {
      user: { userId: "u", cityId: "TYO" },
      ...items(lineItem({ sku: "JP-TEA", sellerId: "slr_3" })),
      ...preferring(slotPreference("slot_1800", "2027-01-09")),
      optIns: [],
      expectedTotal: undefined,
    },
    ["/preferences/0/payload/slotId SLOT_NOT_IN_CITY"],
  ],
  [
    "a slot that has begun (15:30 there)",
    preferring(slotPreference("slot_1200", "2027-01-08")),
    ["/preferences/0/payload/date SLOT_IN_THE_PAST"],
  ],
  ["a slot later that day", preferring(slotPreference("slot_1800", "2027-01-08")), []],
  ["a plan of another type", optingIn(optIn({ planId: "donate_10" })), ["/optIns/0/planId PLAN_OF_OTHER_TYPE"]],
  ["a plan in another currency", optingIn(optIn({ planId: "plus_jp" })), ["/optIns/0/planId CURRENCY_MIXED"]],
  ["a change of what the user doesn't have", optingIn(optIn({ action: "MODIFY" })), ["/optIns/0/action OPT_IN_NOT_ACTIVE"]],
  [
    "a priced opt-in where all is paid later",
    { ...items(lineItem({ paymentTiming: "LATER" })), ...optingIn(optIn()) },
    ["/optIns/0/planId OPT_IN_NEEDS_PAYMENT_NOW"],
  ],
  ["an expired coupon", { couponCodes: ["LASTYEAR"] }, ["/couponCodes/0 COUPON_EXPIRED"]],
  ["a coupon twice", { couponCodes: ["NEW100", "NEW100"] }, ["/couponCodes/1 COUPON_TWICE"]],
  ["a coupon in another currency", { couponCodes: ["TOKYO100"] }, ["/couponCodes/0 COUPON_CURRENCY"]],
  ["a coupon below its minimum", { couponCodes: ["BIG500"] }, ["/couponCodes/0 COUPON_MINIMUM"]],
  ["a coupon for other goods", { lineItems: [lineItem()], couponCodes: ["FILTER20"] }, ["/couponCodes/0 COUPON_NOT_FOR_ITEMS"]],
  ["a negative expected total", { expectedTotal: { amount: -1, currency: "INR" } }, ["/expectedTotal/amount AMOUNT_INVALID"]],
])("%s", (_name, overrides, expected) => {
  test(expected.length === 0 ? "is fine" : "is refused", async () => {
    expect(await violationsOf(overrides)).toEqual(expected);
  });
});

describe("what the database knows", () => {
  test("a slot that others took is sold out, also the one that this request takes twice", async () => {
    const taken = slotPreference("slot_1800", "2027-03-01");
    const preferences = new SqlPreferences({ database, ids, catalogue });
    await preferences.createPostSellingPreferences({ ...newContext().call("STEP_1"), preferences: [taken] });
    const free = slotPreference("slot_1800", "2027-03-02", "p2");
    expect(await violationsOf(preferring(taken, free))).toEqual(["/preferences/0/payload/slotId SLOT_SOLD_OUT"]);
    expect(await violationsOf(preferring(free, { ...free, ref: "p3" }))).toEqual(["/preferences/1/payload/slotId SLOT_SOLD_OUT"]);
  });

  test("a limited coupon is refused when it is used up", async () => {
    const invoices = new SqlInvoices({ database, ids, clock, catalogue });
    const group = { paymentGroupId: "pg_1", lineItemRefs: ["l1"], sellerId: "slr_1", paymentTiming: "NOW" as const };
    const order = {
      userId: "u",
      cityId: "BLR",
      lineItems: [lineItem()],
      optIns: [],
      couponCodes: ["FIRST3"],
      paymentGroups: [group],
    };
    expect(await violationsOf({ couponCodes: ["FIRST3"] })).toEqual([]);
    for (let use = 0; use < 3; use++) await invoices.getLineItemSummary({ ...newContext().call("STEP_2"), ...order });
    expect(await violationsOf({ couponCodes: ["NEW100", "FIRST3"] })).toEqual(["/couponCodes/1 COUPON_USED_UP"]);
  });

  test("an active opt-in may be changed once in a checkout", async () => {
    const service = new SqlOptIns({ database, ids });
    const { call } = newContext();
    await service.handleOptinCreationAndModification({ ...call("STEP_4"), userId: "usr_member", optIns: [optIn()] });
    await service.activateOptIns(call("ACTIVATE"));
    const user = { userId: "usr_member", cityId: "BLR" };
    const modify = optIn({ action: "MODIFY", planId: "plus_12m" });
    expect(await violationsOf({ user, ...optingIn(modify) })).toEqual([]);
    const twice = optingIn(modify, optIn({ ref: "o2", action: "CANCEL" }));
    expect(await violationsOf({ user, ...twice })).toEqual(["/optIns/1/action OPT_IN_CHANGED_TWICE"]);
    const otherPlan = optingIn(optIn({ action: "CANCEL", planId: "plus_12m" }));
    expect(await violationsOf({ user, ...otherPlan })).toEqual(["/optIns/0/action OPT_IN_NOT_ACTIVE"]);
  });
});

test("answers odd input with violations and never throws", async () => {
  const odd = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom("__proto__", "\0", "\ud800", "", "SVC-AC-DEEP", "l1", "plus_6m", "FIRST3", "slot_0900"),
  );
  const number = fc.oneof(
    fc.integer(),
    fc.double(),
    fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.MAX_SAFE_INTEGER, -0),
  );
  const request = fc.record({
    user: fc.record({ userId: odd, cityId: fc.oneof(odd, fc.constant("BLR")) }),
    lineItems: fc.array(fc.record({ ref: odd, sku: odd, quantity: number, sellerId: odd, paymentTiming: odd }), { maxLength: 4 }),
    preferences: fc.array(
      fc.record({
        ref: odd,
        type: fc.oneof(odd, fc.constant("DELIVERY_SLOT")),
        lineItemRefs: fc.array(odd, { maxLength: 3 }),
        payload: fc.oneof(fc.dictionary(fc.constantFrom("slotId", "date"), fc.oneof(odd, number)), fc.constant(null)),
      }),
      { maxLength: 4 },
    ),
    optIns: fc.array(
      fc.record({
        ref: odd,
        type: fc.oneof(odd, fc.constant("MEMBERSHIP")),
        action: fc.constantFrom("CREATE", "MODIFY", "x"),
        planId: odd,
      }),
      { maxLength: 4 },
    ),
    couponCodes: fc.array(odd, { maxLength: 4 }),
    expectedTotal: fc.record({ amount: number, currency: odd }),
  });
  await fc.assert(
    fc.asyncProperty(request, async (body) => {
      // Past the schema's types on purpose: whatever reaches the rules is answered.
      const found = await violationsOf(body as Partial<CheckoutRequest>);
      expect(found.every((violation) => /^\/\S* [A-Z_]+$/.test(violation))).toBe(true);
    }),
    { numRuns: 200 },
  );
});
