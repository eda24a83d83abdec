/** Requests and calls as the tests of the participants make them. */
import type { CheckoutRequest, RequestedLineItem, RequestedOptIn, RequestedPreference } from "../../steps/request.ts";
import type { Call } from "../../steps/services.ts";

let contexts = 0;

/** A checkout of its own: tests share a database and never meet. */
export function newContext(): { readonly id: string; readonly call: (step: string) => Call } {
  const id = `ctx_${String(++contexts).padStart(6, "0")}`;
  return { id, call: (step) => ({ executionContextId: id, key: `${id}:${step}` }) };
}

export function lineItem(overrides: Partial<RequestedLineItem> = {}): RequestedLineItem {
  return { ref: "l1", sku: "SVC-AC-DEEP", quantity: 2, sellerId: "slr_1", paymentTiming: "NOW", ...overrides };
}

export const FILTER = lineItem({ ref: "l2", sku: "PRD-FILTER", quantity: 1, sellerId: "slr_2" });

export function slotPreference(slotId: string, date: string, ref = "p1"): RequestedPreference {
  return { ref, type: "DELIVERY_SLOT", lineItemRefs: ["l1"], payload: { slotId, date } };
}

export function optIn(overrides: Partial<RequestedOptIn> = {}): RequestedOptIn {
  return { ref: "o1", type: "MEMBERSHIP", action: "CREATE", planId: "plus_6m", ...overrides };
}

/** The example of the documentation. */
export function documentedRequest(overrides: Partial<CheckoutRequest> = {}): CheckoutRequest {
  return {
    cart: { cartId: "cart_01J", version: 7 },
    user: { userId: "usr_42", cityId: "BLR" },
    device: { deviceId: "dev_9", platform: "ANDROID", appVersion: "8.4.0" },
    lineItems: [lineItem(), FILTER],
    preferences: [slotPreference("slot_0900", "2027-01-09")],
    optIns: [optIn()],
    payment: { method: "UPI", instrumentId: "ins_async", returnUrl: "https://shop.example/return" },
    expectedTotal: { amount: 249_900, currency: "INR" },
    couponCodes: ["NEW100"],
    ...overrides,
  };
}
