/** POST /orchestration/checkout/initiate. */
import type { InitiateResult } from "../../runtime/initiation.ts";
import { admit } from "../admission.ts";
import { parkedProblem, unfinishedProblem } from "../answer.ts";
import type { App, AppDeps } from "../app-deps.ts";
import { PROBLEM_MEDIA_TYPE, problemResponse } from "../error-response.ts";
import { canonicalHash } from "../json-body.ts";
import { CHECKOUTS_PATH } from "../links.ts";
import { jsonResponse, keyParameter, preferParameter, problemResponses } from "../openapi.ts";
import { problem, retryAfterSeconds } from "../problems.ts";
import { patience, PREFERRED_WAIT_MAX_MS, validTraceparent } from "../request-headers.ts";
import { initiateBodySchema, parseCheckoutRequest } from "../request-schema.ts";
import { checkoutBodySchema } from "../response-schema.ts";

const INITIATE_PATH = `${CHECKOUTS_PATH}/initiate`;

/** By then a load balancer that asks /readyz sends its requests to another node. */
const DRAINING_RETRY_AFTER_MS = 5000;

export function addInitiateRoute(app: App, deps: AppDeps): void {
  document(app);
  app.post(INITIATE_PATH, async (c) => {
    if (deps.draining.aborted) {
      const content = problem(
        "DRAINING",
        "This node takes no new checkouts. Send the same request again; another node takes it.",
      );
      return problemResponse(content, { "Retry-After": String(retryAfterSeconds(DRAINING_RETRY_AFTER_MS)) });
    }
    const admission = await admit(c.req.raw, parseCheckoutRequest);
    if (admission.kind === "refused") return problemResponse(admission.problem);
    const { waitMs, headers } = patience(c.req.header("prefer"), deps.requestWaitMs);
    const result = await deps.orchestrator.initiate({
      caller: c.get("caller"),
      idempotencyKey: admission.idempotencyKey,
      requestHash: canonicalHash(admission.body),
      request: admission.value,
      traceparent: validTraceparent(c.req.header("traceparent")),
      waitMs,
    });
    return answer(result, headers);
  });
}

function answer(result: InitiateResult, applied: Readonly<Record<string, string>>): Response {
  switch (result.kind) {
    case "answered":
      // The stored bytes go out as they are: a replay must not depend on today's code.
      return new Response(result.answer.body, {
        status: result.answer.status,
        headers: {
          "Content-Type": result.answer.status < 400 ? "application/json" : PROBLEM_MEDIA_TYPE,
          "Cache-Control": "no-store",
          ...(result.replayed ? { "Idempotency-Replayed": "true" } : {}),
          ...applied,
        },
      });
    case "parked":
      return problemResponse(parkedProblem(result.view), applied);
    case "unfinished": {
      const retryAfter = { "Retry-After": String(retryAfterSeconds(result.retryAfterMs)) };
      return problemResponse(unfinishedProblem(result.view), { ...retryAfter, ...applied });
    }
  }
}

function document(app: App): void {
  app.openAPIRegistry.registerPath({
    method: "post",
    path: INITIATE_PATH,
    operationId: "initiateCheckout",
    summary: "Start a checkout, or join the one that this Idempotency-Key started",
    description:
      `Waits for a first answer for REQUEST_WAIT_MS, or for \`Prefer: wait=N\` seconds (at most ${PREFERRED_WAIT_MAX_MS / 1000}). ` +
      "A checkout that is not there yet is answered 503 RETRY_SCHEDULED and goes on; the same request joins it.",
    security: [{ apiKey: [] }],
    request: { body: { required: true, content: { "application/json": { schema: initiateBodySchema } } } },
    parameters: [keyParameter, preferParameter, { name: "traceparent", in: "header", schema: { type: "string" } }],
    responses: {
      200: jsonResponse("It waits for payment (AWAITING_PAYMENT) or is CONFIRMED", checkoutBodySchema),
      ...problemResponses(400, 401, 403, 409, 413, 415, 422, 500, 502, 503),
    },
  });
}
