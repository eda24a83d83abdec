/** GET /orchestration/checkout/:id/events, and POST …/events/redrive: what others were told, and an operator's way on. */
import { z } from "@hono/zod-openapi";
import type { App, AppDeps } from "../app-deps.ts";
import { rfc3339 } from "../checkout-body.ts";
import { CHECKOUTS_PATH } from "../links.ts";
import { checkoutParameter, jsonResponse, problemResponses } from "../openapi.ts";
import { onOwnCheckout } from "../own-checkout.ts";
import { eventsBodySchema, type EventsBody } from "../response-schema.ts";
import type { PublishedEvent } from "../../persistence/store.ts";

export function addEventRoutes(app: App, deps: AppDeps): void {
  document(app);
  app.get(`${CHECKOUTS_PATH}/:id/events`, (c) => {
    const id = c.req.param("id");
    return onOwnCheckout(c, deps, id, async () => c.json(eventsBody(await deps.orchestrator.events(id))));
  });
  app.post(`${CHECKOUTS_PATH}/:id/events/redrive`, (c) => {
    const id = c.req.param("id");
    return onOwnCheckout(c, deps, id, async () => c.json({ redriven: await deps.orchestrator.redrive(id) }));
  });
}

function eventsBody(events: readonly PublishedEvent[]): EventsBody {
  return {
    events: events.map(
      ({ contextId, eventSeq, typeSeq, type, data, committedAt, acknowledgedAt, tries, retryAt, parkedReason }) => ({
        id: `${contextId}:${eventSeq}`,
        type: `checkout.v1.${type}`,
        seq: eventSeq,
        typeseq: typeSeq,
        data,
        committedAt: rfc3339(committedAt),
        acknowledgedAt: acknowledgedAt === null ? null : rfc3339(acknowledgedAt),
        tries,
        retryAt: acknowledgedAt === null && retryAt !== null ? rfc3339(retryAt) : null,
        parkedReason,
      }),
    ),
  };
}

function document(app: App): void {
  const common = { security: [{ apiKey: [] }], parameters: [checkoutParameter] };
  app.openAPIRegistry.registerPath({
    ...common,
    method: "get",
    path: `${CHECKOUTS_PATH}/{id}/events`,
    operationId: "getCheckoutEvents",
    summary: "What others were told of it, in order, and what became of each event on its way to the bus",
    responses: { 200: jsonResponse("Its events", eventsBodySchema), ...problemResponses(401, 403, 404, 500, 503) },
  });
  app.openAPIRegistry.registerPath({
    ...common,
    method: "post",
    path: `${CHECKOUTS_PATH}/{id}/events/redrive`,
    operationId: "redriveCheckoutEvents",
    summary: "Publish at once what is parked, or waits for its next try; again is harmless",
    description: "For an event that the bus refused: mend the cause first, for example the broker's limit.",
    responses: {
      200: jsonResponse("`redriven`: whether anything waited for that", z.object({ redriven: z.boolean() })),
      ...problemResponses(401, 403, 404, 500, 503),
    },
  });
}
