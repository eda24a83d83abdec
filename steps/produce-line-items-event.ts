import type { LineItemsFacts } from "../machines/step-inputs.ts";
import type { Execute, Step } from "./step.ts";

/**
 * Step 8: "Produce Line Items Updated Event". Builds the payload; the transition that it completes commits
 * the outbox row, and that is "produced". Its undo is a new fact, emitted by the transition that undoes it.
 */
export function produceLineItemsUpdatedEvent(): Step<"produceLineItemsUpdatedEvent"> {
  return {
    execute: async (facts) => payloadOf(facts, "UPDATED"),
    compensate: async () => ({ pcrId: null, refunds: [], conflicts: [] }),
  };
}

/** Step 10: "Produce Line Items Confirmed Event". */
export function produceLineItemsConfirmedEvent(): Execute<"produceLineItemsConfirmedEvent"> {
  return async (facts) => payloadOf(facts, "CONFIRMED");
}

function payloadOf({ checkoutOrderId, lineItems, invoice, paymentStatus }: LineItemsFacts, status: "UPDATED" | "CONFIRMED") {
  const { invoiceId, version, payable, currency, lines } = invoice;
  return {
    checkoutOrderId,
    invoice: { invoiceId, version, payable, currency },
    payment: { status: paymentStatus },
    lineItems: lineItems.map(({ ref, lineItemId }) => {
      const line = lines.find((candidate) => candidate.kind === "LINE_ITEM" && candidate.ref === ref);
      return {
        lineItemId,
        ref,
        status,
        sku: line?.sku ?? null,
        quantity: line?.quantity ?? null,
        total: line?.total ?? null,
        paymentGroupId: line?.paymentGroupId ?? null,
      };
    }),
  };
}
