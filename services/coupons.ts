/** Which coupons may be used for what. Asked by the business rules before the checkout, and by the invoice when it counts. */
import type { Catalogue, Coupon, Sku } from "./catalogue.ts";
import { formatMoney, multiply, sum } from "./money.ts";

export interface CouponScope {
  readonly currency: string;
  readonly now: number;
  readonly goods: readonly { readonly sku: Sku; readonly quantity: number }[];
}

export interface CouponProblem {
  readonly code: string;
  readonly message: string;
}

/** Why this coupon doesn't apply, or null. Its use limit is not asked here: that takes a row lock. */
export function couponProblem(coupon: Coupon, scope: CouponScope): CouponProblem | null {
  const { discount } = coupon;
  if (coupon.expiresAt !== undefined && Date.parse(coupon.expiresAt) <= scope.now) {
    return { code: "COUPON_EXPIRED", message: `The coupon ${coupon.code} has expired. Remove it.` };
  }
  if (discount.kind === "AMOUNT" && discount.currency !== scope.currency) {
    return { code: "COUPON_CURRENCY", message: `The coupon ${coupon.code} is for carts in ${discount.currency}. Remove it.` };
  }
  const eligible = scope.goods.filter(({ sku }) => isEligible(coupon, sku.sku));
  if (eligible.length === 0) {
    return { code: "COUPON_NOT_FOR_ITEMS", message: `The coupon ${coupon.code} is for none of these line items. Remove it.` };
  }
  const worth = sum(eligible.map(({ sku, quantity }) => multiply(sku.unitPrice, quantity)));
  if (worth < coupon.minimum) {
    const minimum = formatMoney(coupon.minimum, scope.currency);
    return {
      code: "COUPON_MINIMUM",
      message: `The coupon ${coupon.code} needs goods for at least ${minimum}. Add some or remove it.`,
    };
  }
  return null;
}

export function isEligible(coupon: Coupon, sku: string): boolean {
  return coupon.skus === undefined || coupon.skus.includes(sku);
}

/** The coupons whose uses are counted. */
export function limitedCoupons(catalogue: Catalogue, codes: readonly string[]): (Coupon & { readonly useLimit: number })[] {
  return codes.flatMap((code) => {
    const coupon = catalogue.coupon(code);
    return coupon?.useLimit === undefined ? [] : [{ ...coupon, useLimit: coupon.useLimit }];
  });
}
