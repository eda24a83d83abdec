/**
 * What Payments needs of a payment service provider, in the shape that real ones have.
 *
 * A charge is created under an idempotency key without moving money, then confirmed by its id. That
 * split is what makes an unknown outcome safe: whoever lost a reply repeats `create` under the same
 * key, gets the same charge, and confirms or cancels it; a confirmation that arrives after the
 * cancellation is refused by the provider. So an undo needs the key only.
 *
 * Failures: TransientError = perhaps done, repeat; TerminalError = refused, and nothing exists or
 * moved because of this call. A decline is a status, not an error.
 */
import type { Capture, NextAction } from "../machines/context.ts";
import type { PaymentNewsEvent, PaymentNotice } from "../machines/events.ts";

export interface PaymentProvider {
  readonly name: string;
  /** Moves no money. The same key answers the same charge, whatever happened to it since. */
  create(request: ChargeRequest): Promise<Charge>;
  /** Charges. Repeated, or on a charge that is finished: answers the charge as it stands. */
  confirm(reference: ChargeReference): Promise<Charge>;
  /** Cancels what isn't captured, then answers the charge as it stands; a captured one is left as it is. */
  cancel(reference: ChargeReference): Promise<Charge>;
  retrieve(reference: ChargeReference): Promise<Charge>;
  /**
   * Gives back all that is still held of one capture. Refunded already is a success. Resolves when it is accepted,
   * or with what became since of the refund under this key: one that failed later is never paid again by its old key.
   */
  refund(request: RefundRequest): Promise<ProviderRefund>;
  /** Every charge, for reconciliation, a page at a time in the order of ids. A page that isn't full may not be the last: an empty one is. */
  listCharges(page: ChargePage): Promise<readonly ListedCharge[]>;
}

export interface ChargeRequest {
  readonly key: string;
  readonly executionContextId: string;
  readonly pcrId: string;
  readonly attemptId: string;
  readonly amount: number;
  readonly currency: string;
  readonly method: string;
  readonly instrumentId: string;
  readonly returnUrl?: string;
  readonly expiresAt: number;
  readonly signal?: AbortSignal;
}

export interface ChargeReference {
  readonly chargeId: string;
  readonly signal?: AbortSignal;
}

export interface Charge {
  readonly chargeId: string;
  readonly status: "created" | "requires_action" | "captured" | "declined" | "cancelled" | "expired";
  readonly nextAction: NextAction | null;
  readonly declineCode: string | null;
  /** Usually none or one; all that was ever captured for it, refunded or not. */
  readonly captures: readonly ChargeCapture[];
}

export interface ChargeCapture extends Capture {
  readonly refundedAmount: number;
}

export interface RefundRequest {
  readonly key: string;
  /** Our own reference, which the provider keeps with each charge. */
  readonly pcrId: string;
  readonly pspReference: string;
  readonly signal?: AbortSignal;
}

export interface ProviderRefund {
  readonly refundId: string;
  /** failed: accepted once, then sent back by the bank, so the provider holds the money again. */
  readonly status: "accepted" | "failed";
}

export interface ChargePage {
  /** The last id of the page before. */
  readonly after?: string;
  readonly limit?: number;
}

/** A charge with the references that we gave it. */
export interface ListedCharge extends Charge {
  readonly executionContextId: string;
  readonly pcrId: string;
  readonly attemptId: string;
  readonly currency: string;
  /** When its money last moved, in either direction, in milliseconds since the epoch; null = never. */
  readonly movedAt: number | null;
}

/** An event as the provider sends it: the body of POST /orchestration/payments/events. */
export interface ProviderEvent {
  readonly type: PaymentNewsEvent["type"];
  readonly timestamp: string;
  readonly data: PaymentNotice & { readonly code?: string; readonly providerRefundId?: string };
}
