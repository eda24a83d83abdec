/**
 * What a payment outcome means for a checkout: one path for all doors (reply, webhook, poll). Pure.
 * A success pays only with the exact amount and currency; everything else that was captured is owed back.
 */
import type {
  Capture,
  CheckoutContext,
  Invoice,
  OwedRefund,
  Payment,
  PaymentAttempt,
  PaymentGroup,
  PaymentReport,
  Refund,
  RefundReason,
  Settlement,
} from "./context.ts";
import { PAYMENT_EVENT_TYPES, type PaymentEvent, type RefundFailedEvent } from "./events.ts";

/** News about a payment, whichever way it came. */
interface PaymentNews {
  /** `attemptId` absent = the open attempt's. */
  readonly captures: readonly (Capture & { readonly attemptId?: string })[];
  /** An attempt that failed; `attemptId` null = it is not said which one. */
  readonly failed: { readonly attemptId: string | null; readonly code: string } | null;
}

/**
 * The payment after an event of any kind, while the checkout can still be confirmed or already is: an
 * inbound payment event, the reply to an attempt, or the provider's report. Other events change nothing.
 */
export function paymentAfter(context: CheckoutContext, event: unknown): Payment {
  if (isPaymentEvent(event)) return withNews(context, newsOfEvent(event));
  const output = outputIn(event);
  if (output === null) return context.payment;
  if (!("outcome" in output)) {
    return "captures" in output ? withNews(context, { ...(output as Settlement), failed: null }) : context.payment;
  }
  if ("captures" in output) return withNews(context, newsOfReport(output as PaymentReport));
  return withAttempt(context, output as PaymentAttempt);
}

/** The payment after the reply to its newest attempt. A failure may have been heard of before the reply. */
export function withAttempt(context: CheckoutContext, attempt: PaymentAttempt): Payment {
  const { attemptId, outcome, pcrId } = attempt;
  const open: Payment = {
    ...context.payment,
    pcrId,
    attemptId,
    status: context.payment.settledBy === null ? "REQUIRES_ACTION" : "CAPTURED",
    nextAction: outcome.kind === "pending" && context.payment.settledBy === null ? outcome.nextAction : null,
    declineCode: null,
  };
  const known = open.failedAttemptIds.includes(attemptId) && open.settledBy === null ? declined(open, "FAILED") : open;
  return withNews({ ...context, payment: known }, newsOfOutcome(attemptId, outcome));
}

/** The payment after a capture that comes too late to pay: it is owed back. Other events change nothing. */
export function withLateCapture(payment: Payment, event: unknown): Payment {
  if (!isPaymentEvent(event)) return payment;
  return newsOfEvent(event).captures.reduce<Payment>(
    (current, capture) => (isKnown(current, capture) ? current : owing(current, capture, "LATE")),
    payment,
  );
}

/** The payment after the provider refused the newest attempt before it had an id. */
export function withFailedRequest(payment: Payment, code: string): Payment {
  return payment.settledBy === null ? declined(payment, code) : payment;
}

/**
 * Refunds that nobody was told of yet: a reversal that runs again reports the old ones too. One whose failure was
 * heard of meanwhile is none.
 */
export function newRefunds(payment: Payment, refunds: readonly Refund[]): readonly Refund[] {
  const isTold = (refund: Refund) => payment.refunds.some((known) => known.pspReference === refund.pspReference);
  return refunds.filter((refund) => !isTold(refund) && !hasFailed(payment, refund));
}

/** The payment after captures were given back; a reversal also gives back the capture that would have paid. */
export function withRefunds(payment: Payment, refunds: readonly Refund[]): Payment {
  const fresh = newRefunds(payment, refunds);
  const given = new Set(fresh.map((refund) => refund.pspReference));
  return {
    ...payment,
    settledBy: payment.settledBy !== null && given.has(payment.settledBy.pspReference) ? null : payment.settledBy,
    owed: payment.owed.filter((owed) => !given.has(owed.pspReference)),
    refunds: [...payment.refunds, ...fresh.map((refund) => withFailuresOf(payment, refund))],
  };
}

/**
 * The payment after the provider took an accepted refund back: the money is owed again, under the next round's key.
 * The same payment when it is no news: that refund's failure is known, or a later refund took its place.
 */
export function withFailedRefund(payment: Payment, { data: { pspReference, providerRefundId } }: RefundFailedEvent): Payment {
  const isSame = (other: Capture) => other.pspReference === pspReference;
  const refund = payment.refunds.find((one) => isSame(one) && one.providerRefundId === providerRefundId);
  if (refund !== undefined) {
    const { refundId: _, providerRefundId: __, ...given } = refund;
    const refunds = payment.refunds.filter((one) => one !== refund);
    return { ...payment, refunds, owed: [...payment.owed, withFailure(given, providerRefundId)] };
  }
  const isNews = (owed: OwedRefund) => isSame(owed) && !owed.failedRefundIds.includes(providerRefundId);
  if (!payment.owed.some(isNews)) return payment;
  // The failure overtook the acceptance: what that call will answer no longer stands.
  return { ...payment, owed: payment.owed.map((owed) => (isNews(owed) ? withFailure(owed, providerRefundId) : owed)) };
}

/**
 * As withFailedRefund, while the payment request is being reversed: its reversal may have given back what the checkout
 * still counts as paid, or has never heard of, and told nobody yet.
 */
export function withFailedReversal(payment: Payment, event: RefundFailedEvent): Payment {
  const { settledBy } = payment;
  const { pspReference, amount, currency, providerRefundId } = event.data;
  const isHeardOf = [...payment.owed, ...payment.refunds].some((one) => one.pspReference === pspReference);
  const isSettling = settledBy?.pspReference === pspReference;
  if (isHeardOf || (amount <= 0 && !isSettling)) return withFailedRefund(payment, event);
  const capture = isSettling ? settledBy : { pspReference, amount, currency };
  const owed = withFailure(owedFor(capture, "ROLLBACK"), providerRefundId);
  return { ...payment, settledBy: isSettling ? null : settledBy, owed: [...payment.owed, owed] };
}

/** Everything that is still held of what was captured: what a rollback has to give back. */
export function heldCaptures({ settledBy, owed }: Payment): readonly OwedRefund[] {
  // Nothing to pay is settled by a capture of nothing.
  if (settledBy === null || settledBy.amount <= 0) return owed;
  return [...owed, owedFor(settledBy, "ROLLBACK")];
}

/** Only the capture's three fields that are money: outcomes carry more. */
export function owedFor({ pspReference, amount, currency }: Capture, reason: RefundReason): OwedRefund {
  return { pspReference, amount, currency, reason, round: 1, failedRefundIds: [] };
}

/** The payment after an operator gave these captures back by hand. */
export function withRefundsByHand(payment: Payment, captures: readonly OwedRefund[], resolutionId: string): Payment {
  const refunds = captures.map((owed, index): Refund => ({
    ...owed,
    refundId: `${resolutionId}-${index + 1}`,
    providerRefundId: null,
    byHand: true,
  }));
  return withRefunds(payment, refunds);
}

/** What is collected now: the lines of NOW groups. LATER is recorded, not collected. */
export function amountDue({ lines }: Invoice, paymentGroups: readonly PaymentGroup[]): number {
  const later = new Set(paymentGroups.filter((group) => group.paymentTiming === "LATER").map((group) => group.paymentGroupId));
  return lines.reduce((sum, line) => (later.has(line.paymentGroupId) ? sum : sum + line.total), 0);
}

export function attemptsLeft(context: CheckoutContext): number {
  return Math.max(0, context.policy.paymentAttemptsMax - context.payment.round);
}

function withNews(context: CheckoutContext, news: PaymentNews): Payment {
  const paid = news.captures.reduce((payment, capture) => withCapture(context, payment, capture), context.payment);
  return news.failed === null ? paid : withFailedAttempt(paid, news.failed);
}

function newsOfEvent(event: PaymentEvent): PaymentNews {
  const attemptId = event.data.attemptId ?? null;
  switch (event.type) {
    case "payment_collection_requirement_success":
      return { captures: [event.data], failed: null };
    case "payment_collection_requirement_failed":
      return { captures: [], failed: { attemptId, code: event.data.code } };
    case "payment_collection_requirement_expired":
      return { captures: [], failed: { attemptId, code: "EXPIRED" } };
  }
}

function newsOfReport(report: PaymentReport): PaymentNews {
  return { ...newsOfOutcome(report.attemptId, report.outcome), captures: report.captures };
}

function newsOfOutcome(attemptId: string, outcome: PaymentReport["outcome"]): PaymentNews {
  switch (outcome.kind) {
    case "captured":
      return { captures: [outcome], failed: null };
    case "declined":
      return { captures: [], failed: { attemptId, code: outcome.code } };
    case "cancelled":
      return { captures: [], failed: { attemptId, code: "CANCELLED" } };
    case "pending":
      return { captures: [], failed: null };
  }
}

function isPaymentEvent(event: unknown): event is PaymentEvent {
  return (PAYMENT_EVENT_TYPES as readonly unknown[]).includes((event as { readonly type?: unknown }).type);
}

function outputIn(event: unknown): object | null {
  const { output } = event as { readonly output?: unknown };
  return typeof output === "object" && output !== null ? output : null;
}

function withCapture(context: CheckoutContext, payment: Payment, capture: PaymentNews["captures"][number]): Payment {
  if (isKnown(payment, capture)) return payment;
  if (!matches(context, capture)) {
    const isOpenAttempts = (capture.attemptId ?? payment.attemptId) === payment.attemptId && payment.status === "REQUIRES_ACTION";
    const spent = isOpenAttempts ? declined(payment, "AMOUNT_MISMATCH") : payment;
    return owing(spent, capture, "AMOUNT_MISMATCH");
  }
  if (payment.settledBy !== null) return owing(payment, capture, "DUPLICATE");
  return { ...payment, status: "CAPTURED", settledBy: captureOf(capture), nextAction: null, declineCode: null };
}

function withFailedAttempt(payment: Payment, failed: { readonly attemptId: string | null; readonly code: string }): Payment {
  // It may be the echo of an earlier attempt that we cancelled ourselves; the provider is asked instead.
  if (failed.attemptId === null && payment.round > 1) return payment;
  const attemptId = failed.attemptId ?? payment.attemptId;
  if (attemptId !== null && payment.failedAttemptIds.includes(attemptId)) return payment;
  const noted = attemptId === null ? payment : { ...payment, failedAttemptIds: [...payment.failedAttemptIds, attemptId] };
  // FAILED is not final at real providers, and news of an older attempt says nothing about the open one.
  const isOpenAttempt = attemptId === payment.attemptId && payment.status === "REQUIRES_ACTION";
  return isOpenAttempt ? declined(noted, failed.code) : noted;
}

function declined(payment: Payment, code: string): Payment {
  return { ...payment, status: "DECLINED", declineCode: code, nextAction: null };
}

function owing(payment: Payment, capture: Capture, reason: RefundReason): Payment {
  // A notice of nothing leaves nothing to give back.
  if (capture.amount <= 0) return payment;
  return { ...payment, owed: [...payment.owed, owedFor(capture, reason)] };
}

function withFailure(owed: OwedRefund, providerRefundId: string): OwedRefund {
  return { ...owed, round: owed.round + 1, failedRefundIds: [...owed.failedRefundIds, providerRefundId] };
}

/** Its failure overtook its acceptance. */
function hasFailed({ owed }: Payment, { pspReference, providerRefundId }: Refund): boolean {
  if (providerRefundId === null) return false;
  return owed.some((one) => one.pspReference === pspReference && one.failedRefundIds.includes(providerRefundId));
}

/** The service knows of those that its own call met, the checkout of those that it was told of. */
function withFailuresOf({ owed }: Payment, refund: Refund): Refund {
  const known = owed.filter(({ pspReference }) => pspReference === refund.pspReference).flatMap((one) => one.failedRefundIds);
  return { ...refund, failedRefundIds: [...new Set([...known, ...refund.failedRefundIds])] };
}

function isKnown(payment: Payment, capture: Capture): boolean {
  const isSame = (other: Capture) => other.pspReference === capture.pspReference;
  return (payment.settledBy !== null && isSame(payment.settledBy)) || payment.owed.some(isSame) || payment.refunds.some(isSame);
}

function matches(context: CheckoutContext, capture: Capture): boolean {
  const { invoice, paymentGroups } = context;
  return invoice !== null && capture.currency === invoice.currency && capture.amount === amountDue(invoice, paymentGroups);
}

/** Only the three fields that are money: outcomes carry more. */
function captureOf(capture: Capture): Capture {
  return { pspReference: capture.pspReference, amount: capture.amount, currency: capture.currency };
}
