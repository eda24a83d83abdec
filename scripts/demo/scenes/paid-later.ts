/** The bank takes a second: the client has its answer long before, and the provider's signed event confirms. */
import { isAwaitingPayment, isEnding, type Transition } from "../client.ts";
import { WatchedCheckout, type Scenario, type Scene } from "../watched-checkout.ts";

export const paidLater: Scene = async (service) => {
  const scenario: Scenario = { name: "paid later", instrumentId: "ins_async_ok", outcome: "CONFIRMED" };
  const checkout = await WatchedCheckout.begin(service, scenario);
  const isAnswered = (one: Transition) => isAwaitingPayment(one) || isEnding(one);
  const { body } = await checkout.tellAnswer(checkout.ask(), isAnswered);
  // On a very busy machine the event may come before STEP_8: then it was kept, and nobody had to wait.
  if (body.status === "AWAITING_PAYMENT") await checkout.tell();
  return [{ scenario, executionContextId: checkout.executionContextId, wrongs: [] }];
};
