/**
 * POST /orchestration/payments/events. The signature is the authentication, so no API key is asked for; a draining or
 * busy node takes events as well: what it keeps, another node applies.
 */
import { z } from "@hono/zod-openapi";
import type { App, AppDeps } from "../app-deps.ts";
import { problemResponse } from "../error-response.ts";
import { describedProblem, jsonResponse, problemResponses } from "../openapi.ts";
import { paymentEventSchema } from "../payment-event-schema.ts";
import { problem } from "../problems.ts";
import { readJsonBytes } from "../request-bytes.ts";

const PAYMENT_EVENTS_PATH = "/orchestration/payments/events";

export function addPaymentEventRoute(app: App, deps: Pick<AppDeps, "paymentDoor">): void {
  document(app);
  app.post(PAYMENT_EVENTS_PATH, async (c) => {
    if (deps.paymentDoor === null) {
      const detail = "This service takes no payment events: it has no PAYMENT_WEBHOOK_SECRET to check signatures with.";
      return problemResponse(problem("WEBHOOK_NOT_CONFIGURED", detail));
    }
    const read = await readJsonBytes(c.req.raw);
    if (read.kind === "refused") return problemResponse(read.problem);
    const answer = await deps.paymentDoor.receive({
      headers: {
        "webhook-id": c.req.header("webhook-id") ?? "",
        "webhook-timestamp": c.req.header("webhook-timestamp") ?? "",
        "webhook-signature": c.req.header("webhook-signature") ?? "",
      },
      body: read.bytes,
    });
    return answer.kind === "refused" ? problemResponse(answer.problem) : c.json({ status: answer.status });
  });
}

const answerSchema = z.object({ status: z.enum(["STORED", "DUPLICATE", "UNMATCHED", "IGNORED"]) }).openapi("PaymentEventAnswer");

const EXAMPLES = {
  STORED: { summary: "Kept; its checkout applies it, now or once it knows the payment", value: { status: "STORED" } },
  DUPLICATE: { summary: "Kept before, by its eventId; what was kept stands", value: { status: "DUPLICATE" } },
  UNMATCHED: { summary: "Kept, but it names no pcrId", value: { status: "UNMATCHED" } },
  IGNORED: { summary: "Of a type that is not known here; not kept", value: { status: "IGNORED" } },
};

function document(app: App): void {
  const signatureHeader = (name: string) => ({ name, in: "header", required: true, schema: { type: "string" } }) as const;
  app.openAPIRegistry.registerPath({
    method: "post",
    path: PAYMENT_EVENTS_PATH,
    operationId: "receivePaymentEvent",
    summary: "News of a payment, signed by the Standard Webhooks scheme",
    description:
      "Answered 2xx only once the event is durable. Anything else than a 2xx: send it again, signed anew. " +
      "Members that are not listed are let through and not kept.",
    security: [],
    request: { body: { required: true, content: { "application/json": { schema: paymentEventSchema } } } },
    parameters: ["webhook-id", "webhook-timestamp", "webhook-signature"].map(signatureHeader),
    responses: {
      200: jsonResponse("What became of it", answerSchema, EXAMPLES),
      ...problemResponses(400, 413, 415, 500),
      401: describedProblem("UNAUTHENTICATED: no signature, a wrong one, or one older or newer than five minutes"),
      503: describedProblem("WEBHOOK_NOT_CONFIGURED or UNAVAILABLE, with Retry-After"),
    },
  });
}
