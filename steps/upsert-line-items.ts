import { TransientError } from "../machines/errors.ts";
import type { Invoice } from "../machines/context.ts";
import type { CheckoutRequest } from "./request.ts";
import { undone, type Compensate, type Step, type StepDeps } from "./step.ts";

/**
 * Step 5: "Upsert Line Items & Create PCR: Create/update line items and payment collection requirement."
 * Two effects with a key each, undone one after the other: first the payment request, then the line items.
 */
export function upsertLineItemsAndCreatePaymentRequest({
  services,
  requests,
  clock,
}: StepDeps): Step<"upsertLineItemsAndCreatePaymentRequest"> {
  return {
    execute: async (
      { executionContextId, key, paymentKey, checkoutOrderId, invoice, amount, preferences, paymentDeadlineMs },
      signal,
    ) => {
      const request = await requests.load(executionContextId);
      const { lineItems } = await services.lineItems.upsertLineItems({
        executionContextId,
        key,
        signal,
        checkoutOrderId,
        lineItems: request.lineItems.map((item) => ({
          ...item,
          ...priceOf(invoice, item.ref),
          preferenceIds: preferences
            .filter(({ lineItemRefs }) => lineItemRefs.includes(item.ref))
            .map(({ preferenceId }) => preferenceId),
        })),
      });
      await services.paymentGroups.lockPaymentGroups({ executionContextId, key, signal, amounts: amountsByGroup(invoice) });
      const { dueAt, ...payment } = await services.payments.createPaymentRequest({
        ...paymentOf(request),
        amount,
        currency: invoice.currency,
        executionContextId,
        key: paymentKey,
        signal,
        checkoutOrderId,
        dueAt: Math.min(clock.now() + paymentDeadlineMs, invoice.expiresAt),
        round: 1,
      });
      return { lineItems, dueAt, payment };
    },
    compensate: (call) => undone(services.lineItems.undoUpsertLineItems(call)),
  };
}

/** The payment request's undo: a reversal, done when the provider holds nothing of what we owe. */
export function reversePaymentRequest({ services }: StepDeps): Compensate {
  return async (call) => {
    const { pcrId, refunds } = await services.payments.reversePaymentRequest(call);
    const isGivenBack = (pspReference: string) => refunds.some((refund) => refund.pspReference === pspReference);
    const missing = call.owed.filter(({ pspReference }) => !isGivenBack(pspReference));
    if (missing.length > 0) {
      throw new TransientError(
        "REFUND_MISSING",
        "The provider did not give back everything that it captured. It is tried again.",
        {
          details: { pspReferences: missing.map(({ pspReference }) => pspReference) },
        },
      );
    }
    return { pcrId, refunds, conflicts: [] };
  };
}

function amountsByGroup(invoice: Invoice): Record<string, number> {
  const amounts: Record<string, number> = {};
  for (const line of invoice.lines) amounts[line.paymentGroupId] = (amounts[line.paymentGroupId] ?? 0) + line.total;
  return amounts;
}

function paymentOf({ user, payment }: CheckoutRequest) {
  const { method, instrumentId, returnUrl } = payment;
  const base = { payerId: user.userId, method, instrumentId };
  return returnUrl === undefined ? base : { ...base, returnUrl };
}

function priceOf(invoice: Invoice, ref: string) {
  const line = invoice.lines.find((candidate) => candidate.kind === "LINE_ITEM" && candidate.ref === ref);
  const { unitPrice = 0, total = 0, paymentGroupId = "" } = line ?? {};
  return { unitPrice, total, paymentGroupId, currency: invoice.currency };
}
