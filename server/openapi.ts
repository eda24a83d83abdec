/** The repeated parts of /openapi.json. */
import type { z } from "@hono/zod-openapi";
import { problemSchema } from "./response-schema.ts";

export const checkoutParameter = { name: "id", in: "path", required: true, schema: { type: "string" } } as const;

export const keyParameter = {
  name: "Idempotency-Key",
  in: "header",
  required: true,
  schema: { type: "string", minLength: 1, maxLength: 255 },
} as const;

export const preferParameter = {
  name: "Prefer",
  in: "header" as const,
  schema: { type: "string" as const, examples: ["wait=10"] },
};

type Examples = Readonly<Record<string, { readonly summary: string; readonly value: unknown }>>;

export function jsonResponse<Schema extends z.ZodType>(description: string, schema: Schema, examples?: Examples) {
  return { description, content: { "application/json": { schema, ...(examples === undefined ? {} : { examples }) } } };
}

const DESCRIPTIONS = {
  400: "VALIDATION_FAILED, with every violation",
  401: "UNAUTHENTICATED",
  403: "FORBIDDEN",
  404: "NOT_FOUND, another caller's checkout too",
  409: "CHECKOUT_IN_PROGRESS, CART_ALREADY_CHECKED_OUT, CART_VERSION_STALE, LOCKED, PRICE_CHANGED (with `invoice`), CANCELLED",
  410: "REMOVED_BY_RETENTION: this long after the end of the checkout only its present state is kept",
  413: "PAYLOAD_TOO_LARGE",
  415: "UNSUPPORTED_MEDIA_TYPE",
  422: "IDEMPOTENCY_KEY_REUSED, PAYMENT_DECLINED, PAYMENT_EXPIRED, BUSINESS_RULE",
  500: "UNEXPECTED: a bug",
  502: "STEP_FAILED: a participant failed for good",
  503: "RETRY_SCHEDULED, UNAVAILABLE, OVERLOADED, DRAINING or NOT_READY, with Retry-After",
} as const;

export function problemResponses(...statuses: readonly (keyof typeof DESCRIPTIONS)[]) {
  return Object.fromEntries(statuses.map((status) => [status, describedProblem(DESCRIPTIONS[status])]));
}

/** Where a route has codes of its own under this status. */
export function describedProblem(description: string) {
  return { description, content: { "application/problem+json": { schema: problemSchema } } };
}
