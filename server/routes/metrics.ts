/** GET /metrics, for Prometheus. Behind the same authentication as the API: it tells how business goes. */
import type { App } from "../app-deps.ts";
import { expositionOf, type Metrics } from "../metrics.ts";
import { problemResponses } from "../openapi.ts";

export function addMetricsRoute(app: App, metrics: Metrics): void {
  document(app);
  const exposition = expositionOf(metrics);
  app.get("/metrics", async (c) => c.body(await exposition.text(), 200, { "Content-Type": exposition.contentType }));
}

function document(app: App): void {
  app.openAPIRegistry.registerPath({
    method: "get",
    path: "/metrics",
    operationId: "getMetrics",
    summary: "This node's metrics",
    security: [{ apiKey: [] }],
    responses: {
      200: { description: "Prometheus' text format", content: { "text/plain": { schema: { type: "string" } } } },
      ...problemResponses(401, 403, 500),
    },
  });
}
