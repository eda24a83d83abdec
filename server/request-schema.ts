/**
 * The body of POST /orchestration/checkout/initiate. Strict: what we don't know is refused rather than dropped,
 * because a client that sends a price, or misspells a field, believes that we heard it.
 */
import { z } from "@hono/zod-openapi";
import type { Violation } from "../machines/errors.ts";
import { OPT_IN_ACTIONS, OPT_IN_TYPES, PREFERENCE_TYPES, type CheckoutRequest } from "../steps/request.ts";
import { currency, id, noCardNumber, paymentChoice } from "./field-schemas.ts";
import { parseWith, type Parsed } from "./violations.ts";

const LINE_ITEMS_MAX = 100;
const PREFERENCES_MAX = 100;
const OPT_INS_MAX = 20;
const COUPONS_MAX = 10;
const QUANTITY_MAX = 10_000;
const URL_LENGTH_MAX = 2048;
const PAYLOAD_LENGTH_MAX = 8192;
/** The database's integer. */
const VERSION_MAX = 2_147_483_647;

const appVersion = z.string().regex(/^[A-Za-z0-9._:+-]{1,64}$/, "Must be a version such as 8.4.0+12");

const lineItem = z.strictObject({
  ref: id,
  sku: id,
  quantity: z.int().min(1).max(QUANTITY_MAX),
  sellerId: id,
  paymentTiming: z.enum(["NOW", "LATER"]),
});

const preference = z.strictObject({
  ref: id,
  type: z.enum(PREFERENCE_TYPES),
  lineItemRefs: z.array(id).min(1).max(LINE_ITEMS_MAX),
  payload: z
    .record(z.string(), z.unknown())
    .refine((payload) => JSON.stringify(payload).length <= PAYLOAD_LENGTH_MAX, {
      message: `Must have at most ${PAYLOAD_LENGTH_MAX} characters of JSON`,
      params: { code: "TOO_LONG" },
    })
    .refine((payload) => noCardNumber[0](JSON.stringify(payload)), noCardNumber[1]),
});

const optIn = z.strictObject({ ref: id, type: z.enum(OPT_IN_TYPES), action: z.enum(OPT_IN_ACTIONS), planId: id });

const returnUrl = z
  .string()
  .max(URL_LENGTH_MAX)
  .refine(isWebUrl, { message: "Must be an absolute http or https URL without user info", params: { code: "INVALID_URL" } });

export const initiateBodySchema = z
  .strictObject({
    cart: z.strictObject({ cartId: id, version: z.int().min(0).max(VERSION_MAX) }),
    user: z.strictObject({ userId: id, cityId: id }),
    device: z.strictObject({ deviceId: id, platform: id, appVersion }).optional(),
    lineItems: z.array(lineItem).min(1).max(LINE_ITEMS_MAX),
    preferences: z.array(preference).max(PREFERENCES_MAX).optional(),
    optIns: z.array(optIn).max(OPT_INS_MAX).optional(),
    payment: z.strictObject({ ...paymentChoice, returnUrl: returnUrl.optional() }),
    expectedTotal: z
      .strictObject({
        amount: z.int().min(0),
        currency,
      })
      .optional(),
    couponCodes: z.array(id).max(COUPONS_MAX).optional(),
  })
  .openapi("InitiateCheckoutRequest") satisfies z.ZodType<CheckoutRequest>;

export function parseCheckoutRequest(body: unknown): Parsed<CheckoutRequest> {
  const oversized = oversizedLists(body);
  return oversized.length > 0 ? { kind: "violations", violations: oversized } : parseWith(initiateBodySchema, body);
}

/** Checked before their elements are: a body of 100,000 wrong items would cost everybody else a second. */
function oversizedLists(body: unknown): Violation[] {
  const limits = { lineItems: LINE_ITEMS_MAX, preferences: PREFERENCES_MAX, optIns: OPT_INS_MAX, couponCodes: COUPONS_MAX };
  if (typeof body !== "object" || body === null) return [];
  const members: Readonly<Record<string, unknown>> = { ...body };
  return Object.entries(limits).flatMap(([name, max]) => {
    const list = members[name];
    if (!Array.isArray(list) || list.length <= max) return [];
    return [{ pointer: `/${name}`, code: "TOO_MANY", message: `Must have at most ${max} elements` }];
  });
}

function isWebUrl(text: string): boolean {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return false;
  const url = new URL(text);
  return url.username === "" && url.password === "";
}
