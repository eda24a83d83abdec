/**
 * What a checkout hears and what it says. Inbound payment events keep the specification's spelling;
 * outbound ones are CloudEvents types on the bus (`checkout.v1.<type>`).
 */

import type { UndoName } from "./context.ts";

/** The moment of an event and the chance that goes with it enter here only, so that a replay decides the same. */
export interface Stamp {
  /** Milliseconds since the epoch. Absent only when XState's own live actor runs the machine. */
  readonly at?: number;
  /** Uniform in [0, 1): the jitter of a backoff. */
  readonly jitter?: number;
}

export interface PaymentNotice {
  readonly eventId: string;
  readonly pcrId: string;
  readonly attemptId?: string;
  readonly pspReference: string;
  readonly amount: number;
  readonly currency: string;
  readonly occurredAt: string;
}

export type PaymentEvent =
  | ({ readonly type: "payment_collection_requirement_success"; readonly data: PaymentNotice } & Stamp)
  | ({ readonly type: "payment_collection_requirement_failed"; readonly data: PaymentNotice & { readonly code: string } } & Stamp)
  | ({ readonly type: "payment_collection_requirement_expired"; readonly data: PaymentNotice } & Stamp);

export type AttemptPaymentEvent = {
  readonly type: "ATTEMPT_PAYMENT";
  readonly method: string;
  readonly instrumentId: string;
} & Stamp;

/** A refund that the provider had accepted came back: the customer's account is closed, the card is gone. */
export type RefundFailedEvent = {
  readonly type: "payment_refund_failed";
  /** `providerRefundId`: the provider's own id of the refund, because a capture may be refunded more than once. */
  readonly data: PaymentNotice & { readonly code: string; readonly providerRefundId: string };
} & Stamp;

/** An operator took care, by hand, of what can't be undone or given back by itself: one undo, or one capture. */
export type ResolveEvent = {
  readonly type: "RESOLVE";
  readonly resolutionId: string;
  readonly undo: UndoName | null;
  readonly pspReference: string | null;
  readonly operator: string;
  /** Where the operator wrote down what was done, e.g. a ticket's number. Never personal data. */
  readonly reference: string;
} & Stamp;

export type CheckoutEvent =
  | ({ readonly type: "START" } & Stamp)
  | ({ readonly type: "CANCEL" } & Stamp)
  | AttemptPaymentEvent
  | PaymentEvent
  | RefundFailedEvent
  | ResolveEvent;

/** News of a payment, in either direction of its money. */
export type PaymentNewsEvent = PaymentEvent | RefundFailedEvent;

export const PAYMENT_EVENT_TYPES = [
  "payment_collection_requirement_success",
  "payment_collection_requirement_failed",
  "payment_collection_requirement_expired",
] as const satisfies readonly PaymentEvent["type"][];

export const OUTBOUND_EVENT_TYPES = [
  "checkout_initiated",
  "line_items_updated",
  "line_items_confirmed",
  "line_items_reverted",
  "payment_failed",
  "checkout_completed",
  "checkout_rolled_back",
  "checkout_needs_attention",
  "payment_refunded",
] as const;
export type OutboundEventType = (typeof OUTBOUND_EVENT_TYPES)[number];

/** A fact for the outbox, committed with the transition that made it true. */
export interface OutboundEvent {
  readonly type: OutboundEventType;
  readonly data: Readonly<Record<string, unknown>>;
}
