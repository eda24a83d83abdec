/** POST /orchestration/checkout/:id/cancel. Again is the same no-op, so it needs no Idempotency-Key. */
import type { App, AppDeps } from "../app-deps.ts";
import { checkoutBody } from "../checkout-body.ts";
import { cancelBodySchema } from "../command-schema.ts";
import { problemResponse } from "../error-response.ts";
import { parseJson } from "../json-body.ts";
import { CHECKOUTS_PATH } from "../links.ts";
import { checkoutParameter, describedProblem, jsonResponse, preferParameter, problemResponses } from "../openapi.ts";
import { onOwnCheckout } from "../own-checkout.ts";
import type { Problem } from "../problems.ts";
import { readOptionalJsonBytes } from "../request-bytes.ts";
import { patience } from "../request-headers.ts";
import { checkoutBodySchema } from "../response-schema.ts";
import { invalid, parseWith } from "../violations.ts";

export function addCancelRoute(app: App, deps: AppDeps): void {
  document(app);
  app.post(`${CHECKOUTS_PATH}/:id/cancel`, async (c) => {
    const mistake = await mistakeIn(c.req.raw);
    if (mistake !== null) return problemResponse(mistake);
    const id = c.req.param("id");
    const { waitMs, headers } = patience(c.req.header("prefer"), deps.requestWaitMs);
    return onOwnCheckout(c, deps, id, async () => {
      const view = await deps.orchestrator.cancel(id, waitMs);
      return c.json(checkoutBody(view), view.status === "ROLLED_BACK" ? 200 : 202, headers);
    });
  });
}

/** There is nothing to say in a cancellation: no body, or an empty object. */
async function mistakeIn(request: Request): Promise<Problem | null> {
  const body = await readOptionalJsonBytes(request);
  if (body.kind === "refused") return body.problem;
  if (body.bytes.byteLength === 0) return null;
  const json = parseJson(body.bytes);
  if (json.kind === "refused") return json.problem;
  const parsed = parseWith(cancelBodySchema, json.value);
  return parsed.kind === "violations" ? invalid(parsed.violations).problem : null;
}

function document(app: App): void {
  app.openAPIRegistry.registerPath({
    method: "post",
    path: `${CHECKOUTS_PATH}/{id}/cancel`,
    operationId: "cancelCheckout",
    summary: "Undo a checkout, until its payment is settled; again is the same no-op",
    description: "What is captured after a cancellation is given back.",
    security: [{ apiKey: [] }],
    request: { body: { required: false, content: { "application/json": { schema: cancelBodySchema } } } },
    parameters: [checkoutParameter, preferParameter],
    responses: {
      200: jsonResponse("Everything that it did is undone (ROLLED_BACK)", checkoutBodySchema),
      202: jsonResponse("It is being undone (ROLLING_BACK), or waits for an operator (NEEDS_ATTENTION)", checkoutBodySchema),
      ...problemResponses(400, 401, 403, 404, 413, 415, 500),
      409: describedProblem("NOT_CANCELLABLE: it is paid, and being or been confirmed"),
      503: describedProblem("RETRY_SCHEDULED: it is kept, and the same request joins it; UNAVAILABLE. With Retry-After"),
    },
  });
}
