/**
 * The body of POST /orchestration/checkout/initiate. Strict: what we don't know is refused rather than dropped,
 * because a client that sends a price, or misspells a field, believes that we heard it.
 */
import { z } from "@hono/zod-openapi";
import type { Violation } from "../machines/errors.ts";
import { OPT_IN_ACTIONS, OPT_IN_TYPES, PREFERENCE_TYPES, type CheckoutRequest } from "../steps/request.ts";
import { hasCardNumber } from "./card-number.ts";
import { VIOLATIONS_MAX } from "./json-body.ts";
import { jsonPointer } from "./json-pointer.ts";

const LINE_ITEMS_MAX = 100;
const PREFERENCES_MAX = 100;
const OPT_INS_MAX = 20;
const COUPONS_MAX = 10;
const QUANTITY_MAX = 10_000;
const URL_LENGTH_MAX = 2048;
const PAYLOAD_LENGTH_MAX = 8192;
/** The database's integer. */
const VERSION_MAX = 2_147_483_647;

/** Ids end up in keys, subjects, links and logs: letters, digits and . _ : - need no escaping in any of them. */
const id = z.string().regex(/^[A-Za-z0-9._:-]{1,64}$/, "Must be 1 to 64 of the characters A-Z a-z 0-9 . _ : -");
const appVersion = z.string().regex(/^[A-Za-z0-9._:+-]{1,64}$/, "Must be a version such as 8.4.0+12");
const noCardNumber = [
  (text: string) => !hasCardNumber(text),
  { message: "Must not be a card number. Send the instrument's token.", params: { code: "CARD_NUMBER" } },
] as const;
const instrument = id.refine(...noCardNumber);

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
    .refine((payload) => !hasCardNumber(JSON.stringify(payload)), noCardNumber[1]),
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
    payment: z.strictObject({ method: instrument, instrumentId: instrument, returnUrl: returnUrl.optional() }),
    expectedTotal: z
      .strictObject({
        amount: z.int().min(0),
        currency: z.string().regex(/^[A-Z]{3}$/, "Must be an ISO 4217 code such as INR"),
      })
      .optional(),
    couponCodes: z.array(id).max(COUPONS_MAX).optional(),
  })
  .openapi("InitiateCheckoutRequest") satisfies z.ZodType<CheckoutRequest>;

export type ParsedRequest =
  | { readonly kind: "request"; readonly request: CheckoutRequest }
  | { readonly kind: "violations"; readonly violations: readonly Violation[] };

/** Every mistake at once. Values are never repeated: they may be personal. */
export function parseCheckoutRequest(body: unknown): ParsedRequest {
  const oversized = oversizedLists(body);
  if (oversized.length > 0) return { kind: "violations", violations: oversized };
  const result = initiateBodySchema.safeParse(body, { reportInput: true });
  if (result.success) return { kind: "request", request: result.data };
  return { kind: "violations", violations: result.error.issues.flatMap(violationsOf) };
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

function violationsOf(issue: z.core.$ZodIssue): Violation[] {
  const pointer = jsonPointer(issue.path);
  switch (issue.code) {
    case "unrecognized_keys":
      // One past what is listed, so that the list says that it was cut.
      return issue.keys.slice(0, VIOLATIONS_MAX + 1).map((key) => ({
        pointer: jsonPointer([...issue.path, key]),
        code: "UNKNOWN_FIELD",
        message: "This field is not known here. Prices come from the server's catalogue.",
      }));
    case "invalid_type":
      if (issue.input === undefined) return [{ pointer, code: "MISSING", message: "This field is required." }];
      return [{ pointer, code: "WRONG_TYPE", message: `Must be ${issue.expected}` }];
    case "invalid_value":
      if (issue.input === undefined) return [{ pointer, code: "MISSING", message: "This field is required." }];
      return [{ pointer, code: "NOT_ALLOWED", message: `Must be one of ${issue.values.map(String).join(", ")}` }];
    case "too_big":
    case "too_small": {
      const isCount = issue.origin === "array" || issue.origin === "string";
      const codes = issue.code === "too_big" ? ["TOO_LONG", "TOO_LARGE"] : ["TOO_SHORT", "TOO_SMALL"];
      return [{ pointer, code: (isCount ? codes[0] : codes[1]) ?? issue.code, message: issue.message }];
    }
    case "invalid_format":
      return [{ pointer, code: "INVALID_FORMAT", message: issue.message }];
    case "custom":
      return [{ pointer, code: String(issue.params?.["code"] ?? "INVALID"), message: issue.message }];
    default:
      return [{ pointer, code: "INVALID", message: issue.message }];
  }
}

function isWebUrl(text: string): boolean {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) return false;
  const url = new URL(text);
  return url.username === "" && url.password === "";
}
