/** What the provider and a checkout's ledger say of one capture, and how they differ. Pure. */
import type { PaymentNotice } from "../machines/events.ts";
import type { Transfer } from "../machines/ledger.ts";
import type { ChargeCapture, ListedCharge } from "./payment-provider.ts";

export type DifferenceCode =
  | "CAPTURE_UNKNOWN"
  | "CAPTURE_MISSING"
  | "REFUND_UNKNOWN"
  | "REFUND_MISSING"
  | "AMOUNT_DIFFERS"
  | "UNKNOWN_CHECKOUT"
  | "IN_SUSPENSE";

export interface Difference {
  readonly code: DifferenceCode;
  /** A sentence for people. */
  readonly message: string;
  readonly executionContextId: string;
  readonly pcrId: string | null;
  /** Null: it isn't about one capture. */
  readonly pspReference: string | null;
  readonly currency: string;
  /** What each side says the provider holds, in minor units; of money in suspense, the ledger's word alone. */
  readonly provider: number;
  readonly ledger: number;
  /** The event that would tell the checkout what it never heard; null = nothing to tell, or for people to decide. */
  readonly notice: PaymentNotice | null;
}

/** What a checkout's ledger says of one capture, in minor units. */
export interface Position {
  /** What it heard was captured; null = nothing. */
  readonly heard: number | null;
  readonly currency: string;
  /** What it says the provider holds. */
  readonly held: number;
  /** What an operator gave back by hand; the provider may still hold it. */
  readonly byHand: number;
}

export type BookedTransfer = Transfer & { readonly at: number };

/** What the ledger says of one capture. */
export function positionOf(ledger: readonly BookedTransfer[], pspReference: string): Position {
  const own = ledger.filter((transfer) => transfer.pspReference === pspReference);
  // Captures and refunds move the whole of it, so the first transfer says how much was heard of.
  const heard = own.find(({ debit }) => debit === "PROVIDER");
  const balance = (account: Transfer["debit"]) =>
    own.reduce((sum, { debit, credit, amount }) => sum + (debit === account ? amount : 0) - (credit === account ? amount : 0), 0);
  // What leaves an account for people is credited there: the operator paid it.
  return {
    heard: heard?.amount ?? null,
    currency: heard?.currency ?? "",
    held: balance("PROVIDER"),
    byHand: 0 - balance("BY_HAND"),
  };
}

/** Null: both sides say the same of this capture. */
export function compareCapture(charge: ListedCharge, capture: ChargeCapture, position: Position): Difference | null {
  const { heard, held, currency } = position;
  const provider = capture.amount - capture.refundedAmount;
  const differs = (code: DifferenceCode, message: string, notice: PaymentNotice | null = null): Difference => {
    return { code, message, notice, ...referencesOf(charge, capture), provider, ledger: held };
  };
  if (heard === null) {
    if (provider === 0) return null;
    return differs(
      "CAPTURE_UNKNOWN",
      "The provider captured this payment and the checkout never heard of it.",
      capture.refundedAmount === 0 ? noticeOf(charge, capture) : null,
    );
  }
  if (heard !== capture.amount || currency !== capture.currency) {
    return differs("AMOUNT_DIFFERS", `The provider captured another amount than the ${heard} ${currency} that the ledger has.`);
  }
  if (isExplained(position, provider)) return null;
  if (provider > held) return differs("REFUND_MISSING", "The ledger says that this was given back; the provider still holds it.");
  return differs("REFUND_UNKNOWN", "The provider gave this back and the checkout never heard of it.");
}

/** What an operator gave back by hand may still be at the provider, or have been given back there by that hand. */
function isExplained({ held, byHand }: Position, provider: number): boolean {
  return provider === held || provider === held - byHand;
}

/** A capture that the ledger names and the provider doesn't list. */
export function missingCapture(executionContextId: string, pspReference: string, position: Position): Difference | null {
  if (isExplained(position, 0)) return null;
  return {
    code: "CAPTURE_MISSING",
    message: "The ledger has this capture; the provider doesn't list it.",
    executionContextId,
    pcrId: null,
    pspReference,
    currency: position.currency,
    provider: 0,
    ledger: position.held,
    notice: null,
  };
}

export function unknownCheckout(charge: ListedCharge, capture: ChargeCapture): Difference | null {
  const provider = capture.amount - capture.refundedAmount;
  if (provider === 0) return null;
  return {
    code: "UNKNOWN_CHECKOUT",
    message: "The provider holds money for a checkout that this database doesn't have.",
    ...referencesOf(charge, capture),
    provider,
    ledger: 0,
    notice: null,
  };
}

/** SUSPENSE is below zero while it owes what was captured; above, it gave back more. Neither may last. */
export function inSuspense(executionContextId: string, currency: string, balance: number): Difference {
  return {
    code: "IN_SUSPENSE",
    message:
      balance < 0
        ? "This money was captured, and is neither confirmed nor given back."
        : "More was confirmed or given back than was captured.",
    executionContextId,
    pcrId: null,
    pspReference: null,
    currency,
    provider: 0,
    ledger: Math.abs(balance),
    notice: null,
  };
}

function referencesOf(
  { executionContextId, pcrId }: ListedCharge,
  { pspReference, currency }: ChargeCapture,
): Pick<Difference, "executionContextId" | "pcrId" | "pspReference" | "currency"> {
  return { executionContextId, pcrId, pspReference, currency };
}

/** One capture is one event, however often it is found. */
function noticeOf({ pcrId, attemptId, movedAt }: ListedCharge, { pspReference, amount, currency }: ChargeCapture): PaymentNotice {
  const occurredAt = new Date(movedAt ?? 0).toISOString();
  return { eventId: `reconcile:${pspReference}`, pcrId, attemptId, pspReference, amount, currency, occurredAt };
}
