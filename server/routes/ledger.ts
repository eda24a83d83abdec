/** GET /orchestration/checkout/:id/ledger. */
import type { App, AppDeps } from "../app-deps.ts";
import { ledgerBody } from "../ledger-body.ts";
import { CHECKOUTS_PATH } from "../links.ts";
import { checkoutParameter, jsonResponse, problemResponses } from "../openapi.ts";
import { onOwnCheckout } from "../own-checkout.ts";
import { ledgerBodySchema } from "../response-schema.ts";

export function addLedgerRoute(app: App, deps: AppDeps): void {
  document(app);
  app.get(`${CHECKOUTS_PATH}/:id/ledger`, (c) => {
    const id = c.req.param("id");
    return onOwnCheckout(c, deps, id, async () => c.json(ledgerBody(await deps.orchestrator.ledger(id))));
  });
}

function document(app: App): void {
  app.openAPIRegistry.registerPath({
    method: "get",
    path: `${CHECKOUTS_PATH}/{id}/ledger`,
    operationId: "getCheckoutLedger",
    summary: "Its money, double-entry: what each transition of the checkout moved, and what is where",
    security: [{ apiKey: [] }],
    parameters: [checkoutParameter],
    responses: { 200: jsonResponse("The ledger", ledgerBodySchema), ...problemResponses(401, 403, 404, 500, 503) },
  });
}
