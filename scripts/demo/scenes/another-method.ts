/** The card is declined; the customer pays the same checkout in another way. */
import { randomUUID } from "node:crypto";
import { attemptPayment, isAwaitingPayment } from "../client.ts";
import { remark } from "../../output.ts";
import { WatchedCheckout, type Scenario, type Scene } from "../watched-checkout.ts";

export const anotherMethod: Scene = async (service) => {
  const scenario: Scenario = {
    name: "another method",
    instrumentId: "ins_decline",
    method: "CARD",
    outcome: "CONFIRMED",
  };
  const checkout = await WatchedCheckout.begin(service, scenario);
  const { executionContextId } = checkout;
  const { body } = await checkout.tellAnswer(checkout.ask(), isAwaitingPayment);
  remark(`the card is declined, ${body.payment?.attemptsLeft} attempts are left; the customer takes UPI`);
  const means = { method: "UPI", instrumentId: "ins_sync_ok" };
  await checkout.tellAnswer(attemptPayment(service.url, executionContextId, randomUUID(), means));
  return [{ scenario, executionContextId, wrongs: [] }];
};
