import { undone, type Step, type StepDeps } from "./step.ts";

/** Step 7: "Create Preferences Mapping: Map preferences to line items." */
export function createPreferencesToLineItemsMapping({ services }: StepDeps): Step<"createPreferencesToLineItemsMapping"> {
  return {
    execute: (call, signal) => services.lineItems.createPreferencesToLineItemsMapping({ ...call, signal }),
    compensate: (call) => undone(services.lineItems.undoCreatePreferencesToLineItemsMapping(call)),
  };
}
