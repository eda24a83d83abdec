import { describe, expect, it } from "vitest";
import type { LastError } from "../../machines/context.ts";
import { ConflictError, TransientError } from "../../machines/errors.ts";
import type { CheckoutView } from "../../machines/view.ts";
import { checkoutBody } from "../../server/checkout-body.ts";
import { awaitingContext, problemOf, setup, setupWithCheckout, viewOf } from "./setup.ts";

const CHECKOUT = "/orchestration/checkout/ctx_1";
const KEY = { "Idempotency-Key": "key-1" };

const declined: LastError = {
  step: "STEP_8",
  class: "TERMINAL",
  code: "PAYMENT_DECLINED",
  message: "The last one was declined.",
};

function undoingView(overrides: Partial<CheckoutView>, lastError: LastError | null = null): CheckoutView {
  return viewOf({ state: "PROCESSING", path: "PROCESSING.undoing", context: awaitingContext({ lastError }), ...overrides });
}

const ROLLED_BACK = { state: "ROLLEDBACK", status: "ROLLED_BACK", finished: true } as const;

/** Each with a body that it takes. */
const COMMANDS = [
  ["cancel", {}],
  ["payment", { method: "UPI", instrumentId: "ins_async" }],
  ["resolve", { undo: "optIns", reference: "OPS-1" }],
] as const;

function asked({ orchestrator }: ReturnType<typeof setup>): number {
  return orchestrator.cancelled.length + orchestrator.attempted.length + orchestrator.resolved.length;
}

describe.each(COMMANDS)("%s", (name, body) => {
  function failing(error: unknown) {
    const bundle = setupWithCheckout();
    const fail = () => Promise.reject(error);
    Object.assign(bundle.orchestrator, { onCancel: fail, onAttempt: fail, onResolve: fail });
    return bundle;
  }

  it("of an unknown checkout, or another caller's, is a 404 that tells them not apart", async () => {
    const bundle = setup();
    bundle.orchestrator.views.set("ctx_1", {
      caller: "app",
      userId: "u",
      createdAt: 0,
      parkedReason: null,
      isOfOtherVersion: false,
      view: viewOf(),
    });
    const foreign = await problemOf(await bundle.post(`${CHECKOUT}/${name}`, body, KEY));
    expect(foreign).toMatchObject({ status: 404, code: "NOT_FOUND" });
    expect(await problemOf(await bundle.post(`/orchestration/checkout/ctx_none/${name}`, body, KEY))).toEqual(foreign);
    expect(asked(bundle)).toBe(0);
  });

  it("needs an API key where there are any", async () => {
    const bundle = setupWithCheckout({ apiKeys: [{ name: "local", key: "shop-key-0123456789" }] });
    expect((await bundle.post(`${CHECKOUT}/${name}`, body, KEY)).status).toBe(401);
    expect(asked(bundle)).toBe(0);
  });

  it("tells a conflict with the checkout's id", async () => {
    const bundle = failing(new ConflictError("NOT_CANCELLABLE", "It is paid."));
    expect(await problemOf(await bundle.post(`${CHECKOUT}/${name}`, body, KEY))).toMatchObject({
      status: 409,
      code: "NOT_CANCELLABLE",
      class: "CONFLICT",
      executionContextId: "ctx_1",
      retryScheduled: false,
    });
  });

  it("that was not heard in time is 503 RETRY_SCHEDULED, and the same request joins it", async () => {
    const bundle = failing(new TransientError("RETRY_SCHEDULED", "It is kept.", { retryAfterMs: 3000 }));
    const response = await bundle.post(`${CHECKOUT}/${name}`, body, KEY);
    expect(response.headers.get("retry-after")).toBe("3");
    expect(await problemOf(response)).toMatchObject({
      status: 503,
      code: "RETRY_SCHEDULED",
      class: "TRANSIENT",
      executionContextId: "ctx_1",
      retryScheduled: true,
    });
  });

  it("that meets a bug is a 500 with the checkout's id, in the log too", async () => {
    const bundle = failing(new Error("secret detail"));
    const problem = await problemOf(await bundle.post(`${CHECKOUT}/${name}`, body, KEY));
    expect(problem).toMatchObject({ status: 500, code: "UNEXPECTED", executionContextId: "ctx_1" });
    expect(JSON.stringify(problem)).not.toContain("secret");
    expect(bundle.errors).toMatchObject([{ executionContextId: "ctx_1" }]);
  });

  it("waits as configured, or as Prefer says", async () => {
    const bundle = setupWithCheckout();
    const view = viewOf(ROLLED_BACK);
    Object.assign(bundle.orchestrator, {
      onCancel: async () => view,
      onResolve: async () => view,
      onAttempt: async () => ({ view, replayed: false }),
    });
    const response = await bundle.post(`${CHECKOUT}/${name}`, body, { ...KEY, Prefer: "wait=2" });
    expect(response.headers.get("preference-applied")).toBe("wait=2");
    expect((await bundle.post(`${CHECKOUT}/${name}`, body, KEY)).headers.has("preference-applied")).toBe(false);
    const { cancelled, attempted, resolved } = bundle.orchestrator;
    expect([...cancelled, ...attempted, ...resolved].map(({ waitMs }) => waitMs)).toEqual([2000, 5000]);
  });

  it("is refused with a body that is not its own", async () => {
    const bundle = setupWithCheckout();
    const codes = async (sent: string | object, headers = {}) => {
      const problem = await problemOf(await bundle.post(`${CHECKOUT}/${name}`, sent, { ...KEY, ...headers }));
      return [problem.status, ...(problem.violations ?? []).map(({ code, pointer }) => `${code} ${pointer}`.trim())];
    };
    expect(await codes({ ...body, price: 1 })).toEqual([400, "UNKNOWN_FIELD /price"]);
    expect(await codes("[]")).toEqual([400, "WRONG_TYPE"]);
    expect(await codes("{")).toEqual([400, "MALFORMED_JSON"]);
    expect(await codes('{"a":1,"a":"\\u0000"}')).toEqual([400, "DUPLICATE_KEY /a", "NUL_CHARACTER /a"]);
    expect(await codes("{}", { "Content-Type": "text/plain" })).toEqual([415]);
    expect(await codes(" ".repeat(300_000))).toEqual([413]);
    expect(asked(bundle)).toBe(0);
  });
});

describe.each(COMMANDS.slice(1))("%s", (name, body) => {
  it("needs an Idempotency-Key, and lists it with the body's mistakes", async () => {
    const bundle = setupWithCheckout();
    const missing = await problemOf(await bundle.post(`${CHECKOUT}/${name}`, body));
    expect(missing).toMatchObject({ status: 400, violations: [{ code: "IDEMPOTENCY_KEY_MISSING" }] });
    const both = await problemOf(await bundle.post(`${CHECKOUT}/${name}`, { ...body, x: 1 }, { "Idempotency-Key": "a b" }));
    expect(both.violations?.map(({ code }) => code)).toEqual(["IDEMPOTENCY_KEY_INVALID", "UNKNOWN_FIELD"]);
    expect(asked(bundle)).toBe(0);
  });

  it("with a key of another request is 422", async () => {
    const bundle = setupWithCheckout();
    const reused = () => Promise.reject(new ConflictError("IDEMPOTENCY_KEY_REUSED", "Use a new key."));
    Object.assign(bundle.orchestrator, { onAttempt: reused, onResolve: reused });
    expect(await problemOf(await bundle.post(`${CHECKOUT}/${name}`, body, KEY))).toMatchObject({
      status: 422,
      code: "IDEMPOTENCY_KEY_REUSED",
      executionContextId: "ctx_1",
    });
  });
});

describe("a cancellation", () => {
  it.each([
    [ROLLED_BACK, 200],
    [{ status: "ROLLING_BACK" }, 202],
    [{ status: "NEEDS_ATTENTION" }, 202],
  ] as const)("that comes to %j is %i with the body of GET", async (overrides, status) => {
    const { orchestrator, post } = setupWithCheckout();
    const view = undoingView(overrides);
    orchestrator.onCancel = async () => view;
    const response = await post(`${CHECKOUT}/cancel`);
    expect([response.status, await response.json()]).toEqual([status, checkoutBody(view)]);
    expect(orchestrator.cancelled).toEqual([{ id: "ctx_1", waitMs: 5000 }]);
  });

  it("has nothing to say: no body of any type, or an empty object", async () => {
    const { orchestrator, post } = setupWithCheckout();
    orchestrator.onCancel = async () => undoingView(ROLLED_BACK);
    expect((await post(`${CHECKOUT}/cancel`, "", { "Content-Type": "application/x-www-form-urlencoded" })).status).toBe(200);
    expect((await post(`${CHECKOUT}/cancel`, " {} ")).status).toBe(200);
    expect(await problemOf(await post(`${CHECKOUT}/cancel`, "  "))).toMatchObject({ status: 400 });
  });
});

describe("another payment attempt", () => {
  const choice = { method: "CARD", instrumentId: "ins_sync_ok" };

  it.each([
    [false, null],
    [true, "true"],
  ])("with replayed = %s is 200 with the body of GET", async (replayed, header) => {
    const { orchestrator, post } = setupWithCheckout();
    orchestrator.onAttempt = async () => ({ view: viewOf(), replayed });
    const response = await post(`${CHECKOUT}/payment`, choice, KEY);
    expect([response.status, await response.json()]).toEqual([200, checkoutBody(viewOf())]);
    expect(response.headers.get("idempotency-replayed")).toBe(header);
    expect(orchestrator.attempted).toEqual([{ executionContextId: "ctx_1", idempotencyKey: "key-1", ...choice, waitMs: 5000 }]);
  });

  it.each([
    [ROLLED_BACK, "DONE"],
    [{ status: "ROLLING_BACK" }, "IN_PROGRESS"],
    [{ status: "NEEDS_ATTENTION" }, "NEEDS_ATTENTION"],
  ] as const)("that was the last and is declined is 422, %j as rollback %s", async (overrides, rollback) => {
    const { orchestrator, post } = setupWithCheckout();
    orchestrator.onAttempt = async () => ({ view: undoingView(overrides, declined), replayed: true });
    const response = await post(`${CHECKOUT}/payment`, choice, KEY);
    expect(response.headers.get("idempotency-replayed")).toBe("true");
    expect(await problemOf(response)).toMatchObject({
      status: 422,
      code: "PAYMENT_DECLINED",
      class: "TERMINAL",
      rollback,
      executionContextId: "ctx_1",
      retryScheduled: false,
    });
  });

  it("is 200 while a declined one is awaited again, and when the checkout was undone for another reason", async () => {
    const { orchestrator, post } = setupWithCheckout();
    const expired = { ...declined, code: "PAYMENT_EXPIRED" };
    for (const view of [viewOf({ context: awaitingContext({ lastError: declined }) }), undoingView(ROLLED_BACK, expired)]) {
      orchestrator.onAttempt = async () => ({ view, replayed: false });
      expect((await post(`${CHECKOUT}/payment`, choice, KEY)).status).toBe(200);
    }
  });

  it.each(["PAYMENT_NOT_EXPECTED", "ALREADY_PAID"])("is refused with 409 %s", async (code) => {
    const { orchestrator, post } = setupWithCheckout();
    orchestrator.onAttempt = () => Promise.reject(new ConflictError(code, "Look at the checkout."));
    expect(await problemOf(await post(`${CHECKOUT}/payment`, choice, KEY))).toMatchObject({
      status: 409,
      code,
      class: "CONFLICT",
    });
  });

  it.each([
    [{ method: "UPI" }, "MISSING /instrumentId"],
    [{ ...choice, method: "" }, "INVALID_FORMAT /method"],
    [{ ...choice, instrumentId: 7 }, "WRONG_TYPE /instrumentId"],
    [{ ...choice, instrumentId: "a b" }, "INVALID_FORMAT /instrumentId"],
    [{ ...choice, instrumentId: "4111111111111111" }, "CARD_NUMBER /instrumentId"],
    [{ ...choice, returnUrl: "https://shop.example" }, "UNKNOWN_FIELD /returnUrl"],
  ])("with %j is refused", async (body, found) => {
    const bundle = setupWithCheckout();
    const { violations } = await problemOf(await bundle.post(`${CHECKOUT}/payment`, body, KEY));
    expect(violations?.map(({ code, pointer }) => `${code} ${pointer}`)).toEqual([found]);
    expect(asked(bundle)).toBe(0);
  });
});

describe("a resolution", () => {
  it.each([
    [{ undo: "paymentRequest", reference: "OPS-12/3#a_b.c" }, { undo: "paymentRequest" }],
    [{ pspReference: "psr_a4111111111111111b", reference: "r" }, { pspReference: "psr_a4111111111111111b" }],
  ])("%j is by the caller as its operator, and answers the body of GET", async (body, target) => {
    const apiKeys = [{ name: "desk", key: "desk-key-0123456789" }];
    const { orchestrator, post } = setupWithCheckout({ apiKeys });
    const stored = orchestrator.views.get("ctx_1");
    if (stored === undefined) throw new Error("no checkout");
    orchestrator.views.set("ctx_1", { ...stored, caller: "desk" });
    orchestrator.onResolve = async () => viewOf();
    const response = await post(`${CHECKOUT}/resolve`, body, { ...KEY, Authorization: "Bearer desk-key-0123456789" });
    expect([response.status, await response.json()]).toEqual([200, checkoutBody(viewOf())]);
    expect(orchestrator.resolved).toEqual([
      { executionContextId: "ctx_1", idempotencyKey: "key-1", operator: "desk", reference: body.reference, target, waitMs: 5000 },
    ]);
  });

  it("of what waits for nobody is 409 NOTHING_TO_RESOLVE", async () => {
    const { orchestrator, post } = setupWithCheckout();
    orchestrator.onResolve = () => Promise.reject(new ConflictError("NOTHING_TO_RESOLVE", "Look at the checkout."));
    const response = await post(`${CHECKOUT}/resolve`, { undo: "order", reference: "r" }, KEY);
    expect(await problemOf(response)).toMatchObject({ status: 409, code: "NOTHING_TO_RESOLVE", class: "CONFLICT" });
  });

  it.each([
    [{ reference: "r" }, "EXACTLY_ONE"],
    [{ undo: "order", pspReference: "psr_1", reference: "r" }, "EXACTLY_ONE"],
    [{ undo: "everything", reference: "r" }, "NOT_ALLOWED /undo"],
    [{ undo: null, reference: "r" }, "NOT_ALLOWED /undo"],
    [{ pspReference: "", reference: "r" }, "INVALID_FORMAT /pspReference"],
    [{ undo: "order" }, "MISSING /reference"],
    [{ undo: "order", reference: "" }, "INVALID_FORMAT /reference"],
    [{ undo: "order", reference: "called Asha" }, "INVALID_FORMAT /reference"],
    [{ undo: "order", reference: "r".repeat(81) }, "INVALID_FORMAT /reference"],
    [{ undo: "order", reference: "4111-1111-1111-1111" }, "CARD_NUMBER /reference"],
  ])("%j is refused", async (body, found) => {
    const bundle = setupWithCheckout();
    const problem = await problemOf(await bundle.post(`${CHECKOUT}/resolve`, body, KEY));
    expect(problem.violations?.map(({ code, pointer }) => `${code} ${pointer}`.trim())).toEqual([found]);
    expect(asked(bundle)).toBe(0);
  });
});
