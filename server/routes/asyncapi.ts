/** GET /asyncapi.json: what is told and heard over the broker. Open to everybody, as /openapi.json is. */
import type { App } from "../app-deps.ts";
import { asyncApiDocument } from "../asyncapi.ts";

export function addAsyncApiRoute(app: App, version: string): void {
  app.get("/asyncapi.json", (c) => c.json(asyncApiDocument(version)));
}
