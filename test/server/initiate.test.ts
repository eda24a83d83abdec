import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConflictError, InvariantError, LeaseLostError, TransientError, ValidationError } from "../../machines/errors.ts";
import { awaitingContext, exampleRequest, INITIATE, problemOf, setup, viewOf } from "./setup.ts";

describe("an initiate", () => {
  it("hands the typed request, the canonical hash and the headers to the orchestrator", async () => {
    const { initiate, orchestrator } = setup();
    const traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const response = await initiate(exampleRequest(), { traceparent, Prefer: "respond-async, wait=2" });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(response.headers.get("preference-applied")).toBe("wait=2");
    expect(response.headers.has("idempotency-replayed")).toBe(false);
    expect(orchestrator.initiated).toEqual([
      {
        caller: "local",
        idempotencyKey: "key-1",
        requestHash: expect.stringMatching(/^[0-9a-f]{64}$/),
        request: exampleRequest(),
        traceparent,
        waitMs: 2000,
      },
    ]);
  });

  it("has one hash for bodies that differ in key order and white space, another for other content", async () => {
    const { initiate, orchestrator } = setup();
    const request = exampleRequest();
    const reordered = Object.fromEntries(Object.entries(request).reverse());
    await initiate(request);
    await initiate(JSON.stringify(reordered, null, 2).replace("cart_01J", "\\u0063art_01J"));
    await initiate({ ...request, couponCodes: [] });
    const [first, second, third] = orchestrator.initiated.map(({ requestHash }) => requestHash);
    expect(second).toBe(first);
    expect(third).not.toBe(first);
  });

  it("waits as configured without Prefer, and never longer than the maximum with it", async () => {
    const { initiate, orchestrator } = setup();
    await initiate(exampleRequest());
    await initiate(exampleRequest(), { Prefer: "wait=0" });
    await initiate(exampleRequest(), { Prefer: "wait=9999" });
    await initiate(exampleRequest(), { Prefer: "wait=soon" });
    expect(orchestrator.initiated.map(({ waitMs }) => waitMs)).toEqual([5000, 0, 30_000, 5000]);
  });

  it.each(["", "garbage", "00-0-0-00", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"])(
    "ignores the malformed traceparent %j",
    async (traceparent) => {
      const { initiate, orchestrator } = setup();
      expect((await initiate(exampleRequest(), { traceparent })).status).toBe(200);
      expect(orchestrator.initiated[0]?.traceparent).toBeNull();
    },
  );

  it("replays a stored answer byte for byte and marks it", async () => {
    const { initiate, orchestrator } = setup();
    const body = '{ "b":1,\n"a": "\\u00e9" }';
    orchestrator.onInitiate = async () => ({
      kind: "answered",
      executionContextId: "ctx_1",
      answer: { status: 422, body },
      replayed: true,
    });
    const response = await initiate(exampleRequest());
    expect(response.status).toBe(422);
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    expect(response.headers.get("idempotency-replayed")).toBe("true");
    expect(await response.text()).toBe(body);
  });

  it("answers 503 RETRY_SCHEDULED with Retry-After while the checkout goes on", async () => {
    const { initiate, orchestrator } = setup();
    const view = viewOf({ state: "STEP_4", status: "PROCESSING" });
    orchestrator.onInitiate = async () => ({ kind: "unfinished", view, retryAfterMs: 1200 });
    const response = await initiate(exampleRequest());
    expect(response.headers.get("retry-after")).toBe("2");
    expect(await problemOf(response)).toMatchObject({ status: 503, code: "RETRY_SCHEDULED", executionContextId: "ctx_1" });
  });

  it("answers 500 for a checkout that is parked, and doesn't invite a retry", async () => {
    const { initiate, orchestrator } = setup();
    orchestrator.onInitiate = async () => ({ kind: "parked", view: viewOf({ state: "STEP_3", status: "NEEDS_ATTENTION" }) });
    const response = await initiate(exampleRequest());
    expect(response.headers.has("retry-after")).toBe(false);
    const expected = {
      status: 500,
      code: "UNEXPECTED",
      retryScheduled: false,
      rollback: "NEEDS_ATTENTION",
      executionContextId: "ctx_1",
    };
    expect(await problemOf(response)).toMatchObject(expected);
  });

  it("tells a rollback that goes on", async () => {
    const { initiate, orchestrator } = setup();
    const lastError = { step: "STEP_1", class: "TERMINAL", code: "BUSINESS_RULE", message: "The slot is sold out." } as const;
    const view = viewOf({ state: "PROCESSING", status: "ROLLING_BACK", context: awaitingContext({ lastError }) });
    orchestrator.onInitiate = async () => ({ kind: "unfinished", view, retryAfterMs: 500 });
    expect(await problemOf(await initiate(exampleRequest()))).toMatchObject({ status: 422, rollback: "IN_PROGRESS" });
  });
});

describe("what the orchestrator throws", () => {
  const violation = { pointer: "/lineItems/0/sku", code: "UNKNOWN_SKU", message: "This SKU is not sold in BLR." };
  it.each([
    [new ValidationError([violation]), 400, { code: "VALIDATION_FAILED", class: "VALIDATION", violations: [violation] }],
    [
      new ConflictError("CHECKOUT_IN_PROGRESS", "Join it.", { details: { executionContextId: "ctx_live" } }),
      409,
      { code: "CHECKOUT_IN_PROGRESS", class: "CONFLICT", executionContextId: "ctx_live" },
    ],
    [new ConflictError("CART_ALREADY_CHECKED_OUT", "Done."), 409, { code: "CART_ALREADY_CHECKED_OUT" }],
    [new ConflictError("CART_VERSION_STALE", "Reload.", { details: { status: 1 } }), 409, { code: "CART_VERSION_STALE" }],
    [new ConflictError("IDEMPOTENCY_KEY_REUSED", "Use a new key."), 422, { code: "IDEMPOTENCY_KEY_REUSED", class: "CONFLICT" }],
    [new ConflictError("SOMETHING_ELSE", "No."), 409, { code: "SOMETHING_ELSE", class: "CONFLICT" }],
    [new TransientError("BUSY", "secret host", { retryAfterMs: 7000 }), 503, { code: "UNAVAILABLE", class: "TRANSIENT" }],
    [
      new TransientError("RETRY_SCHEDULED", "It goes on.", { details: { executionContextId: "ctx_1" } }),
      503,
      { code: "RETRY_SCHEDULED", class: "TRANSIENT", retryScheduled: true, executionContextId: "ctx_1" },
    ],
    [new LeaseLostError("lost"), 503, { code: "UNAVAILABLE" }],
    [Object.assign(new Error("secret host"), { code: "ECONNREFUSED" }), 503, { code: "UNAVAILABLE" }],
    [new InvariantError("secret detail"), 500, { code: "UNEXPECTED" }],
    [new Error("secret detail"), 500, { code: "UNEXPECTED", class: "TERMINAL" }],
  ])("%s becomes %i", async (error, status, expected) => {
    const { initiate, orchestrator, errors } = setup();
    orchestrator.onInitiate = () => Promise.reject(error);
    const response = await initiate(exampleRequest());
    const text = await response.clone().text();
    expect(await problemOf(response)).toMatchObject({ status, retryScheduled: false, rollback: "NONE", ...expected });
    expect(response.headers.has("retry-after")).toBe(status === 503);
    expect(text).not.toMatch(/secret|at .*\.ts/);
    expect(errors).toHaveLength(status === 500 ? 1 : 0);
  });

  it("keeps how long a transient error asks to wait", async () => {
    const { initiate, orchestrator } = setup();
    orchestrator.onInitiate = () => Promise.reject(new TransientError("BUSY", "Later.", { retryAfterMs: 7000 }));
    expect((await initiate(exampleRequest())).headers.get("retry-after")).toBe("7");
  });
});

describe("the Idempotency-Key header", () => {
  it.each([
    ["missing", undefined, "IDEMPOTENCY_KEY_MISSING"],
    ["empty", "", "IDEMPOTENCY_KEY_MISSING"],
    ["with a space", "a b", "IDEMPOTENCY_KEY_INVALID"],
    ["not ASCII", "clé", "IDEMPOTENCY_KEY_INVALID"],
    ["too long", "k".repeat(256), "IDEMPOTENCY_KEY_INVALID"],
  ])("is refused when %s", async (_name, key, code) => {
    const { app, orchestrator } = setup();
    const headers: Record<string, string> = { "Content-Type": "application/json" };
    if (key !== undefined) headers["Idempotency-Key"] = key;
    const response = await app.request(INITIATE, { method: "POST", headers, body: JSON.stringify(exampleRequest()) });
    expect(await problemOf(response)).toMatchObject({ status: 400, violations: [{ code }] });
    expect(orchestrator.initiated).toHaveLength(0);
  });

  it("is listed together with the body's mistakes", async () => {
    const { initiate } = setup();
    const { violations } = await problemOf(await initiate({ ...exampleRequest(), price: 1 }, { "Idempotency-Key": "a b" }));
    expect(violations?.map(({ code }) => code)).toEqual(["IDEMPOTENCY_KEY_INVALID", "UNKNOWN_FIELD"]);
  });

  it("takes 255 visible characters", async () => {
    const { initiate } = setup();
    expect((await initiate(exampleRequest(), { "Idempotency-Key": "~".repeat(255) })).status).toBe(200);
  });
});

it("answers no JSON body with a 5xx, and asks the orchestrator only about valid ones", async () => {
  const { initiate, orchestrator } = setup();
  const valid = exampleRequest();
  const mutated = fc
    .tuple(fc.constantFrom(...Object.keys(valid)), fc.jsonValue({ maxDepth: 40 }))
    .map(([key, value]) => JSON.stringify({ ...valid, [key]: value }));
  const text = fc.oneof(fc.json({ maxDepth: 40 }), mutated, fc.string({ unit: "binary" }), fc.constant(JSON.stringify(valid)));
  await fc.assert(
    fc.asyncProperty(text, async (body) => {
      const asked = orchestrator.initiated.length;
      const response = await initiate(body);
      expect(response.status).toBeLessThan(500);
      if (response.status === 200) expect(orchestrator.initiated).toHaveLength(asked + 1);
      else {
        const problem = await problemOf(response);
        expect(problem.violations?.length ?? 0).toBeGreaterThan(0);
        expect(orchestrator.initiated).toHaveLength(asked);
      }
    }),
    { numRuns: 500 },
  );
});

it("answers no bytes with a 5xx", async () => {
  const { initiate } = setup();
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      const response = await initiate(new Uint8Array(bytes));
      expect(response.status).toBe(400);
    }),
  );
});
