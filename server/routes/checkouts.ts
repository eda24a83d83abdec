/** Reading checkouts: the list, one of them, and its journal. Another caller's doesn't exist. */
import type { Context } from "hono";
import type { StoredView } from "../../runtime/stored-views.ts";
import type { CheckoutSummary } from "../../persistence/store.ts";
import type { App, AppDeps, EdgeEnv } from "../app-deps.ts";
import { checkoutBody, rfc3339 } from "../checkout-body.ts";
import { problemResponse } from "../error-response.ts";
import { historyEntryBody, pageQuery, removedBefore } from "../history-page.ts";
import { CHECKOUTS_PATH, checkoutLinks, historyPageLink } from "../links.ts";
import { checkoutParameter, jsonResponse, problemResponses } from "../openapi.ts";
import { otherVersion, ownCheckout, unknownCheckout } from "../own-checkout.ts";
import { checkoutBodySchema, checkoutListSchema, historyBodySchema } from "../response-schema.ts";
import { invalid } from "../violations.ts";

/** The list is for looking at what runs; who needs more reads the event stream. */
const LIST_MAX = 200;

export function addCheckoutRoutes(app: App, deps: AppDeps): void {
  document(app);
  app.get(CHECKOUTS_PATH, async (c) => {
    const summaries = await deps.orchestrator.list(LIST_MAX);
    const own = summaries.filter(({ caller }) => caller === c.get("caller"));
    return c.json({ checkouts: own.map(summaryBody) });
  });
  app.get(`${CHECKOUTS_PATH}/:id`, async (c) => {
    const stored = await ownCheckout(deps.orchestrator, c.req.param("id"), c.get("caller"));
    if (stored === null) return problemResponse(unknownCheckout());
    return stored.isOfOtherVersion ? problemResponse(otherVersion(stored)) : c.json(checkoutBody(viewOf(stored)));
  });
  app.get(`${CHECKOUTS_PATH}/:id/history`, async (c) => history(c, deps, c.req.param("id")));
}

async function history(c: Context<EdgeEnv>, deps: AppDeps, id: string): Promise<Response> {
  const page = pageQuery(c.req.query("after"), c.req.query("limit"));
  if (page.kind === "violations") return problemResponse(invalid(page.violations).problem);
  const stored = await ownCheckout(deps.orchestrator, id, c.get("caller"));
  if (stored === null) return problemResponse(unknownCheckout());
  // One more than asked for tells whether there is a next page.
  const found = await deps.orchestrator.history(id, page.after, page.limit + 1);
  const removed = removedBefore(id, page, found[0]);
  if (removed !== null) return problemResponse(removed);
  const entries = found.slice(0, page.limit);
  const last = entries.at(-1);
  const next = found.length > page.limit && last !== undefined ? historyPageLink(id, last.seq, page.limit) : null;
  return c.json({ entries: entries.map(historyEntryBody), next });
}

/** A parked checkout can't say so itself: its machine is not running. */
function viewOf(stored: StoredView): StoredView["view"] {
  return stored.parkedReason === null ? stored.view : { ...stored.view, status: "NEEDS_ATTENTION" };
}

function summaryBody(summary: CheckoutSummary) {
  return {
    executionContextId: summary.id,
    state: summary.state,
    status: summary.parkedReason === null ? summary.status : "NEEDS_ATTENTION",
    seq: summary.seq,
    createdAt: rfc3339(summary.createdAt),
    updatedAt: rfc3339(summary.updatedAt),
    links: checkoutLinks(summary.id),
  };
}

function document(app: App): void {
  const security = [{ apiKey: [] }];
  app.openAPIRegistry.registerPath({
    method: "get",
    path: CHECKOUTS_PATH,
    operationId: "listCheckouts",
    summary: `The caller's checkouts among the newest ${LIST_MAX} of all, newest first`,
    security,
    responses: { 200: jsonResponse("The list", checkoutListSchema), ...problemResponses(401, 403, 500, 503) },
  });
  app.openAPIRegistry.registerPath({
    method: "get",
    path: `${CHECKOUTS_PATH}/{id}`,
    operationId: "getCheckout",
    summary: "A checkout as of now",
    security,
    parameters: [checkoutParameter],
    responses: { 200: jsonResponse("The checkout", checkoutBodySchema), ...problemResponses(401, 403, 404, 500, 503) },
  });
  app.openAPIRegistry.registerPath({
    method: "get",
    path: `${CHECKOUTS_PATH}/{id}/history`,
    operationId: "getCheckoutHistory",
    summary: "The journal in order, page by page",
    security,
    parameters: [
      checkoutParameter,
      { name: "after", in: "query", schema: { type: "integer", minimum: 0, default: 0 } },
      { name: "limit", in: "query", schema: { type: "integer", minimum: 1, maximum: 500, default: 100 } },
    ],
    responses: { 200: jsonResponse("One page", historyBodySchema), ...problemResponses(400, 401, 403, 404, 410, 500, 503) },
  });
}
