/** The repeated parts of /openapi.json. */
import type { z } from "@hono/zod-openapi";
import { problemSchema } from "./response-schema.ts";

export function jsonResponse<Schema extends z.ZodType>(description: string, schema: Schema) {
  return { description, content: { "application/json": { schema } } };
}

const DESCRIPTIONS = {
  400: "VALIDATION_FAILED, with every violation",
  401: "UNAUTHENTICATED",
  403: "FORBIDDEN",
  404: "NOT_FOUND, another caller's checkout too",
  409: "CHECKOUT_IN_PROGRESS, CART_ALREADY_CHECKED_OUT, CART_VERSION_STALE, LOCKED, PRICE_CHANGED (with `invoice`), CANCELLED",
  413: "PAYLOAD_TOO_LARGE",
  415: "UNSUPPORTED_MEDIA_TYPE",
  422: "IDEMPOTENCY_KEY_REUSED, PAYMENT_DECLINED, PAYMENT_EXPIRED, BUSINESS_RULE",
  500: "UNEXPECTED: a bug",
  502: "STEP_FAILED: a participant failed for good",
  503: "RETRY_SCHEDULED, UNAVAILABLE, OVERLOADED, DRAINING or NOT_READY, with Retry-After",
} as const;

export function problemResponses(...statuses: readonly (keyof typeof DESCRIPTIONS)[]) {
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      { description: DESCRIPTIONS[status], content: { "application/problem+json": { schema: problemSchema } } },
    ]),
  );
}
