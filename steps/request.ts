/** What a client asks for: the body of POST /orchestration/checkout/initiate, after validation. */

export const PREFERENCE_TYPES = ["DELIVERY_SLOT", "INSTRUCTION", "SUBSTITUTION", "GIFT", "CONTACT", "PROVIDER"] as const;
export type PreferenceType = (typeof PREFERENCE_TYPES)[number];

export const OPT_IN_TYPES = ["MEMBERSHIP", "PROTECTION_PLAN", "DONATION", "MANDATE", "CONSENT"] as const;
export type OptInType = (typeof OPT_IN_TYPES)[number];

export const OPT_IN_ACTIONS = ["CREATE", "MODIFY", "CANCEL"] as const;
export type OptInAction = (typeof OPT_IN_ACTIONS)[number];

export interface CheckoutRequest {
  readonly cart: { readonly cartId: string; readonly version: number };
  readonly user: { readonly userId: string; readonly cityId: string };
  readonly device?: { readonly deviceId: string; readonly platform: string; readonly appVersion: string } | undefined;
  readonly lineItems: readonly RequestedLineItem[];
  readonly preferences?: readonly RequestedPreference[] | undefined;
  readonly optIns?: readonly RequestedOptIn[] | undefined;
  readonly payment: RequestedPayment;
  readonly expectedTotal?: { readonly amount: number; readonly currency: string } | undefined;
  readonly couponCodes?: readonly string[] | undefined;
}

export interface RequestedLineItem {
  readonly ref: string;
  readonly sku: string;
  readonly quantity: number;
  readonly sellerId: string;
  readonly paymentTiming: "NOW" | "LATER";
}

export interface RequestedPreference {
  readonly ref: string;
  readonly type: PreferenceType;
  readonly lineItemRefs: readonly string[];
  readonly payload: Readonly<Record<string, unknown>>;
}

export interface RequestedOptIn {
  readonly ref: string;
  readonly type: OptInType;
  readonly action: OptInAction;
  readonly planId: string;
}

export interface RequestedPayment {
  readonly method: string;
  readonly instrumentId: string;
  readonly returnUrl?: string | undefined;
}
