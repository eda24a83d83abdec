import { describe, expect, it } from "vitest";
import { callerLookup } from "../../server/authentication.ts";
import { exampleRequest, problemOf, setup, T0, viewOf } from "./setup.ts";

const apiKeys = [
  { name: "shop", key: "shop-key-0123456789" },
  { name: "shop", key: "shop-key-rotated-9876" },
  { name: "app", key: "app-key-01234567890" },
];
const CHECKOUT = "/orchestration/checkout/ctx_1";

function withCheckoutOf(caller: string, bundle = setup({ apiKeys })) {
  const stored = { caller, userId: "usr_42", createdAt: T0, parkedReason: null, isOfOtherVersion: false, view: viewOf() };
  bundle.orchestrator.views.set("ctx_1", stored);
  return bundle;
}

describe("with API keys", () => {
  it.each([undefined, "", "Bearer", "Basic c2hvcA==", "Bearer wrong", "Bearer shop-key-0123456789 x", "shop-key-0123456789"])(
    "refuses the Authorization %j",
    async (authorization) => {
      const { app, orchestrator } = setup({ apiKeys });
      const response = await app.request(CHECKOUT, authorization === undefined ? {} : { headers: { authorization } });
      expect(response.headers.get("www-authenticate")).toContain("Bearer");
      expect(await problemOf(response)).toMatchObject({ status: 401, code: "UNAUTHENTICATED" });
      expect(orchestrator.viewed).toHaveLength(0);
    },
  );

  it("refuses before it reads the body", async () => {
    const { initiate } = setup({ apiKeys });
    expect((await initiate("{")).status).toBe(401);
  });

  it("names the caller by its key, any of them", async () => {
    const { initiate, orchestrator } = setup({ apiKeys });
    for (const { key } of apiKeys) await initiate(exampleRequest(), { Authorization: `bearer ${key}` });
    expect(orchestrator.initiated.map(({ caller }) => caller)).toEqual(["shop", "shop", "app"]);
  });

  it("serves other machines", async () => {
    const { app } = withCheckoutOf("shop", setup({ apiKeys, peerAddress: () => "203.0.113.9" }));
    const headers = { Authorization: "Bearer shop-key-0123456789" };
    expect((await app.request("http://checkout.example" + CHECKOUT, { headers })).status).toBe(200);
  });

  it("compares whole keys", () => {
    const callerOf = callerLookup(apiKeys);
    expect(callerOf("shop-key-0123456789")).toBe("shop");
    expect(callerOf("shop-key-012345678")).toBeNull();
    expect(callerOf(null)).toBeNull();
  });
});

describe("without API keys", () => {
  it.each(["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])("serves the peer %s as local", async (address) => {
    const { app } = withCheckoutOf("local", setup({ peerAddress: () => address }));
    expect((await app.request(CHECKOUT)).status).toBe(200);
  });

  it.each(["10.0.0.1", "::ffff:10.0.0.1", "fe80::1", "127.0.0.1.evil.example", null])("refuses the peer %s", async (address) => {
    const { app, orchestrator } = setup({ peerAddress: () => address });
    expect(await problemOf(await app.request(CHECKOUT))).toMatchObject({ status: 403, code: "FORBIDDEN" });
    expect(orchestrator.viewed).toHaveLength(0);
  });

  it("refuses what came through a proxy, or by a foreign name that resolves to this machine", async () => {
    const { app } = setup();
    const proxied = await app.request(CHECKOUT, { headers: { "X-Forwarded-For": "203.0.113.9" } });
    const rebound = await app.request("http://evil.example" + CHECKOUT);
    expect([proxied.status, rebound.status]).toEqual([403, 403]);
    expect((await app.request("http://[::1]:8080/orchestration/checkout")).status).toBe(200);
  });
});

describe("another caller's checkout", () => {
  it.each(["", "/history", "/stream", "/ledger", "/events"])("looks exactly like one that doesn't exist (%s)", async (suffix) => {
    const { app } = withCheckoutOf("app");
    const headers = { Authorization: "Bearer shop-key-0123456789" };
    const foreign = await app.request(CHECKOUT + suffix, { headers });
    const missing = await app.request("/orchestration/checkout/ctx_none" + suffix, { headers });
    const problem = await problemOf(foreign);
    expect(problem).toMatchObject({ status: 404, code: "NOT_FOUND" });
    expect(await problemOf(missing)).toEqual(problem);
  });

  it("is not in the list", async () => {
    const { app, orchestrator } = setup({ apiKeys });
    const summary = { userId: "u", state: "STEP_8", status: "AWAITING_PAYMENT", seq: 3, createdAt: T0, updatedAt: T0 };
    orchestrator.summaries = [
      { ...summary, id: "ctx_1", caller: "shop", parkedReason: null },
      { ...summary, id: "ctx_2", caller: "app", parkedReason: null },
      { ...summary, id: "ctx_3", caller: "shop", parkedReason: "It does not load." },
    ];
    const response = await app.request("/orchestration/checkout", { headers: { Authorization: "Bearer shop-key-0123456789" } });
    const { checkouts } = (await response.json()) as { checkouts: { executionContextId: string; status: string }[] };
    expect(checkouts.map(({ executionContextId, status }) => [executionContextId, status])).toEqual([
      ["ctx_1", "AWAITING_PAYMENT"],
      ["ctx_3", "NEEDS_ATTENTION"],
    ]);
  });
});
