/** For whoever runs the node: is the process alive, and should it get traffic. Open to everybody, so no details. */
import type { App, AppDeps } from "../app-deps.ts";
import { problemResponse } from "../error-response.ts";
import { jsonResponse, problemResponses } from "../openapi.ts";
import { problem } from "../problems.ts";
import { z } from "@hono/zod-openapi";

type CheckResult = "ok" | "failed";

/** A check that hangs is a failed one; the prober would give up at about this time anyway. */
const CHECK_TIME_MS = 2000;

export function addHealthRoutes(app: App, deps: AppDeps): void {
  document(app);
  app.get("/livez", (c) => c.json({ status: "ok" }));
  app.get("/readyz", async (c) => {
    const checks = await runChecks(deps);
    if (deps.draining.aborted) {
      return problemResponse(problem("DRAINING", "This node is shutting down. Send traffic to another.", { checks }));
    }
    if (Object.values(checks).every((result) => result === "ok")) return c.json({ status: "ready", checks });
    return problemResponse(problem("NOT_READY", "Some checks failed. Send traffic to another node.", { checks }));
  });
}

async function runChecks(deps: AppDeps): Promise<Record<string, CheckResult>> {
  const named = Object.entries(deps.readinessChecks).map(async ([name, check]) => [name, await runCheck(deps, check)] as const);
  const orchestrator: CheckResult = deps.orchestrator.isAccepting() ? "ok" : "failed";
  return { orchestrator, ...Object.fromEntries(await Promise.all(named)) };
}

async function runCheck(deps: AppDeps, check: () => Promise<void>): Promise<CheckResult> {
  let stopTimer = (): void => undefined;
  const timeUp = new Promise<CheckResult>((resolve) => {
    stopTimer = deps.clock.after(CHECK_TIME_MS, () => resolve("failed"));
  });
  try {
    return await Promise.race([check().then((): CheckResult => "ok"), timeUp]);
  } catch {
    // Why it failed is in the log of whoever owns the connection; a prober only needs the name.
    return "failed";
  } finally {
    stopTimer();
  }
}

function document(app: App): void {
  const checks = z.record(z.string(), z.enum(["ok", "failed"]));
  app.openAPIRegistry.registerPath({
    method: "get",
    path: "/livez",
    operationId: "getLiveness",
    summary: "Whether the process answers",
    responses: { 200: jsonResponse("It does", z.object({ status: z.literal("ok") })) },
  });
  app.openAPIRegistry.registerPath({
    method: "get",
    path: "/readyz",
    operationId: "getReadiness",
    summary: "Whether this node should get traffic",
    responses: {
      200: jsonResponse("It should", z.object({ status: z.literal("ready"), checks })),
      ...problemResponses(503),
    },
  });
}
