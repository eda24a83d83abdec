/**
 * RFC 9457 problems: which code has which HTTP status and class. Pure; `error-response.ts` puts them on the wire.
 * The status follows the code, so that a client may branch on either.
 */
import type { Violation } from "../machines/errors.ts";

export type ProblemClass = "VALIDATION" | "CONFLICT" | "TRANSIENT" | "TERMINAL";
export type RollbackState = "NONE" | "IN_PROGRESS" | "DONE" | "NEEDS_ATTENTION";

interface ProblemKind {
  readonly status: number;
  readonly class: ProblemClass;
  readonly title: string;
}

export const PROBLEM_KINDS = {
  VALIDATION_FAILED: { status: 400, class: "VALIDATION", title: "The request is not valid" },
  UNAUTHENTICATED: { status: 401, class: "VALIDATION", title: "Authentication is required" },
  FORBIDDEN: { status: 403, class: "VALIDATION", title: "This caller is not served" },
  NOT_FOUND: { status: 404, class: "VALIDATION", title: "Not found" },
  METHOD_NOT_ALLOWED: { status: 405, class: "VALIDATION", title: "Method not allowed" },
  REMOVED_BY_RETENTION: { status: 410, class: "TERMINAL", title: "Removed after its time of retention" },
  PAYLOAD_TOO_LARGE: { status: 413, class: "VALIDATION", title: "The body is too large" },
  UNSUPPORTED_MEDIA_TYPE: { status: 415, class: "VALIDATION", title: "Unsupported media type" },
  CHECKOUT_IN_PROGRESS: { status: 409, class: "CONFLICT", title: "This cart is being checked out" },
  CART_ALREADY_CHECKED_OUT: { status: 409, class: "CONFLICT", title: "This cart was checked out" },
  CART_VERSION_STALE: { status: 409, class: "CONFLICT", title: "A newer version of this cart is known" },
  LOCKED: { status: 409, class: "CONFLICT", title: "Another checkout holds what this one needs" },
  NOT_CANCELLABLE: { status: 409, class: "CONFLICT", title: "The checkout is past the point where it can be cancelled" },
  PAYMENT_NOT_EXPECTED: { status: 409, class: "CONFLICT", title: "The checkout does not wait for another payment" },
  ALREADY_PAID: { status: 409, class: "CONFLICT", title: "The checkout is paid" },
  NOTHING_TO_RESOLVE: { status: 409, class: "CONFLICT", title: "Nothing of this kind waits for an operator" },
  IDEMPOTENCY_KEY_REUSED: { status: 422, class: "CONFLICT", title: "The idempotency key was used with another body" },
  PRICE_CHANGED: { status: 409, class: "TERMINAL", title: "The price changed" },
  CANCELLED: { status: 409, class: "TERMINAL", title: "The checkout was cancelled" },
  PAYMENT_DECLINED: { status: 422, class: "TERMINAL", title: "The payment was declined" },
  PAYMENT_EXPIRED: { status: 422, class: "TERMINAL", title: "The payment was not made in time" },
  BUSINESS_RULE: { status: 422, class: "TERMINAL", title: "A business rule refused the checkout" },
  STEP_FAILED: { status: 502, class: "TERMINAL", title: "A step of the checkout failed for good" },
  UNEXPECTED: { status: 500, class: "TERMINAL", title: "Unexpected error" },
  RETRY_SCHEDULED: { status: 503, class: "TRANSIENT", title: "The checkout goes on in the background" },
  UNAVAILABLE: { status: 503, class: "TRANSIENT", title: "Temporarily unavailable" },
  OVERLOADED: { status: 503, class: "TRANSIENT", title: "This node runs as many checkouts as it can" },
  DRAINING: { status: 503, class: "TRANSIENT", title: "This node is shutting down" },
  WEBHOOK_NOT_CONFIGURED: { status: 503, class: "TRANSIENT", title: "Payment events are not configured" },
  OTHER_VERSION: { status: 503, class: "TRANSIENT", title: "Another version of the service runs this checkout" },
  NOT_READY: { status: 503, class: "TRANSIENT", title: "This node is not ready" },
} as const satisfies Record<string, ProblemKind>;

export type ProblemCode = keyof typeof PROBLEM_KINDS;

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
  readonly class: ProblemClass;
  readonly retryScheduled: boolean;
  readonly rollback: RollbackState;
  readonly executionContextId?: string;
  readonly violations?: readonly Violation[];
  /** Extension members of one code, e.g. `invoice` of PRICE_CHANGED. */
  readonly [extension: string]: unknown;
}

function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(PROBLEM_KINDS, code);
}

/** `detail` says in a sentence what the caller should do; `extensions` never override the members of the contract. */
export function problem(code: ProblemCode, detail: string, extensions: Readonly<Record<string, unknown>> = {}): Problem {
  return problemOfKind(code, PROBLEM_KINDS[code], detail, extensions);
}

/** A conflict whose code this table doesn't know: a participant's own word is passed on as 409. */
export function conflict(code: string, detail: string, extensions: Readonly<Record<string, unknown>>): Problem {
  if (isProblemCode(code)) return problem(code, detail, extensions);
  return problemOfKind(code, { status: 409, class: "CONFLICT", title: "Conflict" }, detail, extensions);
}

function problemOfKind(code: string, kind: ProblemKind, detail: string, extensions: Readonly<Record<string, unknown>>): Problem {
  return {
    retryScheduled: false,
    rollback: "NONE",
    ...extensions,
    type: `urn:checkoutd:problem:${code}`,
    title: kind.title,
    status: kind.status,
    detail,
    code,
    class: kind.class,
  };
}

/** Retry-After is in whole seconds; 0 would invite a busy loop. */
export function retryAfterSeconds(retryAfterMs: number): number {
  return Math.max(1, Math.ceil(retryAfterMs / 1000));
}
