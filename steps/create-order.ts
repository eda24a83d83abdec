import { undone, type Step, type StepDeps } from "./step.ts";

/** Step 3: "Create Checkout Order: Create checkout order record." */
export function createCheckoutOrder({ services, requests }: StepDeps): Step<"createCheckoutOrder"> {
  return {
    execute: async (call, signal) => {
      const { user, cart } = await requests.load(call.executionContextId);
      return services.orders.createCheckoutOrder({ ...call, signal, ...user, cartId: cart.cartId });
    },
    compensate: (call) => undone(services.orders.undoCreateCheckoutOrder(call)),
  };
}
