/** Puts problems on the wire, and turns whatever was thrown into one: 500 only for a bug, never with a stack. */
import { ConflictError, LeaseLostError, TransientError, ValidationError, classify } from "../machines/errors.ts";
import type { RequestIds, ServerLog } from "./app-deps.ts";
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

export function thrownResponse({ requestId, executionContextId }: RequestIds, log: ServerLog, error: unknown): Response {
  const about = executionContextId === undefined ? {} : { executionContextId };
  const content = problemOfThrown(error, about);
  if (content.status === 500) log.error({ requestId, ...about, err: error }, "A request ended in an unexpected error.");
  const retryAfterMs = error instanceof TransientError ? error.retryAfterMs : undefined;
  const isRetryable = content.status === 503 && retryAfterMs !== undefined;
  return problemResponse(content, isRetryable ? { "Retry-After": String(retryAfterSeconds(retryAfterMs)) } : {});
}

type About = Pick<RequestIds, "executionContextId">;

/** What was thrown changed nothing by itself, so nothing is rolled back because of it. */
function problemOfThrown(error: unknown, about: About): Problem {
  if (error instanceof ValidationError) {
    return problem("VALIDATION_FAILED", error.message, { ...about, violations: error.violations });
  }
  if (error instanceof ConflictError) return conflict(error.code, error.message, { ...about, ...error.details });
  if (error instanceof LeaseLostError) return unavailable(about);
  if (error instanceof TransientError) return refusal(error, about) ?? unavailable(about);
  if (classify(error).class === "TRANSIENT") return unavailable(about);
  return problem(
    "UNEXPECTED",
    "The service met an error that it did not expect. Report it with the x-request-id of this response.",
    about,
  );
}

/** What this service says of itself; null = any other trouble, which is a dependency's. */
function refusal({ code, message, details }: TransientError, about: About): Problem | null {
  switch (code) {
    case "OVERLOADED":
    case "DRAINING":
    case "OTHER_VERSION":
      return problem(code, message, about);
    case "RETRY_SCHEDULED":
      return problem(code, message, { ...about, ...details, retryScheduled: true });
    default:
      return null;
  }
}

/** Without the cause's own message: a driver's names hosts and ports. */
function unavailable(about: About): Problem {
  const detail = "Something that this service needs does not answer. Send the same request again after Retry-After.";
  return problem("UNAVAILABLE", detail, about);
}
