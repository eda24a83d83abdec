import { undone, type Step, type StepDeps } from "./step.ts";

/** Step 6: "Hydrate Payments & Update Line Items: Update line items with payment details." */
export function hydratePaymentAndUpdateLineItems({ services }: StepDeps): Step<"hydratePaymentAndUpdateLineItems"> {
  return {
    execute: (call, signal) => services.lineItems.hydratePaymentAndUpdateLineItems({ ...call, signal }),
    compensate: (call) => undone(services.lineItems.undoHydratePaymentAndUpdateLineItems(call)),
  };
}
