/** What the provider's answer means for us. Pure. */
import type { Capture, NextAction, PaymentOutcome, PaymentReport } from "../machines/context.ts";
import type { AttemptStatus } from "../persistence/order-schema.ts";
import type { Charge, ChargeCapture } from "./payment-provider.ts";
import type { AttemptRow, PcrRow } from "./payment-records.ts";

/** An attempt and what the provider says about it; `charge` null = no charge exists. */
export interface AttemptCharge {
  readonly attempt: AttemptRow;
  readonly charge: Charge | null;
}

/** The one answer to "what became of this payment", over all attempts; null = there is none. */
export function reportOf(pcr: PcrRow, found: readonly AttemptCharge[]): PaymentReport | null {
  const latest = found.at(-1);
  if (latest === undefined) return null;
  const captures = found.flatMap(({ charge }) => charge?.captures.map(captureOf) ?? []);
  for (const { attempt, charge } of found) {
    const paying = charge?.captures.find((capture) => isHeld(capture) && pays(pcr, capture));
    if (paying !== undefined) return { attemptId: attempt.id, outcome: { kind: "captured", ...captureOf(paying) }, captures };
  }
  return { attemptId: latest.attempt.id, outcome: unpaidOutcome(pcr, latest), captures };
}

/** The reply to the charge itself. */
export function outcomeOf(pcr: PcrRow, charge: Charge): PaymentOutcome {
  const capture = charge.captures.find((one) => pays(pcr, one)) ?? charge.captures[0];
  if (capture !== undefined) return { kind: "captured", ...captureOf(capture) };
  switch (charge.status) {
    case "created":
    case "requires_action":
      return { kind: "pending", nextAction: charge.nextAction ?? noAction(pcr) };
    case "captured":
    case "declined":
      return { kind: "declined", code: charge.declineCode ?? "DECLINED" };
    case "cancelled":
      return { kind: "declined", code: "CANCELLED" };
    case "expired":
      return { kind: "declined", code: "EXPIRED" };
  }
}

export function attemptStatusOf(charge: Charge | null): AttemptStatus {
  switch (charge?.status) {
    case "created":
    case "requires_action":
      return "PENDING";
    case "captured":
      return "CAPTURED";
    case "declined":
      return "DECLINED";
    case "cancelled":
    case "expired":
    case undefined:
      return "CANCELLED";
  }
}

/** Captured, and not given back: whatever its amount. */
export function heldCaptures({ charge }: AttemptCharge): readonly Capture[] {
  return charge?.captures.filter(isHeld).map(captureOf) ?? [];
}

function unpaidOutcome(pcr: PcrRow, { attempt, charge }: AttemptCharge): PaymentReport["outcome"] {
  // Paid without the provider, or refused by it before a charge existed.
  if (charge === null) return attempt.outcome ?? { kind: "cancelled" };
  switch (charge.status) {
    case "created":
    case "requires_action":
      return { kind: "pending", nextAction: charge.nextAction ?? noAction(pcr) };
    case "declined":
      return { kind: "declined", code: charge.declineCode ?? "DECLINED" };
    case "captured":
      // Captured, but not what was asked: never an outcome that pays. All given back: nothing is left of it.
      return charge.captures.some(isHeld) ? { kind: "declined", code: "AMOUNT_MISMATCH" } : { kind: "cancelled" };
    case "cancelled":
    case "expired":
      return { kind: "cancelled" };
  }
}

function noAction(pcr: PcrRow): NextAction {
  return { type: "NONE", expiresAt: pcr.dueAt.getTime() };
}

function pays(pcr: PcrRow, capture: Capture): boolean {
  return capture.amount === pcr.amount && capture.currency === pcr.currency;
}

function isHeld(capture: ChargeCapture): boolean {
  return capture.refundedAmount < capture.amount;
}

/** Only the three fields that are money. */
function captureOf(capture: Capture): Capture {
  return { pspReference: capture.pspReference, amount: capture.amount, currency: capture.currency };
}
