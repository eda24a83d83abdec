/** Puts problems on the wire, and turns whatever was thrown into one: 500 only for a bug, never with a stack. */
import { ConflictError, LeaseLostError, TransientError, ValidationError, classify } from "../machines/errors.ts";
import type { ServerLog } from "./app-deps.ts";
import { conflict, problem, retryAfterSeconds, type Problem } from "./problems.ts";

export const PROBLEM_MEDIA_TYPE = "application/problem+json";

/** When nobody said how long a passing trouble lasts. */
const RETRY_AFTER_MS = 2000;

export function problemResponse(content: Problem, headers: Readonly<Record<string, string>> = {}): Response {
  const retry = content.status === 503 ? { "Retry-After": String(retryAfterSeconds(RETRY_AFTER_MS)) } : {};
  return new Response(JSON.stringify(content), {
    status: content.status,
    headers: { "Content-Type": PROBLEM_MEDIA_TYPE, "Cache-Control": "no-store", ...retry, ...headers },
  });
}

export function thrownResponse(requestId: string, log: ServerLog, error: unknown): Response {
  const content = problemOfThrown(error);
  if (content.status === 500) log.error({ requestId, err: error }, "A request ended in an unexpected error.");
  const retryAfterMs = error instanceof TransientError ? error.retryAfterMs : undefined;
  const isRetryable = content.status === 503 && retryAfterMs !== undefined;
  return problemResponse(content, isRetryable ? { "Retry-After": String(retryAfterSeconds(retryAfterMs)) } : {});
}

/** What was thrown before a checkout existed: nothing was changed, so nothing is rolled back. */
function problemOfThrown(error: unknown): Problem {
  if (error instanceof ValidationError) return problem("VALIDATION_FAILED", error.message, { violations: error.violations });
  if (error instanceof ConflictError) return conflict(error.code, error.message, error.details ?? {});
  if (error instanceof LeaseLostError) return unavailable();
  if (error instanceof TransientError && isOwnRefusal(error.code)) return problem(error.code, error.message);
  if (classify(error).class === "TRANSIENT") return unavailable();
  return problem(
    "UNEXPECTED",
    "The service met an error that it did not expect. Report it with the x-request-id of this response.",
  );
}

/** What this node says about itself before a checkout exists; any other trouble is a dependency's. */
function isOwnRefusal(code: string): code is "OVERLOADED" | "DRAINING" {
  return code === "OVERLOADED" || code === "DRAINING";
}

/** Without the cause's own message: a driver's names hosts and ports. */
function unavailable(): Problem {
  return problem(
    "UNAVAILABLE",
    "Something that this service needs does not answer. Send the same request again after Retry-After.",
  );
}
