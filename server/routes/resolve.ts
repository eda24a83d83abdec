/** POST /orchestration/checkout/:id/resolve: an operator took care by hand of what can't be undone or given back. */
import type { z } from "@hono/zod-openapi";
import type { ResolveCommand } from "../../runtime/commands.ts";
import { admit } from "../admission.ts";
import type { App, AppDeps } from "../app-deps.ts";
import { checkoutBody } from "../checkout-body.ts";
import { resolveBodySchema } from "../command-schema.ts";
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

export function addResolveRoute(app: App, deps: AppDeps): void {
  document(app);
  app.post(`${CHECKOUTS_PATH}/:id/resolve`, async (c) => {
    const admission = await admit(c.req.raw, (body) => parseWith(resolveBodySchema, body));
    if (admission.kind === "refused") return problemResponse(admission.problem);
    const { idempotencyKey, value } = admission;
    const executionContextId = c.req.param("id");
    const { waitMs, headers } = patience(c.req.header("prefer"), deps.requestWaitMs);
    return onOwnCheckout(c, deps, executionContextId, async () => {
      const view = await deps.orchestrator.resolve({
        executionContextId,
        idempotencyKey,
        operator: c.get("caller"),
        reference: value.reference,
        target: targetOf(value),
        waitMs,
      });
      return c.json(checkoutBody(view), 200, headers);
    });
  });
}

/** The schema lets exactly one of the two through. */
function targetOf({ undo, pspReference }: z.infer<typeof resolveBodySchema>): ResolveCommand["target"] {
  return undo === undefined ? { pspReference: pspReference ?? "" } : { undo };
}

const EXAMPLES = {
  undo: { summary: "An undo that was done by hand", value: { undo: "optIns", reference: "OPS-1234" } },
  refund: { summary: "A capture that was given back by hand", value: { pspReference: "psr_1", reference: "OPS-1235" } },
};

function document(app: App): void {
  app.openAPIRegistry.registerPath({
    method: "post",
    path: `${CHECKOUTS_PATH}/{id}/resolve`,
    operationId: "resolveCheckout",
    summary: "Say that an undo, or a refund, was done by hand; it is not tried again",
    description: "The caller is journaled as the operator, with `reference`: where it is written down what was done.",
    security: [{ apiKey: [] }],
    request: { body: { required: true, content: { "application/json": { schema: resolveBodySchema, examples: EXAMPLES } } } },
    parameters: [checkoutParameter, keyParameter, preferParameter],
    responses: {
      200: jsonResponse("The checkout as it stands now", checkoutBodySchema),
      ...problemResponses(400, 401, 403, 404, 413, 415, 500),
      409: describedProblem("NOTHING_TO_RESOLVE: this undo or capture does not wait for anybody"),
      422: describedProblem("IDEMPOTENCY_KEY_REUSED"),
      503: describedProblem("RETRY_SCHEDULED: it is kept, and the same request joins it; UNAVAILABLE. With Retry-After"),
    },
  });
}
