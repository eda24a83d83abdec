import { describe, expect, it } from "vitest";
import type { LastError } from "../../machines/context.ts";
import { answerFor, unfinishedProblem } from "../../server/answer.ts";
import { checkoutBody } from "../../server/checkout-body.ts";
import { awaitingContext, exampleInvoice, viewOf } from "./setup.ts";

function rolledBack(lastError: LastError | null) {
  return viewOf({ state: "ROLLEDBACK", status: "ROLLED_BACK", finished: true, context: awaitingContext({ lastError }) });
}

function rollbackAnswer(lastError: LastError | null) {
  const answer = answerFor(rolledBack(lastError));
  if (answer === null) throw new Error("no answer");
  return { status: answer.status, problem: JSON.parse(answer.body) as Record<string, unknown> };
}

const terminal = (code: string, details?: LastError["details"]): LastError => ({
  step: "STEP_5",
  class: "TERMINAL",
  code,
  message: "The reason",
  ...(details === undefined ? {} : { details }),
});

describe("the answer that is stored", () => {
  it("is the checkout while it awaits payment and when it is confirmed", () => {
    for (const view of [viewOf(), viewOf({ state: "COMPLETED", status: "CONFIRMED", finished: true })]) {
      expect(answerFor(view)).toEqual({ status: 200, body: JSON.stringify(checkoutBody(view)) });
    }
  });

  it("does not exist for an unfinished checkout", () => {
    expect(answerFor(viewOf({ state: "STEP_3", status: "PROCESSING" }))).toBeNull();
    expect(answerFor(viewOf({ state: "PROCESSING", status: "ROLLING_BACK" }))).toBeNull();
    expect(answerFor(viewOf({ state: "PROCESSING", status: "NEEDS_ATTENTION" }))).toBeNull();
    expect(answerFor(viewOf({ state: "STEP_8", status: "NEEDS_ATTENTION" }))).toBeNull();
  });

  it.each([
    ["PAYMENT_DECLINED", 422, "PAYMENT_DECLINED", "TERMINAL"],
    ["PAYMENT_EXPIRED", 422, "PAYMENT_EXPIRED", "TERMINAL"],
    ["BUSINESS_RULE", 422, "BUSINESS_RULE", "TERMINAL"],
    ["PRICE_CHANGED", 409, "PRICE_CHANGED", "TERMINAL"],
    ["CANCELLED", 409, "CANCELLED", "TERMINAL"],
    ["LOCKED", 409, "LOCKED", "CONFLICT"],
    ["UNEXPECTED", 500, "UNEXPECTED", "TERMINAL"],
    ["INVARIANT_VIOLATED", 500, "UNEXPECTED", "TERMINAL"],
    ["NOT_FOUND", 502, "STEP_FAILED", "TERMINAL"],
    ["a participant's own word", 502, "STEP_FAILED", "TERMINAL"],
  ])("for a rollback because of %s is %i %s", (code, status, expectedCode, expectedClass) => {
    const answer = rollbackAnswer(terminal(code));
    expect(answer.status).toBe(status);
    expect(answer.problem).toMatchObject({
      status,
      code: expectedCode,
      class: expectedClass,
      executionContextId: "ctx_1",
      retryScheduled: false,
      rollback: "DONE",
      step: "STEP_5",
    });
  });

  it("is STEP_FAILED with the step when the retry budget was used up", () => {
    const answer = rollbackAnswer({ ...terminal("UNAVAILABLE"), class: "TRANSIENT", message: "connect ECONNREFUSED 10.0.0.7" });
    expect(answer).toMatchObject({ status: 502, problem: { code: "STEP_FAILED", step: "STEP_5", causeCode: "UNAVAILABLE" } });
    expect(JSON.stringify(answer.problem)).not.toContain("10.0.0.7");
  });

  it("is LOCKED when another checkout held what it needed until its budget was used up", () => {
    const answer = rollbackAnswer({ ...terminal("LOCKED"), class: "TRANSIENT" });
    expect(answer).toMatchObject({ status: 409, problem: { code: "LOCKED", class: "CONFLICT", rollback: "DONE" } });
  });

  it("is CANCELLED for a rollback without an error", () => {
    expect(rollbackAnswer(null)).toMatchObject({ status: 409, problem: { code: "CANCELLED", rollback: "DONE" } });
  });

  it("brings the new invoice with PRICE_CHANGED, shaped as every other one", () => {
    const invoice = { ...exampleInvoice(), version: 2, payable: 260000 };
    const { problem } = rollbackAnswer(terminal("PRICE_CHANGED", { invoice }));
    expect(problem["invoice"]).toMatchObject({ version: 2, payable: 260000, expiresAt: "2027-01-08T10:15:00.000Z" });
    expect(problem["invoice"]).not.toHaveProperty("hash");
  });

  it("brings the pinned invoice when the error has none that can be read", () => {
    expect(rollbackAnswer(terminal("PRICE_CHANGED")).problem["invoice"]).toMatchObject({ invoiceId: "inv_1" });
  });

  it("lets no detail of an error replace a member of the contract", () => {
    const { problem } = rollbackAnswer(terminal("BUSINESS_RULE", { rollback: "NONE", code: "X", status: 1, slotId: "s1" }));
    expect(problem).toMatchObject({ rollback: "DONE", code: "BUSINESS_RULE", status: 422, slotId: "s1" });
  });
});

describe("the problem of an unfinished checkout", () => {
  it("says that a retry is scheduled while it steps or backs off", () => {
    const retry = { failures: 2, firstFailedAt: 1, delayMs: 800 };
    const lastError = { ...terminal("UNAVAILABLE"), class: "TRANSIENT" } as const;
    const backingOff = unfinishedProblem(
      viewOf({ state: "STEP_5", status: "PROCESSING", context: awaitingContext({ retry, lastError }) }),
    );
    expect(backingOff).toMatchObject({
      status: 503,
      code: "RETRY_SCHEDULED",
      class: "TRANSIENT",
      executionContextId: "ctx_1",
      retryScheduled: true,
      rollback: "NONE",
    });
    expect(backingOff.detail).toContain("STEP_5 failed with UNAVAILABLE");
    expect(unfinishedProblem(viewOf({ state: "STEP_2", status: "PROCESSING" })).detail).toContain("come to STEP_2");
  });

  it("tells the error and that the rollback goes on", () => {
    const view = viewOf({
      state: "PROCESSING",
      status: "ROLLING_BACK",
      context: awaitingContext({ lastError: terminal("BUSINESS_RULE") }),
    });
    expect(unfinishedProblem(view)).toMatchObject({
      status: 422,
      code: "BUSINESS_RULE",
      retryScheduled: false,
      rollback: "IN_PROGRESS",
    });
  });

  it("tells that the rollback needs an operator", () => {
    const context = awaitingContext({ lastError: terminal("GONE") });
    const view = viewOf({ state: "PROCESSING", status: "NEEDS_ATTENTION", context });
    expect(unfinishedProblem(view)).toMatchObject({ status: 502, code: "STEP_FAILED", rollback: "NEEDS_ATTENTION" });
  });

  it("promises no rollback when an operator is asked after the pivot, where only forward is possible", () => {
    const view = viewOf({ state: "STEP_8", status: "NEEDS_ATTENTION" });
    expect(unfinishedProblem(view)).toMatchObject({ code: "RETRY_SCHEDULED", rollback: "NONE" });
  });
});
