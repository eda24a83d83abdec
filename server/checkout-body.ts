/** A checkout as clients read it: the API's 200 body, from the machine's view alone. Pure. */
import type { Capture, CheckoutContext, Invoice, LastError, OwedRefund, Payment } from "../machines/context.ts";
import { capturesOf } from "../machines/ledger.ts";
import { amountDue, attemptsLeft } from "../machines/payment.ts";
import type { CheckoutView } from "../machines/view.ts";
import { checkoutLinks } from "./links.ts";
import type { CheckoutBody, InvoiceBody, LineItemBody, PaymentBody, RefundBody } from "./response-schema.ts";

export function checkoutBody(view: CheckoutView): CheckoutBody {
  const { context } = view;
  return {
    executionContextId: view.executionContextId,
    status: view.status,
    state: view.state,
    checkoutOrderId: context.order?.checkoutOrderId ?? null,
    orderNumber: context.order?.orderNumber ?? null,
    paymentGroups: context.paymentGroups.map((group) => ({
      paymentGroupId: group.paymentGroupId,
      lineItemRefs: [...group.lineItemRefs],
      amount: context.invoice === null ? null : amountOfGroup(context.invoice, group.paymentGroupId),
    })),
    invoice: context.invoice === null ? null : invoiceBody(context.invoice),
    lineItems: lineItems(view),
    optInIds: context.optIns.map(({ optInId }) => optInId),
    preferenceIds: context.preferences.map(({ preferenceId }) => preferenceId),
    payment: payment(view),
    lastError: troubleOf(context),
    links: checkoutLinks(view.executionContextId),
  };
}

export function invoiceBody(invoice: Invoice): InvoiceBody {
  return {
    invoiceId: invoice.invoiceId,
    version: invoice.version,
    payable: invoice.payable,
    currency: invoice.currency,
    expiresAt: rfc3339(invoice.expiresAt),
    lines: invoice.lines.map((line) => ({ ...line })),
  };
}

export function rfc3339(epochMs: number): string {
  return new Date(epochMs).toISOString();
}

/** Drivers' messages name hosts, and a bug's message anything: these codes speak for themselves. */
export function publicMessage(error: LastError): string {
  switch (error.code) {
    case "UNEXPECTED":
    case "INVARIANT_VIOLATED":
      return "The step met an error that it did not expect.";
    case "UNAVAILABLE":
      return "A service that the step needs did not answer.";
    case "TIMEOUT":
      return "A service that the step needs did not answer in time.";
    default:
      return error.message;
  }
}

function amountOfGroup(invoice: Invoice, paymentGroupId: string): number {
  return sum(invoice.lines.filter((line) => line.paymentGroupId === paymentGroupId).map(({ total }) => total));
}

function lineItems(view: CheckoutView): LineItemBody[] {
  const { context } = view;
  const status = lineItemStatus(view);
  const totals = new Map<string, number>();
  for (const line of context.invoice?.lines ?? []) if (line.kind === "LINE_ITEM") totals.set(line.ref, line.total);
  return context.lineItems.map(({ ref, lineItemId }) => ({
    ref,
    lineItemId,
    status,
    total: totals.get(ref) ?? null,
    preferenceIds: context.preferences.filter(({ lineItemRefs }) => lineItemRefs.includes(ref)).map((p) => p.preferenceId),
  }));
}

function lineItemStatus({ state, context }: CheckoutView): LineItemBody["status"] {
  if (context.undone.includes("lineItems")) return "REVERTED";
  switch (state) {
    case "COMPLETED":
      return "CONFIRMED";
    case "STEP_7":
    case "STEP_8":
      return "UPDATED";
    case "PROCESSING":
    case "ROLLEDBACK":
      // While undoing, the state no longer tells how far the steps came: STEP_6 began if the payment was requested.
      return context.payment.pcrId !== null && !context.undone.includes("paymentHydration") ? "UPDATED" : "DRAFT";
    default:
      return "DRAFT";
  }
}

function payment(view: CheckoutView): PaymentBody {
  const { context } = view;
  const held = context.payment;
  const currency = context.invoice?.currency ?? null;
  // A capture in a foreign currency is refunded as a whole; added up here it would be a wrong number.
  const inCurrency = (list: readonly Capture[]) => sum(list.filter((c) => c.currency === currency).map(({ amount }) => amount));
  const capturedAmount = inCurrency(capturesOf(held));
  const refundedAmount = inCurrency(held.refunds);
  return {
    pcrId: held.pcrId,
    attemptId: held.attemptId,
    status: paymentStatus(view, capturedAmount > 0 && refundedAmount === capturedAmount),
    amount: context.invoice === null ? null : amountDue(context.invoice, context.paymentGroups),
    currency,
    capturedAmount,
    refundedAmount,
    attemptsLeft: attemptsLeft(context),
    refunds: refunds(held),
    nextAction: held.nextAction === null || isOver(view) ? null : nextActionBody(held.nextAction),
  };
}

/** What went back, then what still has to: also a refund that was accepted and failed later, with its next round. */
function refunds({ refunds: given, owed }: Payment): RefundBody[] {
  const body = ({ pspReference, amount, currency, reason, round }: OwedRefund) => {
    return { pspReference, amount, currency, reason, round };
  };
  const isGiven = new Set(given.map(({ pspReference }) => pspReference));
  return [
    ...given.map((refund): RefundBody => {
      const status = refund.byHand === true ? "REFUNDED_BY_HAND" : "REFUNDED";
      return { ...body(refund), status, refundId: refund.refundId };
    }),
    ...owed
      .filter(({ pspReference }) => !isGiven.has(pspReference))
      .map((refund): RefundBody => ({ ...body(refund), status: "OWED", refundId: null })),
  ];
}

/** Undoing or ended: what was a next action is one no more. */
function isOver(view: CheckoutView): boolean {
  return view.state === "ROLLEDBACK" || view.state === "COMPLETED" || view.status === "ROLLING_BACK";
}

function paymentStatus(view: CheckoutView, isAllRefunded: boolean): PaymentBody["status"] {
  const { status } = view.context.payment;
  // In STEP_8 a refunded wrong amount leaves the payment open: DECLINED, another attempt is awaited.
  const isUndoing = view.state === "PROCESSING" || view.state === "ROLLEDBACK";
  if (isUndoing && isAllRefunded) return "REFUNDED";
  // Cancelled at the deadline, when the provider said so, or by the undo alone: nobody declined it.
  const wasOpen = status === "REQUIRES_ACTION" || view.context.payment.declineCode === "CANCELLED";
  if (wasOpen && view.context.undone.includes("paymentRequest")) return "CANCELLED";
  return status;
}

function nextActionBody(action: NonNullable<CheckoutContext["payment"]["nextAction"]>): PaymentBody["nextAction"] {
  const url = action.url === undefined ? {} : { url: action.url };
  return { type: action.type, expiresAt: rfc3339(action.expiresAt), ...url };
}

/** A decline is an outcome of the payment, not an error of a step; who pays must still learn why. */
function troubleOf({ lastError: error, payment }: CheckoutContext): CheckoutBody["lastError"] {
  if (error !== null) return lastError(error);
  if (payment.status !== "DECLINED") return null;
  const message = `The payment was declined (${payment.declineCode ?? "no reason given"}).`;
  return lastError({ class: "TERMINAL", code: "PAYMENT_DECLINED", message, step: "STEP_8" });
}

function lastError(error: LastError): CheckoutBody["lastError"] {
  return { step: error.step, class: error.class, code: error.code, message: publicMessage(error) };
}

function sum(amounts: readonly number[]): number {
  return amounts.reduce((total, amount) => total + amount, 0);
}
