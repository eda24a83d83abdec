/** GET /orchestration/checkout/:id/at?seq=N: a checkout as it was after any entry of its journal, by folding that far. */
import type { App, AppDeps } from "../app-deps.ts";
import { checkoutBody } from "../checkout-body.ts";
import { problemResponse } from "../error-response.ts";
import { historyEntryBody, removedEntry, seqQuery } from "../history-page.ts";
import { CHECKOUTS_PATH } from "../links.ts";
import { checkoutParameter, jsonResponse, problemResponses } from "../openapi.ts";
import { onOwnCheckout } from "../own-checkout.ts";
import { pastCheckoutSchema } from "../response-schema.ts";
import { invalid } from "../violations.ts";

export function addPastCheckoutRoute(app: App, deps: AppDeps): void {
  document(app);
  app.get(`${CHECKOUTS_PATH}/:id/at`, (c) => {
    const id = c.req.param("id");
    const seq = seqQuery(c.req.query("seq"));
    return onOwnCheckout(c, deps, id, async () => {
      const past = seq === null ? null : await deps.orchestrator.viewAt(id, seq);
      if (past === "removed") return problemResponse(removedEntry(id));
      if (past === null) return problemResponse(noSuchEntry().problem);
      return c.json({ entry: historyEntryBody(past.entry), checkout: checkoutBody(past.view) });
    });
  });
}

function noSuchEntry() {
  const message = "`seq` must be that of an entry of its journal, from 1 on; …/history has them.";
  return invalid([{ pointer: "", code: "INVALID_QUERY", message }]);
}

function document(app: App): void {
  app.openAPIRegistry.registerPath({
    method: "get",
    path: `${CHECKOUTS_PATH}/{id}/at`,
    operationId: "getPastCheckout",
    summary: "A checkout as it was after an entry of its journal",
    security: [{ apiKey: [] }],
    parameters: [checkoutParameter, { name: "seq", in: "query", required: true, schema: { type: "integer", minimum: 1 } }],
    responses: {
      200: jsonResponse("The checkout then", pastCheckoutSchema),
      ...problemResponses(400, 401, 403, 404, 410, 500, 503),
    },
  });
}
