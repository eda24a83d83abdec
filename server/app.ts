/** The edge as one Hono app, without a socket: `app.request()` is all that a test needs. */
import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, MiddlewareHandler } from "hono";
import type { App, AppDeps, EdgeEnv } from "./app-deps.ts";
import { authenticate } from "./authentication.ts";
import { problemResponse, thrownResponse } from "./error-response.ts";
import { problem } from "./problems.ts";
import { validRequestId } from "./request-headers.ts";
import { addAsyncApiRoute } from "./routes/asyncapi.ts";
import { addCancelRoute } from "./routes/cancel.ts";
import { addCheckoutRoutes } from "./routes/checkouts.ts";
import { addEventRoutes } from "./routes/events.ts";
import { addHealthRoutes } from "./routes/health.ts";
import { addInitiateRoute } from "./routes/initiate.ts";
import { addLedgerRoute } from "./routes/ledger.ts";
import { addMetricsRoute } from "./routes/metrics.ts";
import { addPageRoutes } from "./routes/page.ts";
import { addPaymentAttemptRoute } from "./routes/payment-attempt.ts";
import { addPaymentEventRoute } from "./routes/payment-events.ts";
import { addPastCheckoutRoute } from "./routes/past-checkout.ts";
import { addResolveRoute } from "./routes/resolve.ts";
import { addStreamRoutes } from "./routes/streams.ts";

export function createApp(deps: AppDeps): App {
  const app: App = new OpenAPIHono<EdgeEnv>();
  app.onError((error, c) => thrownResponse(c.var, deps.log, error));
  app.notFound(() => problemResponse(problem("NOT_FOUND", "There is nothing at this path. See /openapi.json.")));
  app.use(responseHeaders(deps));
  // Before the authentication by API key: a provider has none, its signature says who it is.
  addPaymentEventRoute(app, deps);
  refuseOtherMethods(app);
  app.use("/orchestration/*", authenticate(deps));
  app.use("/metrics", authenticate(deps));
  addInitiateRoute(app, deps);
  refuseOtherMethods(app);
  addCheckoutRoutes(app, deps);
  addPastCheckoutRoute(app, deps);
  addCancelRoute(app, deps);
  addPaymentAttemptRoute(app, deps);
  addResolveRoute(app, deps);
  addLedgerRoute(app, deps);
  addEventRoutes(app, deps);
  addStreamRoutes(app, deps);
  addMetricsRoute(app, deps.metrics);
  addHealthRoutes(app, deps);
  addPageRoutes(app);
  addOpenApiRoute(app, deps.version);
  addAsyncApiRoute(app, deps.version);
  refuseOtherMethods(app);
  return app;
}

function responseHeaders(deps: AppDeps): MiddlewareHandler<EdgeEnv> {
  return async (c, next) => {
    c.set("requestId", validRequestId(c.req.header("x-request-id")) ?? deps.ids.next("req"));
    await next();
    c.header("x-request-id", c.get("requestId"));
    c.header("X-Content-Type-Options", "nosniff");
    c.header("Referrer-Policy", "no-referrer");
    if (!c.res.headers.has("Cache-Control")) c.header("Cache-Control", "no-store");
    // Otherwise a kept-alive connection still brings requests to a node that is leaving.
    if (deps.draining.aborted) c.header("Connection", "close");
  };
}

function addOpenApiRoute(app: App, version: string): void {
  app.openAPIRegistry.registerComponent("securitySchemes", "apiKey", { type: "http", scheme: "bearer" });
  app.get("/openapi.json", (c) =>
    c.json(
      app.getOpenAPI31Document({
        openapi: "3.1.0",
        info: { title: "checkoutd", version, description: "A durable checkout orchestrator. Errors are RFC 9457 problems." },
      }),
    ),
  );
}

/** 405 with Allow on every path added so far: it must come after them, and before a wider path (`:id`) takes its place. */
function refuseOtherMethods(app: App): void {
  const methodsOf = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === "ALL") continue;
    methodsOf.set(path, (methodsOf.get(path) ?? new Set()).add(method));
  }
  for (const [path, methods] of methodsOf) {
    if (methods.has("GET")) methods.add("HEAD");
    const allow = [...methods].join(", ");
    app.all(path, (c: Context<EdgeEnv>) =>
      problemResponse(problem("METHOD_NOT_ALLOWED", `${c.req.method} is not possible here; ${allow} is.`), { Allow: allow }),
    );
  }
}
