import { and, eq, inArray } from "drizzle-orm";
import type { Violation } from "../machines/errors.ts";
import type { Database } from "../persistence/connect.ts";
import { couponStock, optIns, slotStock } from "../persistence/service-schema.ts";
import type { Clock } from "../steps/ports.ts";
import type { CheckoutRequest } from "../steps/request.ts";
import type { CheckoutRules } from "../steps/services.ts";
import type { Catalogue } from "./catalogue.ts";
import { couponProblem, limitedCoupons } from "./coupons.ts";
import { checkLineItems, type KnownItem } from "./line-item-rules.ts";
import { checkOptIns, type WantedChange } from "./opt-in-rules.ts";
import { checkPreferences, type WantedPlace } from "./preference-rules.ts";
import { collectViolations, quoted, type Report } from "./violations.ts";

const COUPONS_MAX = 10;

export interface RulesDeps {
  readonly database: Database;
  readonly clock: Clock;
  readonly catalogue: Catalogue;
}

/**
 * The business rules over the catalogue and our own tables. Reads only, without locks: at most three
 * queries, and only for slots, limited coupons and changes of opt-ins. What changes after the answer
 * is refused again by the step that takes it.
 */
export class SqlCheckoutRules implements CheckoutRules {
  constructor(private readonly deps: RulesDeps) {}

  async check(request: CheckoutRequest): Promise<readonly Violation[]> {
    const { catalogue, clock } = this.deps;
    const { violations, report } = collectViolations();
    const now = clock.now();
    checkUser(request, catalogue, report);
    const known = checkLineItems(request, catalogue, report);
    const places = checkPreferences(request, { catalogue, known, now }, report);
    const changes = checkOptIns(request, catalogue, known, report);
    checkCoupons(request, catalogue, known, now, report);
    checkExpectedTotal(request, known, report);
    await Promise.all([
      this.#checkPlacesLeft(places, report),
      this.#checkUsesLeft(request, report),
      this.#checkChangeable(request, changes, report),
    ]);
    return violations;
  }

  async #checkPlacesLeft(places: readonly WantedPlace[], report: Report): Promise<void> {
    if (places.length === 0) return;
    const stock = await this.deps.database.orm
      .select()
      .from(slotStock)
      .where(
        and(
          inArray(slotStock.slotId, unique(places.map(({ slot }) => slot.slotId))),
          inArray(slotStock.date, unique(places.map(({ date }) => date))),
        ),
      );
    const left = new Map(stock.map((row) => [placeKey(row.slotId, row.date), row.capacity - row.taken]));
    for (const { pointer, slot, date } of places) {
      const key = placeKey(slot.slotId, date);
      const free = left.get(key) ?? slot.capacity;
      if (free < 1) report(pointer, "SLOT_SOLD_OUT", `The slot ${slot.slotId} on ${date} is sold out. Choose another.`);
      left.set(key, free - 1);
    }
  }

  async #checkUsesLeft(request: CheckoutRequest, report: Report): Promise<void> {
    const codes = request.couponCodes ?? [];
    const limited = codes.length > COUPONS_MAX ? [] : limitedCoupons(this.deps.catalogue, codes);
    if (limited.length === 0) return;
    const stock = await this.deps.database.orm
      .select()
      .from(couponStock)
      .where(inArray(couponStock.code, unique(limited.map((coupon) => coupon.code))));
    const usedUp = new Set(stock.filter((row) => row.used >= row.useLimit).map((row) => row.code));
    for (const [index, code] of codes.entries()) {
      if (usedUp.has(code)) report(`/couponCodes/${index}`, "COUPON_USED_UP", `The coupon ${code} is used up. Remove it.`);
    }
  }

  async #checkChangeable(request: CheckoutRequest, changes: readonly WantedChange[], report: Report): Promise<void> {
    // Postgres refuses NUL in a text; nobody of that name has an opt-in anyway.
    const userId = request.user.userId.replaceAll("\0", "");
    if (changes.length === 0) return;
    const active = await this.deps.database.orm
      .select({ type: optIns.type, planId: optIns.planId })
      .from(optIns)
      .where(and(eq(optIns.userId, userId), eq(optIns.status, "ACTIVE")));
    for (const { pointer, optIn } of changes) {
      const match = active.some((row) => row.type === optIn.type && (optIn.action === "MODIFY" || row.planId === optIn.planId));
      if (match) continue;
      const verb = optIn.action.toLowerCase();
      report(
        pointer,
        "OPT_IN_NOT_ACTIVE",
        `This user has no active ${optIn.type} to ${verb}. Remove this opt-in, or CREATE one.`,
      );
    }
  }
}

function checkUser(request: CheckoutRequest, catalogue: Catalogue, report: Report): void {
  const { userId, cityId } = request.user;
  if (!catalogue.isActiveUser(userId)) {
    report("/user/userId", "USER_BLOCKED", `The user ${quoted(userId)} may not buy. Ask support to reactivate the account.`);
  }
  if (catalogue.city(cityId) === undefined) {
    report("/user/cityId", "CITY_UNKNOWN", `Nothing is sold in ${quoted(cityId)}. Choose a city that is served.`);
  }
}

function checkCoupons(
  request: CheckoutRequest,
  catalogue: Catalogue,
  known: readonly KnownItem[],
  now: number,
  report: Report,
): void {
  const codes = request.couponCodes ?? [];
  if (codes.length > COUPONS_MAX) {
    report("/couponCodes", "COUPONS_TOO_MANY", `A checkout takes at most ${COUPONS_MAX} coupons. Leave some out.`);
    return;
  }
  const goods = known
    .filter(({ item }) => Number.isSafeInteger(item.quantity) && item.quantity >= 1)
    .map(({ item, sku }) => ({ sku, quantity: Math.min(item.quantity, sku.quantityMax) }));
  const currency = goods[0]?.sku.currency;
  for (const [index, code] of codes.entries()) {
    const pointer = `/couponCodes/${index}`;
    const coupon = catalogue.coupon(code);
    if (coupon === undefined) {
      report(pointer, "COUPON_UNKNOWN", `There is no coupon ${quoted(code)}. Remove it.`);
    } else if (codes.indexOf(code) < index) {
      report(pointer, "COUPON_TWICE", `The coupon ${coupon.code} counts once. Remove it here.`);
    } else if (currency !== undefined) {
      const problem = couponProblem(coupon, { currency, now, goods });
      if (problem !== null) report(pointer, problem.code, problem.message);
    }
  }
}

/** Whether the amount is right, the invoice tells (PRICE_CHANGED); here only whether it can be. */
function checkExpectedTotal(request: CheckoutRequest, known: readonly KnownItem[], report: Report): void {
  const expected = request.expectedTotal;
  if (expected === undefined) return;
  if (!Number.isSafeInteger(expected.amount) || expected.amount < 0) {
    report("/expectedTotal/amount", "AMOUNT_INVALID", "An amount is a whole number of minor units, from 0. Correct it.");
  }
  const currency = known[0]?.sku.currency;
  if (currency !== undefined && expected.currency !== currency) {
    const message = `The cart is sold in ${currency}, the expected total is in ${quoted(expected.currency)}. Correct it.`;
    report("/expectedTotal/currency", "CURRENCY_MISMATCH", message);
  }
}

function placeKey(slotId: string, date: string): string {
  return `${slotId} ${date}`;
}

function unique(words: readonly string[]): string[] {
  return [...new Set(words)];
}
