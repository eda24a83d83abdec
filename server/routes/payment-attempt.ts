/** POST /orchestration/checkout/:id/payment: another attempt, while a payment is awaited. */
import { admit } from "../admission.ts";
import { declinedProblem } from "../answer.ts";
import type { App, AppDeps } from "../app-deps.ts";
import { checkoutBody } from "../checkout-body.ts";
import { attemptBodySchema } from "../command-schema.ts";
import { problemResponse } from "../error-response.ts";
import { CHECKOUTS_PATH } from "../links.ts";
import {
  checkoutParameter,
  describedProblem,
  jsonResponse,
  keyParameter,
  preferParameter,
  problemResponses,
} from "../openapi.ts";
import { onOwnCheckout } from "../own-checkout.ts";
import { patience } from "../request-headers.ts";
import { checkoutBodySchema } from "../response-schema.ts";
import { parseWith } from "../violations.ts";

export function addPaymentAttemptRoute(app: App, deps: AppDeps): void {
  document(app);
  app.post(`${CHECKOUTS_PATH}/:id/payment`, async (c) => {
    const admission = await admit(c.req.raw, (body) => parseWith(attemptBodySchema, body));
    if (admission.kind === "refused") return problemResponse(admission.problem);
    const { idempotencyKey, value: choice } = admission;
    const executionContextId = c.req.param("id");
    const { waitMs, headers } = patience(c.req.header("prefer"), deps.requestWaitMs);
    return onOwnCheckout(c, deps, executionContextId, async () => {
      const command = { executionContextId, idempotencyKey, ...choice, waitMs };
      const { view, replayed } = await deps.orchestrator.attemptPayment(command);
      const marked = replayed ? { ...headers, "Idempotency-Replayed": "true" } : headers;
      const declined = declinedProblem(view);
      return declined === null ? c.json(checkoutBody(view), 200, marked) : problemResponse(declined, marked);
    });
  });
}

function document(app: App): void {
  app.openAPIRegistry.registerPath({
    method: "post",
    path: `${CHECKOUTS_PATH}/{id}/payment`,
    operationId: "attemptPayment",
    summary: "Pay in another way: another attempt on the same payment requirement",
    description:
      "First the open attempt is cancelled at the provider. The number of attempts is limited: `payment.attemptsLeft`.",
    security: [{ apiKey: [] }],
    request: {
      body: {
        required: true,
        content: { "application/json": { schema: attemptBodySchema, example: { method: "UPI", instrumentId: "ins_async" } } },
      },
    },
    parameters: [checkoutParameter, keyParameter, preferParameter],
    responses: {
      200: jsonResponse("The checkout as it stands now; Idempotency-Replayed when this key was used before", checkoutBodySchema),
      ...problemResponses(400, 401, 403, 404, 413, 415, 500),
      409: describedProblem("PAYMENT_NOT_EXPECTED, or ALREADY_PAID: the open attempt was captured meanwhile"),
      422: describedProblem(
        "PAYMENT_DECLINED: it was the last attempt, `rollback` says how far it is undone; IDEMPOTENCY_KEY_REUSED",
      ),
      503: describedProblem("RETRY_SCHEDULED: it is kept, and the same request joins it; UNAVAILABLE. With Retry-After"),
    },
  });
}
