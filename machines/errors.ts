/**
 * The taxonomy of failures. What the runtime does with a failure follows from its class, what the
 * client reads follows from its code; `classify` is the one place where a foreign error becomes ours.
 */
export type ErrorClass = "VALIDATION" | "CONFLICT" | "TRANSIENT" | "TERMINAL" | "LEASE_LOST" | "INVARIANT";

/** Machine-readable facts about a failure. Must survive JSON, and hold ids and amounts only. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

export interface ErrorOptions {
  readonly cause?: unknown;
  readonly details?: ErrorDetails;
}

/** One mistake in a request: where (a JSON pointer) and what to do about it. */
export interface Violation {
  readonly pointer: string;
  readonly code: string;
  readonly message: string;
}

/** The base of every error that this product raises on purpose. */
export abstract class CheckoutError extends Error {
  abstract readonly class: ErrorClass;
  readonly details?: ErrorDetails;

  constructor(
    readonly code: string,
    message: string,
    options: ErrorOptions = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    if (options.details !== undefined) this.details = options.details;
  }
}

/** The request is wrong. It never enters a machine. */
export class ValidationError extends CheckoutError {
  readonly class = "VALIDATION";

  constructor(
    readonly violations: readonly Violation[],
    message = "The request is not valid. Correct every violation listed and send it again.",
  ) {
    super("VALIDATION_FAILED", message);
  }
}

/** Somebody else holds it, or it was used for something else. Nothing was changed. */
export class ConflictError extends CheckoutError {
  readonly class = "CONFLICT";
}

/** May work later: the runtime retries by policy. */
export class TransientError extends CheckoutError {
  readonly class = "TRANSIENT";
  readonly retryAfterMs?: number;

  constructor(code: string, message: string, options: ErrorOptions & { readonly retryAfterMs?: number } = {}) {
    super(code, message, options);
    if (options.retryAfterMs !== undefined) this.retryAfterMs = options.retryAfterMs;
  }
}

/** Will never work: the runtime compensates. */
export class TerminalError extends CheckoutError {
  readonly class = "TERMINAL";
}

/** This node no longer owns what it acted on. It stops at once and writes nothing. */
export class LeaseLostError extends CheckoutError {
  readonly class = "LEASE_LOST";

  constructor(message: string, options: ErrorOptions = {}) {
    super("LEASE_LOST", message, options);
  }
}

/** Our bug, or corrupt data: the checkout is parked and an operator is asked. */
export class InvariantError extends CheckoutError {
  readonly class = "INVARIANT";

  constructor(message: string, options: ErrorOptions = {}) {
    super("INVARIANT_VIOLATED", message, options);
  }
}

/** An error as it stands in an event, the journal and a snapshot. JSON drops an Error's message, so we don't rely on it. */
export interface StepFailure {
  readonly class: "TRANSIENT" | "TERMINAL";
  readonly code: string;
  readonly message: string;
  readonly retryAfterMs?: number;
  readonly details?: ErrorDetails;
}

/** Node and driver codes of a connection that failed or vanished: the call may or may not have happened. */
const CONNECTION_CODES = new Set([
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "EAI_AGAIN",
  "ENOTFOUND",
  "EHOSTUNREACH",
  "ENETUNREACH",
  "UND_ERR_BODY_TIMEOUT",
  "UND_ERR_CONNECT_TIMEOUT",
  "UND_ERR_HEADERS_TIMEOUT",
  "UND_ERR_SOCKET",
  "CONNECTION_CLOSED",
  "CONNECTION_ENDED",
  "CONNECTION_DESTROYED",
  "CONNECT_TIMEOUT",
]);

/** SQLSTATE classes that pass by themselves: connection, read-only after a failover, resources, operator intervention, deadlock and serialisation. */
const TRANSIENT_SQLSTATE = /^(08|25006|53|57P|40001|40P01|55P03)/;

const UNEXPECTED = "The step met an error that nobody expected; the log of the node has it.";

/** A failed write that repeating can't mend: its data doesn't fit (SQLSTATE classes 22 and 23), or our own check refused it. */
export function isUnstorable(error: unknown): boolean {
  return error instanceof InvariantError || /^2[23]/.test(errorCode(error) ?? "");
}

/**
 * Turns anything thrown by a step into the failure that the machine sees. An error that nobody
 * classified is TERMINAL: repeating a bug helps nobody, and its undo is safe whatever it did. A foreign error's
 * message stays out: drivers quote statements with their parameters, and a failure is journaled and shown.
 */
export function classify(error: unknown): StepFailure {
  if (error instanceof TransientError) return failure("TRANSIENT", error, error.retryAfterMs);
  if (error instanceof CheckoutError) return failure("TERMINAL", error);
  const code = errorCode(error);
  const name = error instanceof Error ? error.name : "";
  if (name === "AbortError" || name === "TimeoutError") {
    return { class: "TRANSIENT", code: "TIMEOUT", message: "A call gave no answer in time." };
  }
  if (code !== undefined && (CONNECTION_CODES.has(code) || TRANSIENT_SQLSTATE.test(code))) {
    return { class: "TRANSIENT", code: "UNAVAILABLE", message: `Something that the step needs can't be reached (${code}).` };
  }
  return { class: "TERMINAL", code: "UNEXPECTED", message: code === undefined ? UNEXPECTED : `${UNEXPECTED} (${code})` };
}

function failure(kind: StepFailure["class"], error: CheckoutError, retryAfterMs?: number): StepFailure {
  return {
    class: kind,
    code: error.code,
    message: error.message,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    ...(error.details === undefined ? {} : { details: error.details }),
  };
}

/** Drivers wrap one another (drizzle keeps the driver's error as `cause`); the innermost code is the true one. */
function errorCode(error: unknown): string | undefined {
  let current: unknown = error;
  let code: string | undefined;
  for (let depth = 0; depth < CAUSE_DEPTH_MAX && current instanceof Error; depth++) {
    if ("code" in current && typeof current.code === "string") code = current.code;
    current = current.cause;
  }
  return code;
}

const CAUSE_DEPTH_MAX = 8;
