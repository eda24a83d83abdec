import type { CheckoutRequest, RequestedLineItem } from "../steps/request.ts";
import type { Catalogue, Sku } from "./catalogue.ts";
import { quoted, type Report, reportDuplicates } from "./violations.ts";

const LINE_ITEMS_MAX = 100;

export interface KnownItem {
  readonly index: number;
  readonly item: RequestedLineItem;
  readonly sku: Sku;
}

/** Reports what is wrong with the line items; returns those whose SKU is known, for the rules that build on them. */
export function checkLineItems(request: CheckoutRequest, catalogue: Catalogue, report: Report): readonly KnownItem[] {
  const { lineItems } = request;
  if (lineItems.length === 0) report("/lineItems", "LINE_ITEMS_MISSING", "A checkout needs at least one line item. Add one.");
  if (lineItems.length > LINE_ITEMS_MAX) {
    report("/lineItems", "LINE_ITEMS_TOO_MANY", `A checkout takes at most ${LINE_ITEMS_MAX} line items. Split the cart.`);
    return [];
  }
  reportDuplicates(
    lineItems.map((item) => item.ref),
    (index) => `/lineItems/${index}/ref`,
    report,
  );
  const known: KnownItem[] = [];
  for (const [index, item] of lineItems.entries()) {
    const sku = catalogue.sku(item.sku);
    if (sku === undefined) {
      report(`/lineItems/${index}/sku`, "SKU_UNKNOWN", `The SKU ${quoted(item.sku)} is not sold. Remove this line item.`);
    } else {
      known.push({ index, item, sku });
    }
  }
  const isCityKnown = catalogue.city(request.user.cityId) !== undefined;
  for (const entry of known) checkSale(entry, isCityKnown ? request.user.cityId : null, report);
  checkQuantities(known, report);
  checkCurrency(known, report);
  return known;
}

function checkSale({ index, item, sku }: KnownItem, cityId: string | null, report: Report): void {
  if (cityId !== null && !sku.cities.includes(cityId)) {
    report(
      `/lineItems/${index}/sku`,
      "SKU_NOT_SOLD_IN_CITY",
      `${sku.sku} is not sold in ${cityId}. Remove this line item or choose another city.`,
    );
  }
  if (item.sellerId !== sku.sellerId) {
    report(
      `/lineItems/${index}/sellerId`,
      "SELLER_MISMATCH",
      `${sku.sku} is sold by ${sku.sellerId}, not by ${quoted(item.sellerId)}. Correct the seller.`,
    );
  }
  if (item.paymentTiming !== "NOW" && item.paymentTiming !== "LATER") {
    report(`/lineItems/${index}/paymentTiming`, "PAYMENT_TIMING_UNKNOWN", "The payment timing is NOW or LATER. Choose one.");
  }
}

/** Over all lines of a SKU: otherwise two lines would buy twice the limit. */
function checkQuantities(known: readonly KnownItem[], report: Report): void {
  const ordered = new Map<string, number>();
  for (const { index, item, sku } of known) {
    const pointer = `/lineItems/${index}/quantity`;
    if (!Number.isSafeInteger(item.quantity) || item.quantity < 1) {
      report(pointer, "QUANTITY_INVALID", "A quantity is a whole number from 1. Correct it.");
      continue;
    }
    const before = ordered.get(sku.sku) ?? 0;
    ordered.set(sku.sku, before + item.quantity);
    if (before + item.quantity > sku.quantityMax) {
      report(pointer, "QUANTITY_ABOVE_LIMIT", `At most ${sku.quantityMax} of ${sku.sku} are sold per checkout. Order fewer.`);
    }
  }
  for (const [name, quantity] of ordered) {
    const last = known.findLast(({ sku }) => sku.sku === name);
    if (last !== undefined && quantity < last.sku.quantityMin) {
      const message = `At least ${last.sku.quantityMin} of ${name} are sold per checkout. Order more or remove it.`;
      report(`/lineItems/${last.index}/quantity`, "QUANTITY_BELOW_LIMIT", message);
    }
  }
}

function checkCurrency(known: readonly KnownItem[], report: Report): void {
  const currency = known[0]?.sku.currency;
  for (const { index, sku } of known) {
    if (sku.currency === currency) continue;
    report(
      `/lineItems/${index}/sku`,
      "CURRENCY_MIXED",
      `${sku.sku} is sold in ${sku.currency}, the cart is in ${currency}. Check it out on its own.`,
    );
  }
}
