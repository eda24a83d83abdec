/**
 * What an initiate comes to. The answer of a checkout that waits for payment or has ended is stored and
 * replayed byte for byte; an unfinished one is told anew each time. Pure.
 */
import { z } from "@hono/zod-openapi";
import type { LastError } from "../machines/context.ts";
import type { CheckoutView } from "../machines/view.ts";
import type { StoredAnswer } from "../persistence/store.ts";
import { checkoutBody, invoiceBody, publicMessage } from "./checkout-body.ts";
import { problem, type Problem, type ProblemCode, type RollbackState } from "./problems.ts";
import { invoiceBodySchema } from "./response-schema.ts";

/** Null = not an answer to keep: it still steps, undoes, or waits for an operator. */
export function answerFor(view: CheckoutView): StoredAnswer | null {
  if (view.state === "ROLLEDBACK") return stored(rollbackProblem(view, "DONE"));
  if (view.status === "AWAITING_PAYMENT" || view.state === "COMPLETED") {
    return { status: 200, body: JSON.stringify(checkoutBody(view)) };
  }
  return null;
}

/** An operator is asked; until one has acted, the same request meets the same answer. */
export function parkedProblem({ executionContextId, state }: CheckoutView): Problem {
  const detail = `The checkout met an error in ${state} that it can't go on from. An operator is asked; don't repeat the request.`;
  return problem("UNEXPECTED", detail, { executionContextId, rollback: "NEEDS_ATTENTION" });
}

export function unfinishedProblem(view: CheckoutView): Problem {
  const rollback = rollbackOf(view);
  if (rollback !== "NONE") return rollbackProblem(view, rollback);
  const { lastError, retry } = view.context;
  const why =
    lastError === null || retry.failures === 0
      ? `The checkout has come to ${view.state} and goes on.`
      : `${view.state} failed with ${lastError.code} (${retry.failures} so far) and will be tried again.`;
  return problem("RETRY_SCHEDULED", `${why} Send the same request with the same Idempotency-Key after Retry-After to join it.`, {
    executionContextId: view.executionContextId,
    retryScheduled: true,
  });
}

/** Another attempt was the last one: declined, and undone because of it. Null = the checkout itself is the answer. */
export function declinedProblem(view: CheckoutView): Problem | null {
  const rollback = rollbackOf(view);
  const isDeclined = rollback !== "NONE" && view.context.lastError?.code === "PAYMENT_DECLINED";
  return isDeclined ? rollbackProblem(view, rollback) : null;
}

function rollbackOf({ state, status }: CheckoutView): RollbackState {
  if (status === "ROLLED_BACK") return "DONE";
  if (status === "ROLLING_BACK") return "IN_PROGRESS";
  const isUndoing = state === "PROCESSING" || state === "ROLLEDBACK";
  return status === "NEEDS_ATTENTION" && isUndoing ? "NEEDS_ATTENTION" : "NONE";
}

function stored(content: Problem): StoredAnswer {
  return { status: content.status, body: JSON.stringify(content) };
}

function rollbackProblem(view: CheckoutView, rollback: RollbackState): Problem {
  const { lastError } = view.context;
  const base = { executionContextId: view.executionContextId, rollback };
  if (lastError === null) return problem("CANCELLED", `The checkout was cancelled. ${undoing(rollback)}`, base);
  const code = problemCode(lastError);
  if (code === "STEP_FAILED") {
    const detail = `${lastError.step} failed for good with ${lastError.code}. ${undoing(rollback)}`;
    return problem(code, detail, { ...base, step: lastError.step, causeCode: lastError.code });
  }
  const detail = `${withStop(publicMessage(lastError))} ${undoing(rollback)}`;
  return problem(code, detail, { ...extensionsOf(view, lastError, code), ...base, step: lastError.step });
}

/** A step's failure keeps these codes; any other is a participant's own word, which clients can't know. */
const CODES_OF_STEPS = {
  BUSINESS_RULE: "BUSINESS_RULE",
  CANCELLED: "CANCELLED",
  INSTRUMENT_UNKNOWN: "BUSINESS_RULE",
  INVARIANT_VIOLATED: "UNEXPECTED",
  LOCKED: "LOCKED",
  PAYMENT_DECLINED: "PAYMENT_DECLINED",
  PAYMENT_EXPIRED: "PAYMENT_EXPIRED",
  PRICE_CHANGED: "PRICE_CHANGED",
  UNEXPECTED: "UNEXPECTED",
} as const satisfies Record<string, ProblemCode>;

function problemCode(error: LastError): ProblemCode {
  // A transient failure that led to a rollback has used up its budget; a lock that stayed busy is the client's to know.
  if (error.class === "TRANSIENT" && error.code !== "LOCKED") return "STEP_FAILED";
  return isCodeOfSteps(error.code) ? CODES_OF_STEPS[error.code] : "STEP_FAILED";
}

function isCodeOfSteps(code: string): code is keyof typeof CODES_OF_STEPS {
  return Object.hasOwn(CODES_OF_STEPS, code);
}

function undoing(rollback: RollbackState): string {
  switch (rollback) {
    case "DONE":
      return "Everything that it did was undone.";
    case "IN_PROGRESS":
      return "What it did is being undone.";
    case "NEEDS_ATTENTION":
      return "What it did could not be undone yet; an operator is asked.";
    case "NONE":
      return "Nothing was done.";
  }
}

/** An invoice as a step reports it: times in milliseconds, as everywhere inside. */
const reportedInvoiceSchema = invoiceBodySchema.extend({ hash: z.string(), expiresAt: z.number() });

/** PRICE_CHANGED brings the new price along, in the shape of every other invoice. */
function extensionsOf(view: CheckoutView, error: LastError, code: ProblemCode): Readonly<Record<string, unknown>> {
  if (code !== "PRICE_CHANGED") return error.details ?? {};
  const reported = reportedInvoiceSchema.safeParse(error.details?.["invoice"]);
  const invoice = reported.success ? reported.data : view.context.invoice;
  return invoice === null ? (error.details ?? {}) : { ...error.details, invoice: invoiceBody(invoice) };
}

function withStop(sentence: string): string {
  return /[.!?]$/.test(sentence) ? sentence : `${sentence}.`;
}
