import { TerminalError } from "../machines/errors.ts";
import { undone, type Step, type StepDeps } from "./step.ts";

/** Step 2: "Get Invoice & Hydrate Pricing: Get pricing and invoice details." The price is pinned here. */
export function getLineItemSummary({ services, requests }: StepDeps): Step<"getLineItemSummary"> {
  return {
    execute: async (call, signal) => {
      const { user, lineItems, optIns = [], couponCodes = [], expectedTotal } = await requests.load(call.executionContextId);
      const invoice = await services.invoices.getLineItemSummary({ ...call, signal, ...user, lineItems, optIns, couponCodes });
      const isExpected =
        expectedTotal === undefined || (expectedTotal.amount === invoice.payable && expectedTotal.currency === invoice.currency);
      if (!isExpected) {
        throw new TerminalError(
          "PRICE_CHANGED",
          "The price has changed. Show the new invoice and check out again with its total.",
          {
            details: { invoice },
          },
        );
      }
      return invoice;
    },
    compensate: (call) => undone(services.invoices.undoGetLineItemSummary(call)),
  };
}
