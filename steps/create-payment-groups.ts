import { undone, type Step, type StepDeps } from "./step.ts";

/** "Payment Group Creation: Create payment groups for line items." */
export function createPaymentGroup({ services, requests }: StepDeps): Step<"createPaymentGroup"> {
  return {
    execute: async (call, signal) => {
      const { user, lineItems } = await requests.load(call.executionContextId);
      return services.paymentGroups.createPaymentGroup({ ...call, signal, payerId: user.userId, cityId: user.cityId, lineItems });
    },
    compensate: (call) => undone(services.paymentGroups.undoCreatePaymentGroup(call)),
  };
}
