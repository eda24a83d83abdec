import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { InvariantError } from "../../machines/errors.ts";
import { formatMoney, multiply, portion, spread, sum, taxIncluded } from "../../services/money.ts";

const amount = fc.integer({ min: 0, max: 10 ** 12 });
const weights = fc
  .array(fc.integer({ min: 0, max: 10 ** 12 }), { minLength: 1, maxLength: 20 })
  .filter((parts) => parts.some((part) => part > 0));

describe("dividing an amount by largest remainder", () => {
  test("divides the documented coupon into 7999 and 2001", () => {
    expect(spread(10_000, [199_900, 50_000])).toEqual([7999, 2001]);
  });

  test("gives the odd units of three equal thirds to the earlier parts", () => {
    expect(spread(100, [3333, 3333, 3333])).toEqual([34, 33, 33]);
  });

  test("has parts that always sum to the amount, none further than one unit from its exact share", () => {
    fc.assert(
      fc.property(amount, weights, (whole, parts) => {
        const shares = spread(whole, parts);
        expect(shares.reduce((total, share) => total + share, 0)).toBe(whole);
        const total = parts.reduce((acc, part) => acc + BigInt(part), 0n);
        for (const [index, share] of shares.entries()) {
          const difference = BigInt(share) * total - BigInt(whole) * BigInt(parts[index] ?? 0);
          expect(difference < total && difference > -total).toBe(true);
        }
      }),
    );
  });

  test("gives nothing to a part without weight, and never more than the weight when the whole is smaller", () => {
    fc.assert(
      fc.property(weights, fc.nat(), (parts, seed) => {
        const total = parts.reduce((acc, part) => acc + part, 0);
        const shares = spread(seed % (total + 1), parts);
        for (const [index, share] of shares.entries()) expect(share).toBeLessThanOrEqual(parts[index] ?? 0);
      }),
    );
  });

  test("refuses an amount over parts that weigh nothing, a negative one and a fraction", () => {
    expect(spread(0, [0, 0])).toEqual([0, 0]);
    expect(() => spread(1, [0, 0])).toThrow(InvariantError);
    expect(() => spread(-1, [1])).toThrow(InvariantError);
    expect(() => spread(0.5, [1])).toThrow(InvariantError);
  });
});

describe("rounding", () => {
  test("takes the tax that a price contains to the nearest unit", () => {
    expect(taxIncluded(11_800, 1800)).toBe(1800);
    expect(taxIncluded(191_901, 1800)).toBe(29_273);
    expect(taxIncluded(333, 800)).toBe(25);
    expect(taxIncluded(500, 0)).toBe(0);
  });

  test("takes a percentage to the nearest unit and all of it at 100 %", () => {
    expect(portion(3333, 1000)).toBe(333);
    expect(portion(3335, 1000)).toBe(333);
    expect(portion(3336, 1000)).toBe(334);
    fc.assert(fc.property(amount, (whole) => portion(whole, 10_000) === whole));
  });

  test("refuses a sum or product that a number can't hold exactly", () => {
    expect(() => sum([Number.MAX_SAFE_INTEGER, 1])).toThrow(InvariantError);
    expect(() => multiply(Number.MAX_SAFE_INTEGER, 2)).toThrow(InvariantError);
  });
});

test("writes amounts with the decimals of their currency", () => {
  expect(formatMoney(249_900, "INR")).toBe("INR 2499.00");
  expect(formatMoney(333, "JPY")).toBe("JPY 333");
  expect(formatMoney(1234, "KWD")).toBe("KWD 1.234");
});
