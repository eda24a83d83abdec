export type SubscriptionCode =
  | "OPTIONS_INVALID"
  | "STREAM_MISSING"
  | "DURABLE_TAKEN"
  | "CONNECTION_CLOSED"
  | "LEASE_LOST"
  | "STOPPED"
  | "HANDLER_SLOW"
  | "PROGRESS_MOVED"
  | "GAP"
  | "DEAD_LETTER"
  | "MALFORMED";

/** Every error that a subscription raises on purpose: `code` is for programs, the message says what to do. */
export class SubscriptionError extends Error {
  constructor(
    readonly code: SubscriptionCode,
    message: string,
    options: { readonly cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "SubscriptionError";
  }
}
