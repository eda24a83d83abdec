/** The test instruments, as card schemes have test cards: what each does when its charge is confirmed. */
import { TerminalError } from "../machines/errors.ts";

export type Reaction =
  | { readonly kind: "capture"; readonly isReplyLost: boolean }
  | { readonly kind: "decline"; readonly code: string }
  | { readonly kind: "unavailable" }
  | { readonly kind: "ask"; readonly sends: readonly PlannedSend[] };

/** An event that follows: so long after the confirmation, or after the charge was cancelled or expired. */
export interface PlannedSend {
  readonly type: "payment_collection_requirement_success" | "payment_collection_requirement_failed";
  readonly after: "confirmation" | "end";
  readonly delayMs: number;
}

/** `tries` counts the confirmations of one charge, from 1. */
export function reactionOf(instrumentId: string, tries: number): Reaction {
  const react = INSTRUMENTS.get(instrumentId);
  if (react === undefined) {
    throw new TerminalError(
      "INSTRUMENT_UNKNOWN",
      `The payment provider doesn't know the instrument ${instrumentId}. Choose another one.`,
    );
  }
  return react(tries);
}

/** Whether the bank sends back the first refund of what this instrument paid. */
export function isFirstRefundSentBack(instrumentId: string): boolean {
  return instrumentId === "ins_refund_fails";
}

const SUCCESS = "payment_collection_requirement_success";
const FAILED = "payment_collection_requirement_failed";
const FLAKY_FAILURES = 2;
const EVENT_DELAY_MS = 1_000;
/** From the acceptance of a refund until the bank sends it back. */
export const REFUND_FAILS_AFTER_MS = 1_000;
/** From the cancellation or expiry until the late success. */
export const LATE_DELAY_MS = 2_000;

const CAPTURE: Reaction = { kind: "capture", isReplyLost: false };
const UNAVAILABLE: Reaction = { kind: "unavailable" };
const afterConfirmation = (type: PlannedSend["type"]): PlannedSend => ({ type, after: "confirmation", delayMs: EVENT_DELAY_MS });

const INSTRUMENTS = new Map<string, (tries: number) => Reaction>([
  ["ins_sync_ok", () => CAPTURE],
  ["ins_async", () => ({ kind: "ask", sends: [] })],
  ["ins_async_ok", () => ({ kind: "ask", sends: [afterConfirmation(SUCCESS)] })],
  ["ins_async_fail", () => ({ kind: "ask", sends: [afterConfirmation(FAILED)] })],
  ["ins_decline", () => ({ kind: "decline", code: "CARD_DECLINED" })],
  ["ins_flaky", (tries) => (tries <= FLAKY_FAILURES ? UNAVAILABLE : CAPTURE)],
  ["ins_down", () => UNAVAILABLE],
  // A repetition finds the charge captured and never comes here.
  ["ins_reply_lost", () => ({ kind: "capture", isReplyLost: true })],
  ["ins_late", () => ({ kind: "ask", sends: [{ type: SUCCESS, after: "end", delayMs: LATE_DELAY_MS }] })],
  ["ins_refund_fails", () => ({ kind: "ask", sends: [afterConfirmation(SUCCESS)] })],
  ["ins_double", () => ({ kind: "ask", sends: [afterConfirmation(SUCCESS), afterConfirmation(SUCCESS)] })],
]);
