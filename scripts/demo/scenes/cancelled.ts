/** The customer cancels, and pays after all: the money comes two seconds after the rollback, and goes back by itself. */
import { cancel, getCheckout, isAwaitingPayment, type Transition } from "../client.ts";
import { remark } from "../../output.ts";
import { WatchedCheckout, type Scenario, type Scene } from "../watched-checkout.ts";

export const cancelledThenPaid: Scene = async (service) => {
  const scenario: Scenario = { name: "cancelled, then paid", instrumentId: "ins_late", outcome: "ROLLED_BACK" };
  const checkout = await WatchedCheckout.begin(service, scenario);
  const { executionContextId } = checkout;
  await checkout.tellAnswer(checkout.ask(), isAwaitingPayment);
  let isPaid = false;
  const isAtRest = (one: Transition) => {
    isPaid ||= one.event === "payment_collection_requirement_success";
    return one.to === "ROLLEDBACK.atRest";
  };
  const { httpStatus, body } = await checkout.tellAnswer(cancel(service.url, executionContextId), isAtRest);
  if (!isPaid) {
    remark("the customer's bank knows nothing of the cancellation, and pays");
    await checkout.tell((one) => isAtRest(one) && isPaid);
  }
  const { payment } = await getCheckout(service.url, executionContextId);
  const refunds = payment?.refunds.map(({ reason, status }) => `${status} ${reason}`).join() ?? "";
  const answer = `${httpStatus} ${body.status}`;
  const wrongs = [
    ...(answer === "200 ROLLED_BACK" ? [] : [`the cancellation was answered ${answer}`]),
    ...(refunds === "REFUNDED LATE" ? [] : [`the refunds are: ${refunds}`]),
  ];
  return [{ scenario, executionContextId, wrongs }];
};
