/** Exact money. Amounts are integers in minor units; nothing here ever passes through a fraction. */
import { dinero, toDecimal } from "dinero.js/bigint";
import * as currencies from "dinero.js/bigint/currencies";
import { InvariantError } from "../machines/errors.ts";

/** A hundredth of a percent: 18 % is 1800. */
export const BASIS_POINTS = 10_000;

/**
 * Divides `amount` in proportion to `weights`, by largest remainder: the parts always sum to `amount`,
 * and none is further than one unit from its exact share. Ties go to the earlier part, so that
 * the same cart is always divided alike. (dinero's own `allocate` hands the rest out by position instead.)
 */
export function spread(amount: number, weights: readonly number[]): number[] {
  const total = weights.reduce((sum, weight) => sum + toBigint(weight), 0n);
  const whole = toBigint(amount);
  if (total === 0n) {
    if (whole !== 0n) throw new InvariantError(`${amount} can't be divided over parts that weigh nothing.`);
    return weights.map(() => 0);
  }
  const parts = weights.map((weight, index) => {
    const product = whole * BigInt(weight);
    return { index, share: product / total, remainder: product % total };
  });
  let rest = whole - parts.reduce((sum, part) => sum + part.share, 0n);
  const byRemainder = parts.toSorted((a, b) =>
    a.remainder === b.remainder ? a.index - b.index : a.remainder > b.remainder ? -1 : 1,
  );
  for (const part of byRemainder) {
    if (rest === 0n) break;
    part.share += 1n;
    rest -= 1n;
  }
  return parts.map((part) => toAmount(part.share));
}

/** `basisPoints` of `amount`, rounded to the nearest unit, a half in favour of the rest. */
export function portion(amount: number, basisPoints: number): number {
  const [, part = 0] = spread(amount, [BASIS_POINTS - basisPoints, basisPoints]);
  return part;
}

/** The tax that a price already contains, rounded to the nearest unit. */
export function taxIncluded(total: number, taxBasisPoints: number): number {
  const [, tax = 0] = spread(total, [BASIS_POINTS, taxBasisPoints]);
  return tax;
}

export function sum(amounts: readonly number[]): number {
  return toAmount(amounts.reduce((total, amount) => total + toBigint(amount), 0n));
}

export function multiply(amount: number, quantity: number): number {
  return toAmount(toBigint(amount) * toBigint(quantity));
}

const ISO_4217 = new Map(Object.entries(currencies));

export function isCurrency(code: string): boolean {
  return ISO_4217.has(code);
}

/** For people: `INR 2499.00`, `JPY 333`, `KWD 1.234`. */
export function formatMoney(amount: number, currency: string): string {
  const known = ISO_4217.get(currency);
  if (known === undefined || !Number.isSafeInteger(amount)) return `${amount} ${currency}`;
  return `${currency} ${toDecimal(dinero({ amount: BigInt(amount), currency: known }))}`;
}

function toBigint(amount: number): bigint {
  if (!Number.isSafeInteger(amount) || amount < 0) throw new InvariantError(`${amount} is no amount in minor units.`);
  return BigInt(amount);
}

function toAmount(value: bigint): number {
  const amount = Number(value);
  // Past 2^53 a number loses units in silence; JSON and our columns hold numbers.
  if (!Number.isSafeInteger(amount)) throw new InvariantError(`${value} is more than an amount can hold.`);
  return amount;
}
