import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createDemoCatalogue } from "../../services/demo-catalogue.ts";
import { partition } from "../../services/payment-groups.ts";
import { priceCheckout } from "../../services/pricing.ts";
import type { RequestedLineItem, RequestedOptIn } from "../../steps/request.ts";
import { FILTER, lineItem, optIn } from "./checkouts.ts";

const catalogue = createDemoCatalogue();
const NOW = Date.UTC(2027, 0, 8, 10);

interface Cart {
  readonly lineItems: readonly RequestedLineItem[];
  readonly optIns?: readonly RequestedOptIn[];
  readonly couponCodes?: readonly string[];
  readonly cityId?: string;
}

function price({ lineItems, optIns = [], couponCodes = [], cityId = "BLR" }: Cart) {
  const paymentGroups = partition(lineItems, catalogue).map((part, index) => ({ ...part, paymentGroupId: `pg_${index + 1}` }));
  const pricing = priceCheckout(catalogue, { cityId, lineItems, optIns, couponCodes, paymentGroups }, NOW);
  const amounts: Record<string, number> = {};
  for (const line of pricing.lines) amounts[line.paymentGroupId] = (amounts[line.paymentGroupId] ?? 0) + line.total;
  return { ...pricing, amounts };
}

describe("the documented example", () => {
  test("comes to exactly the documented amounts", () => {
    const pricing = price({ lineItems: [lineItem(), FILTER], optIns: [optIn()], couponCodes: ["NEW100"] });
    expect(pricing).toMatchObject({ payable: 249_900, currency: "INR", amounts: { pg_1: 201_901, pg_2: 47_999 } });
    expect(pricing.lines).toMatchObject([
      { ref: "l1", kind: "LINE_ITEM", unitPrice: 99_950, quantity: 2, discount: 7999, fee: 0, total: 191_901, tax: 29_273 },
      { ref: "l2", kind: "LINE_ITEM", unitPrice: 50_000, quantity: 1, discount: 2001, fee: 0, total: 47_999, tax: 5143 },
      { ref: "o1", kind: "OPT_IN", sku: "plus_6m", discount: 0, total: 10_000, paymentGroupId: "pg_1" },
    ]);
  });
});

describe("discounts", () => {
  test("leave nothing to pay with a full coupon, fees included", () => {
    const pricing = price({ lineItems: [lineItem(), FILTER], couponCodes: ["ALLFREE"], cityId: "BOM" });
    expect(pricing.payable).toBe(0);
    expect(pricing.lines.map((line) => line.total)).toEqual([0, 0]);
  });

  test("never take more than the goods cost, and come one after the other", () => {
    const candle = lineItem({ sku: "PRD-CANDLE", quantity: 3, sellerId: "slr_2" });
    expect(price({ lineItems: [candle], couponCodes: ["NEW100"] }).payable).toBe(0);
    expect(price({ lineItems: [FILTER], couponCodes: ["NEW100", "TENOFF"] }).payable).toBe(36_000);
  });

  test("fall only on the SKUs that the coupon is for", () => {
    const pricing = price({ lineItems: [lineItem(), FILTER], couponCodes: ["FILTER20"] });
    expect(pricing.lines.map((line) => line.discount)).toEqual([0, 10_000]);
  });
});

test("adds a fee once per line in the cities that have one", () => {
  const [line] = price({ lineItems: [lineItem()], cityId: "BOM" }).lines;
  expect(line).toMatchObject({ fee: 4900, total: 204_800 });
});

test("charges a new opt-in its price, a changed one the price of the change, and nothing for the end of one", () => {
  const optIns = [
    optIn(),
    optIn({ ref: "o2", action: "MODIFY", planId: "plus_12m" }),
    optIn({ ref: "o3", type: "DONATION", action: "CANCEL", planId: "donate_10" }),
  ];
  expect(
    price({ lineItems: [FILTER], optIns })
      .lines.slice(1)
      .map((line) => line.total),
  ).toEqual([10_000, 9000, 0]);
});

test("puts opt-ins into the first group that pays now", () => {
  const pricing = price({ lineItems: [lineItem({ paymentTiming: "LATER" }), FILTER], optIns: [optIn()] });
  expect(pricing.amounts).toEqual({ pg_1: 199_900, pg_2: 60_000 });
});

test("refuses two currencies, and what left the catalogue or ran out since the request was checked", () => {
  const refusal = { class: "TERMINAL", code: "BUSINESS_RULE" };
  const failing: Cart[] = [
    { lineItems: [lineItem(), lineItem({ ref: "l2", sku: "JP-TEA", sellerId: "slr_3" })] },
    { lineItems: [lineItem()], couponCodes: ["NONE"] },
    { lineItems: [lineItem()], couponCodes: ["LASTYEAR"] },
    { lineItems: [lineItem()], couponCodes: ["BIG500"] },
    { lineItems: [lineItem()], couponCodes: ["TOKYO100"] },
    { lineItems: [lineItem()], optIns: [optIn({ planId: "gone" })] },
  ];
  for (const cart of failing) expect(() => price(cart)).toThrow(expect.objectContaining(refusal));
});

const MARKETS = [
  {
    cityId: "BOM",
    skus: ["SVC-AC-DEEP", "PRD-FILTER", "PRD-CANDLE", "PRD-GIFT-CARD"],
    plan: "plus_6m",
    coupons: ["NEW100", "TENOFF", "ALLFREE"],
  },
  { cityId: "TYO", skus: ["JP-TEA", "JP-CLEANING"], plan: "plus_jp", coupons: ["TOKYO100", "TENOFF"] },
  { cityId: "KWI", skus: ["KW-DATES", "KW-CAR-WASH"], plan: "plus_kw", coupons: ["KUWAIT1", "TENOFF"] },
] as const;

const cart = fc.constantFrom(...MARKETS).chain((market) =>
  fc.record({
    market: fc.constant(market),
    items: fc.array(
      fc.record({
        sku: fc.constantFrom<string>(...market.skus),
        quantity: fc.integer({ min: 1, max: 99 }),
        sellerId: fc.constantFrom("slr_1", "slr_2", "slr_3"),
        paymentTiming: fc.constantFrom("NOW", "LATER"),
      }),
      { minLength: 1, maxLength: 30 },
    ),
    coupons: fc.subarray<string>([...market.coupons]),
    hasPlan: fc.boolean(),
  }),
);

test("has lines, and groups, that sum to payable exactly in every currency, with no negative amount anywhere", () => {
  fc.assert(
    fc.property(cart, ({ market, items, coupons, hasPlan }) => {
      const lineItems = items.map((item, index) => lineItem({ ...item, ref: `l${index}` }));
      const optIns = hasPlan ? [optIn({ planId: market.plan })] : [];
      const pricing = price({ lineItems, optIns, couponCodes: coupons, cityId: market.cityId });
      const total = (amounts: readonly number[]) => amounts.reduce((acc, amount) => acc + amount, 0);
      expect(total(pricing.lines.map((line) => line.total))).toBe(pricing.payable);
      expect(total(Object.values(pricing.amounts))).toBe(pricing.payable);
      for (const line of pricing.lines) {
        expect(line.unitPrice * line.quantity + line.fee - line.discount).toBe(line.total);
        expect(Math.min(line.total, line.discount, line.tax)).toBeGreaterThanOrEqual(0);
        expect(Number.isSafeInteger(line.total) && line.tax <= line.total).toBe(true);
      }
    }),
  );
});
