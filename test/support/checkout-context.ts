/** Contexts of a checkout for tests of the machine's pure parts. */
import {
  initialContext,
  type Capture,
  type CheckoutContext,
  type Invoice,
  type OwedRefund,
  type Payment,
  type Refund,
} from "../../machines/context.ts";
import type { PaymentEvent, PaymentNotice } from "../../machines/events.ts";

export const PAYABLE = 249_900;
export const CURRENCY = "INR";

const invoice: Invoice = {
  invoiceId: "inv_1",
  version: 1,
  hash: "hash",
  payable: PAYABLE,
  currency: CURRENCY,
  expiresAt: 2_000_000,
  lines: [
    {
      ref: "l1",
      kind: "LINE_ITEM",
      sku: "SVC-AC-DEEP",
      quantity: 1,
      unitPrice: 249_900,
      discount: 0,
      tax: 0,
      fee: 0,
      total: 249_900,
      paymentGroupId: "pg_1",
    },
  ],
};

/** A priced checkout whose first attempt is open; `payment` says what differs. */
export function contextWith(payment: Partial<Payment> = {}): CheckoutContext {
  const context = newContext();
  const open: Payment = { ...context.payment, status: "REQUIRES_ACTION", pcrId: "pcr_1", attemptId: "att_1", ...payment };
  return { ...context, invoice, payment: open };
}

export function newContext(): CheckoutContext {
  return initialContext({
    executionContextId: "ctx_1",
    userId: "usr_1",
    cartId: "cart_1",
    cartVersion: 1,
    policy: {
      stepRetryMax: 5,
      stepRetryBudgetMs: 60_000,
      undoRetryMax: 5,
      paymentDeadlineMs: 900_000,
      paymentAttemptsMax: 3,
      paymentPollMs: 30_000,
    },
  });
}

export function captureOf(pspReference: string, amount = PAYABLE, currency = CURRENCY): Capture {
  return { pspReference, amount, currency };
}

/** The refund of what is owed, named after its capture. */
export function refundOf(owed: OwedRefund): Refund {
  return { ...owed, refundId: `rfd_${owed.pspReference}`, providerRefundId: `re_${owed.pspReference}` };
}

export function success(pspReference: string, notice: Partial<PaymentNotice> = {}): PaymentEvent {
  return { type: "payment_collection_requirement_success", data: { ...noticeOf(pspReference), ...notice } };
}

export function failure(attemptId?: string, code = "DECLINED"): PaymentEvent {
  const data = { ...noticeOf("psr_failed"), ...(attemptId === undefined ? {} : { attemptId }), code };
  return { type: "payment_collection_requirement_failed", data };
}

export function expiry(attemptId: string): PaymentEvent {
  return { type: "payment_collection_requirement_expired", data: { ...noticeOf("psr_expired"), attemptId } };
}

function noticeOf(pspReference: string): PaymentNotice {
  return {
    eventId: `evt_${pspReference}`,
    pcrId: "pcr_1",
    pspReference,
    amount: PAYABLE,
    currency: CURRENCY,
    occurredAt: "2027-01-08T10:00:00Z",
  };
}
