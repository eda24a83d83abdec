/** News of a payment from outside, signed with the shared secret, delivered twice as providers do: settled once. */
import { randomUUID } from "node:crypto";
import { signedDelivery } from "../../../server/webhook-signature.ts";
import { getCheckout, isAwaitingPayment, type PaymentBody } from "../client.ts";
import type { DemoService } from "../demo-service.ts";
import { remark } from "../../output.ts";
import { WatchedCheckout, type Scenario, type Scene } from "../watched-checkout.ts";

export const signedWebhook: Scene = async (service) => {
  const scenario: Scenario = { name: "signed webhook", instrumentId: "ins_async", outcome: "CONFIRMED" };
  const checkout = await WatchedCheckout.begin(service, scenario);
  const { executionContextId } = checkout;
  await checkout.tellAnswer(checkout.ask(), isAwaitingPayment);
  const { payment } = await getCheckout(service.url, executionContextId);
  const event = successOf(payment);
  remark("the payment provider posts payment_collection_requirement_success, and posts it again");
  const answers = [await deliver(service, event), await deliver(service, event)];
  for (const answer of answers) remark(`→ ${answer}`, "green");
  const wrongs = answers.join() === "200 STORED,200 DUPLICATE" ? [] : [`the deliveries were answered ${answers.join(", ")}`];
  await checkout.tell();
  return [{ scenario, executionContextId, wrongs }];
};

function successOf(payment: PaymentBody | undefined) {
  const at = new Date().toISOString();
  return {
    type: "payment_collection_requirement_success",
    timestamp: at,
    data: {
      eventId: `evt_${randomUUID()}`,
      pcrId: payment?.pcrId,
      attemptId: payment?.attemptId,
      pspReference: `psp_${randomUUID()}`,
      amount: payment?.amount,
      currency: payment?.currency,
      occurredAt: at,
    },
  };
}

/** Each delivery is signed anew, as the scheme has it: what makes the second one a duplicate is its event's id. */
async function deliver(service: DemoService, event: ReturnType<typeof successOf>): Promise<string> {
  const { headers, body } = signedDelivery(service.webhookSecret, event);
  const response = await fetch(`${service.url}/orchestration/payments/events`, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body: Buffer.from(body),
  });
  const { status, code } = (await response.json()) as { readonly status: string | number; readonly code?: string };
  return `${response.status} ${code ?? status}`;
}
