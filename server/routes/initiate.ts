/** POST /orchestration/checkout/initiate. */
import type { Violation } from "../../machines/errors.ts";
import type { InitiateResult } from "../../runtime/orchestrator.ts";
import type { CheckoutRequest } from "../../steps/request.ts";
import { parkedProblem, unfinishedProblem } from "../answer.ts";
import type { App, AppDeps } from "../app-deps.ts";
import { PROBLEM_MEDIA_TYPE, problemResponse } from "../error-response.ts";
import { canonicalHash, invalid, readJsonBody } from "../json-body.ts";
import { CHECKOUTS_PATH } from "../links.ts";
import { jsonResponse, problemResponses } from "../openapi.ts";
import { problem, retryAfterSeconds, type Problem } from "../problems.ts";
import { idempotencyKeyViolation, preferredWaitMs, PREFERRED_WAIT_MAX_MS, validTraceparent } from "../request-headers.ts";
import { initiateBodySchema, parseCheckoutRequest } from "../request-schema.ts";
import { checkoutBodySchema } from "../response-schema.ts";

const INITIATE_PATH = `${CHECKOUTS_PATH}/initiate`;

/** By then a load balancer that asks /readyz sends its requests to another node. */
const DRAINING_RETRY_AFTER_MS = 5000;

type Admission =
  | {
      readonly kind: "admitted";
      readonly idempotencyKey: string;
      readonly requestHash: string;
      readonly request: CheckoutRequest;
    }
  | { readonly kind: "refused"; readonly problem: Problem };

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
    const admission = await admit(c.req.raw);
    if (admission.kind === "refused") return problemResponse(admission.problem);
    const { idempotencyKey, requestHash, request } = admission;
    const preferredMs = preferredWaitMs(c.req.header("prefer"));
    const result = await deps.orchestrator.initiate({
      caller: c.get("caller"),
      idempotencyKey,
      requestHash,
      request,
      traceparent: validTraceparent(c.req.header("traceparent")),
      waitMs: preferredMs ?? deps.requestWaitMs,
    });
    return answer(result, preferredMs);
  });
}

/** Everything that can be said about a request without asking anybody, mistakes in headers and body together. */
async function admit(request: Request): Promise<Admission> {
  const body = await readJsonBody(request);
  const key = request.headers.get("idempotency-key") ?? undefined;
  const keyViolation = idempotencyKeyViolation(key);
  const violations: Violation[] = keyViolation === null ? [] : [keyViolation];
  if (body.kind === "refused") {
    // 413 and 415 stand alone; a 400 lists the header's mistake as well.
    if (body.problem.violations === undefined) return body;
    return invalid([...violations, ...body.problem.violations]);
  }
  const parsed = parseCheckoutRequest(body.value);
  if (parsed.kind === "violations") return invalid([...violations, ...parsed.violations]);
  if (key === undefined || keyViolation !== null) return invalid(violations);
  return { kind: "admitted", idempotencyKey: key, requestHash: canonicalHash(body.value), request: parsed.request };
}

function answer(result: InitiateResult, preferredMs: number | null): Response {
  const applied = preferredMs === null ? {} : { "Preference-Applied": `wait=${preferredMs / 1000}` };
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
    parameters: [
      { name: "Idempotency-Key", in: "header", required: true, schema: { type: "string", minLength: 1, maxLength: 255 } },
      { name: "Prefer", in: "header", schema: { type: "string", examples: ["wait=10"] } },
      { name: "traceparent", in: "header", schema: { type: "string" } },
    ],
    responses: {
      200: jsonResponse("It waits for payment (AWAITING_PAYMENT) or is CONFIRMED", checkoutBodySchema),
      ...problemResponses(400, 401, 403, 409, 413, 415, 422, 500, 502, 503),
    },
  });
}
