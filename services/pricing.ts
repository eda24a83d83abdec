/** What a cart costs: pure arithmetic over the catalogue. The client's own prices are never asked. */
import type { InvoiceLine, PaymentGroup } from "../machines/context.ts";
import { InvariantError, TerminalError } from "../machines/errors.ts";
import type { RequestedLineItem, RequestedOptIn } from "../steps/request.ts";
import type { Catalogue, Coupon, Plan, Sku } from "./catalogue.ts";
import { couponProblem, isEligible } from "./coupons.ts";
import { multiply, portion, spread, sum, taxIncluded } from "./money.ts";

export interface PricingRequest {
  readonly cityId: string;
  readonly lineItems: readonly RequestedLineItem[];
  readonly optIns: readonly RequestedOptIn[];
  readonly couponCodes: readonly string[];
  readonly paymentGroups: readonly PaymentGroup[];
}

export interface Pricing {
  readonly currency: string;
  readonly payable: number;
  readonly lines: readonly InvoiceLine[];
}

/** TerminalError `BUSINESS_RULE` where the catalogue no longer allows what the business rules had let pass. */
export function priceCheckout(catalogue: Catalogue, request: PricingRequest, now: number): Pricing {
  const goods = request.lineItems.map((item) => ({ item, sku: knownSku(catalogue, item), quantity: item.quantity }));
  const plans = request.optIns.map((optIn) => ({ optIn, plan: knownPlan(catalogue, optIn) }));
  const currency = oneCurrency([...goods.map(({ sku }) => sku), ...plans.map(({ plan }) => plan)]);
  const charges = goods.map(({ item, sku }) => chargeOf(item, sku, request.cityId));
  const coupons = request.couponCodes.map((code) => {
    const coupon = catalogue.coupon(code);
    const problem = coupon === undefined ? null : couponProblem(coupon, { currency, now, goods });
    if (coupon === undefined || problem !== null)
      throw refused(problem?.message ?? `The coupon ${code} is gone. Remove it.`, { code });
    return coupon;
  });
  const discounts = discountsOf(charges, coupons);
  const itemLines = charges.map((charge, index) => itemLine(charge, discounts[index] ?? 0, groupOf(request, charge.item)));
  const optInLines = plans.map(({ optIn, plan }) => optInLine(optIn, plan, groupOfOptIns(request)));
  const lines = [...itemLines, ...optInLines];
  return { currency, payable: sum(lines.map((line) => line.total)), lines };
}

interface Charge {
  readonly item: RequestedLineItem;
  readonly sku: Sku;
  readonly fee: number;
  /** Goods and fee, before discounts. */
  readonly gross: number;
}

function chargeOf(item: RequestedLineItem, sku: Sku, cityId: string): Charge {
  const fee = sum(sku.fees.filter((entry) => entry.cityId === cityId).map((entry) => entry.amount));
  return { item, sku, fee, gross: sum([multiply(sku.unitPrice, item.quantity), fee]) };
}

/** One coupon after the other, each on what the earlier ones left; none takes more than there is. Fees are discounted like goods. */
function discountsOf(charges: readonly Charge[], coupons: readonly Coupon[]): readonly number[] {
  let discounts = charges.map(() => 0);
  for (const coupon of coupons) {
    const rest = charges.map((charge, index) =>
      isEligible(coupon, charge.sku.sku) ? charge.gross - (discounts[index] ?? 0) : 0,
    );
    const whole = sum(rest);
    const { discount } = coupon;
    const amount = discount.kind === "AMOUNT" ? Math.min(discount.amount, whole) : portion(whole, discount.basisPoints);
    const parts = spread(amount, rest);
    discounts = discounts.map((given, index) => given + (parts[index] ?? 0));
  }
  return discounts;
}

function itemLine(charge: Charge, discount: number, paymentGroupId: string): InvoiceLine {
  const total = charge.gross - discount;
  return {
    ref: charge.item.ref,
    kind: "LINE_ITEM",
    sku: charge.sku.sku,
    quantity: charge.item.quantity,
    unitPrice: charge.sku.unitPrice,
    discount,
    tax: taxIncluded(total, charge.sku.taxBasisPoints),
    fee: charge.fee,
    total,
    paymentGroupId,
  };
}

function optInLine(optIn: RequestedOptIn, plan: Plan, paymentGroupId: string): InvoiceLine {
  const total = optInPrice(optIn, plan);
  return {
    ref: optIn.ref,
    kind: "OPT_IN",
    sku: plan.planId,
    quantity: 1,
    unitPrice: total,
    discount: 0,
    tax: taxIncluded(total, plan.taxBasisPoints),
    fee: 0,
    total,
    paymentGroupId,
  };
}

export function optInPrice(optIn: RequestedOptIn, plan: Plan): number {
  switch (optIn.action) {
    case "CREATE":
      return plan.price;
    case "MODIFY":
      return plan.modifyPrice;
    case "CANCEL":
      return 0;
    default:
      return optIn.action satisfies never;
  }
}

function groupOf(request: PricingRequest, item: RequestedLineItem): string {
  const group = request.paymentGroups.find((entry) => entry.lineItemRefs.includes(item.ref));
  if (group === undefined) throw new InvariantError(`Line item ${item.ref} is in no payment group.`);
  return group.paymentGroupId;
}

/** Opt-ins join the first group that pays now; the business rules refuse priced opt-ins where there is none. */
function groupOfOptIns(request: PricingRequest): string {
  const group = request.paymentGroups.find((entry) => entry.paymentTiming === "NOW") ?? request.paymentGroups[0];
  if (group === undefined) throw new InvariantError("A checkout without payment groups can't be priced.");
  return group.paymentGroupId;
}

function knownSku(catalogue: Catalogue, item: RequestedLineItem): Sku {
  const sku = catalogue.sku(item.sku);
  if (sku === undefined) throw refused(`${item.sku} is no longer sold. Remove it.`, { ref: item.ref, sku: item.sku });
  return sku;
}

function knownPlan(catalogue: Catalogue, optIn: RequestedOptIn): Plan {
  const plan = catalogue.plan(optIn.planId);
  if (plan === undefined)
    throw refused(`The plan ${optIn.planId} is no longer sold. Remove it.`, { ref: optIn.ref, planId: optIn.planId });
  return plan;
}

function oneCurrency(priced: readonly { readonly currency: string }[]): string {
  const currencies = [...new Set(priced.map((entry) => entry.currency))];
  const [currency] = currencies;
  if (currency === undefined) throw new InvariantError("A checkout without line items can't be priced.");
  if (currencies.length > 1)
    throw refused(`One checkout pays in one currency, not in ${currencies.join(" and ")}. Split the cart.`, { currencies });
  return currency;
}

function refused(message: string, details: Readonly<Record<string, unknown>>): TerminalError {
  return new TerminalError("BUSINESS_RULE", message, { details });
}
