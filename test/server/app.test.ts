import { Script } from "node:vm";
import { describe, expect, it } from "vitest";
import { exampleRequest, INITIATE, problemOf, setup } from "./setup.ts";

describe("every response", () => {
  it("echoes a harmless x-request-id and replaces any other", async () => {
    const { app } = setup();
    const idOf = async (id?: string) =>
      (await app.request("/livez", id === undefined ? {} : { headers: { "x-request-id": id } })).headers.get("x-request-id");
    expect(await idOf("trace-1:a")).toBe("trace-1:a");
    expect(await idOf()).toMatch(/^req_\d+$/);
    expect(await idOf("a b")).toMatch(/^req_\d+$/);
    expect((await app.request("/nowhere", { headers: { "x-request-id": "r1" } })).headers.get("x-request-id")).toBe("r1");
  });

  it("has the id also when it is a 500, and the log has it too", async () => {
    const { initiate, orchestrator, errors } = setup();
    orchestrator.onInitiate = () => Promise.reject(new Error("bug"));
    const response = await initiate(exampleRequest(), { "x-request-id": "r500" });
    expect([response.status, response.headers.get("x-request-id")]).toEqual([500, "r500"]);
    expect(errors).toMatchObject([{ requestId: "r500" }]);
  });
});

describe("paths and methods", () => {
  it.each(["/nowhere", "/orchestration", "/orchestration/checkout/ctx_1/nothing", "/orchestration/checkout/"])(
    "answers %s with a 404 problem",
    async (path) => {
      expect(await problemOf(await setup().app.request(path))).toMatchObject({ status: 404, code: "NOT_FOUND" });
    },
  );

  it.each([
    ["GET", INITIATE, "POST"],
    ["PUT", INITIATE, "POST"],
    ["POST", "/orchestration/checkout/ctx_1", "GET, HEAD"],
    ["DELETE", "/orchestration/checkout/ctx_1/history", "GET, HEAD"],
    ["GET", "/orchestration/checkout/ctx_1/cancel", "POST"],
    ["PUT", "/orchestration/checkout/ctx_1/payment", "POST"],
    ["GET", "/orchestration/checkout/ctx_1/resolve", "POST"],
    ["POST", "/orchestration/checkout/ctx_1/ledger", "GET, HEAD"],
    ["POST", "/orchestration/checkout/ctx_1/events", "GET, HEAD"],
    ["GET", "/orchestration/checkout/ctx_1/events/redrive", "POST"],
    ["GET", "/orchestration/payments/events", "POST"],
    ["POST", "/metrics", "GET, HEAD"],
    ["POST", "/livez", "GET, HEAD"],
    ["POST", "/", "GET, HEAD"],
  ])("answers %s %s with 405 and Allow", async (method, path, allow) => {
    const response = await setup().app.request(path, { method });
    expect(response.headers.get("allow")).toBe(allow);
    expect(await problemOf(response)).toMatchObject({ status: 405, code: "METHOD_NOT_ALLOWED" });
  });
});

describe("health", () => {
  it("is alive and ready when every check passes, also for unknown peers", async () => {
    const { app } = setup({ readinessChecks: { database: async () => undefined }, peerAddress: () => null });
    expect((await app.request("/livez")).status).toBe(200);
    const ready = await app.request("/readyz");
    expect(await ready.json()).toEqual({ status: "ready", checks: { orchestrator: "ok", database: "ok" } });
  });

  it("names the check that failed, without its reason", async () => {
    const { app, orchestrator } = setup({ readinessChecks: { database: () => Promise.reject(new Error("secret host")) } });
    orchestrator.accepting = false;
    const problem = await problemOf(await app.request("/readyz"));
    expect(problem).toMatchObject({ status: 503, code: "NOT_READY", checks: { orchestrator: "failed", database: "failed" } });
    expect(JSON.stringify(problem)).not.toContain("secret");
  });

  it("fails a check that hangs", async () => {
    const { app, timers } = setup({ readinessChecks: { database: () => new Promise(() => undefined) } });
    const response = app.request("/readyz");
    await expect.poll(() => timers.length).toBe(1);
    timers[0]?.run();
    expect(await problemOf(await response)).toMatchObject({ checks: { orchestrator: "ok", database: "failed" } });
  });
});

describe("while draining", () => {
  it("takes no new checkout, is not ready, goes on reading, and closes every connection", async () => {
    const { app, initiate, orchestrator, draining } = setup();
    draining.abort();
    const refused = await initiate(exampleRequest());
    expect(refused.headers.get("retry-after")).toBe("5");
    expect(await problemOf(refused)).toMatchObject({ status: 503, code: "DRAINING", class: "TRANSIENT" });
    expect(orchestrator.initiated).toHaveLength(0);
    expect(await problemOf(await app.request("/readyz"))).toMatchObject({ status: 503, code: "DRAINING" });
    const list = await app.request("/orchestration/checkout");
    expect([list.status, list.headers.get("connection"), refused.headers.get("connection")]).toEqual([200, "close", "close"]);
  });
});

describe("the page", () => {
  it("is a shell under a strict policy, with its own script and style", async () => {
    const { app } = setup();
    const response = await app.request("/");
    const html = await response.text();
    expect(response.headers.get("content-security-policy")).toContain("default-src 'none'; script-src 'self'");
    expect(html).not.toMatch(/https?:\/\/|<style|<script>|onclick/);
    for (const [, file = ""] of html.matchAll(/(?:src|href)="(\/page[^"]+)"/g)) {
      expect((await app.request(file)).status).toBe(200);
    }
  });

  it("has a script that parses and writes no markup", async () => {
    const script = await (await setup().app.request("/page.js")).text();
    expect(() => new Script(script)).not.toThrow();
    expect(script).not.toMatch(/innerHTML|insertAdjacentHTML|document\.write|eval\(/);
  });
});

describe("/openapi.json", () => {
  it("is OpenAPI 3.1 with every route and the strict request", async () => {
    const response = await setup().app.request("/openapi.json");
    const document = (await response.json()) as {
      openapi: string;
      paths: Record<string, unknown>;
      components: { schemas: Record<string, { additionalProperties?: boolean; required?: string[] }> };
    };
    expect(document.openapi).toBe("3.1.0");
    expect(Object.keys(document.paths).sort()).toEqual([
      "/livez",
      "/metrics",
      "/orchestration/checkout",
      "/orchestration/checkout/initiate",
      "/orchestration/checkout/{id}",
      "/orchestration/checkout/{id}/at",
      "/orchestration/checkout/{id}/cancel",
      "/orchestration/checkout/{id}/events",
      "/orchestration/checkout/{id}/events/redrive",
      "/orchestration/checkout/{id}/history",
      "/orchestration/checkout/{id}/ledger",
      "/orchestration/checkout/{id}/payment",
      "/orchestration/checkout/{id}/resolve",
      "/orchestration/checkout/{id}/stream",
      "/orchestration/payments/events",
      "/orchestration/watch",
      "/readyz",
    ]);
    const request = document.components.schemas["InitiateCheckoutRequest"];
    expect(request?.additionalProperties).toBe(false);
    expect(request?.required).toEqual(["cart", "user", "lineItems", "payment"]);
  });
});
