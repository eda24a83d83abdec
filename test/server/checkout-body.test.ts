import { describe, expect, it } from "vitest";
import type { CheckoutContext, Payment } from "../../machines/context.ts";
import { owedFor } from "../../machines/payment.ts";
import { checkoutBody } from "../../server/checkout-body.ts";
import { checkoutBodySchema } from "../../server/response-schema.ts";
import { refundOf } from "../support/checkout-context.ts";
import { awaitingContext, freshContext, T0, viewOf } from "./setup.ts";

const capture = { pspReference: "psr_1", amount: 249900, currency: "INR" };

function withPayment(payment: Partial<Payment>, rest: Partial<CheckoutContext> = {}): CheckoutContext {
  const context = awaitingContext(rest);
  return { ...context, payment: { ...context.payment, ...payment } };
}

describe("the body of a checkout", () => {
  it("is the documented example while it awaits payment", () => {
    const { invoice, ...body } = checkoutBody(viewOf());
    expect(body).toEqual({
      executionContextId: "ctx_1",
      status: "AWAITING_PAYMENT",
      state: "STEP_8",
      checkoutOrderId: "co_01J",
      orderNumber: "BLR-000123",
      paymentGroups: [
        { paymentGroupId: "pg_1", lineItemRefs: ["l1"], amount: 201901 },
        { paymentGroupId: "pg_2", lineItemRefs: ["l2"], amount: 47999 },
      ],
      lineItems: [
        { ref: "l1", lineItemId: "li_1", status: "UPDATED", total: 191901, preferenceIds: ["psp_1"] },
        { ref: "l2", lineItemId: "li_2", status: "UPDATED", total: 47999, preferenceIds: [] },
      ],
      optInIds: ["opt_1"],
      preferenceIds: ["psp_1"],
      payment: {
        pcrId: "pcr_1",
        attemptId: "att_1",
        status: "REQUIRES_ACTION",
        amount: 249900,
        currency: "INR",
        capturedAmount: 0,
        refundedAmount: 0,
        attemptsLeft: 2,
        refunds: [],
        nextAction: { type: "UPI_COLLECT", expiresAt: "2027-01-08T10:15:00.000Z" },
      },
      lastError: null,
      links: {
        self: "/orchestration/checkout/ctx_1",
        stream: "/orchestration/checkout/ctx_1/stream",
        history: "/orchestration/checkout/ctx_1/history",
        ledger: "/orchestration/checkout/ctx_1/ledger",
        events: "/orchestration/checkout/ctx_1/events",
      },
    });
    expect(invoice).toMatchObject({ invoiceId: "inv_1", version: 1, payable: 249900, expiresAt: "2027-01-08T10:15:00.000Z" });
    expect(invoice).not.toHaveProperty("hash");
  });

  it("has nulls for what is not known yet", () => {
    const body = checkoutBody(viewOf({ state: "INITIALIZED", status: "PROCESSING", context: freshContext() }));
    expect(body).toMatchObject({ checkoutOrderId: null, orderNumber: null, invoice: null, lineItems: [], paymentGroups: [] });
    expect(body.payment).toMatchObject({ pcrId: null, status: "NOT_REQUESTED", amount: null, currency: null, nextAction: null });
    expect(() => checkoutBodySchema.parse(body)).not.toThrow();
  });

  it("has payment groups without an amount until there is a price", () => {
    const body = checkoutBody(viewOf({ state: "STEP_1", status: "PROCESSING", context: awaitingContext({ invoice: null }) }));
    expect(body.paymentGroups.map(({ amount }) => amount)).toEqual([null, null]);
  });

  it.each([
    ["STEP_5", "PROCESSING", {}, "DRAFT"],
    ["STEP_6", "PROCESSING", {}, "DRAFT"],
    ["STEP_7", "PROCESSING", {}, "UPDATED"],
    ["STEP_8", "AWAITING_PAYMENT", {}, "UPDATED"],
    ["COMPLETED", "CONFIRMED", {}, "CONFIRMED"],
    ["PROCESSING", "ROLLING_BACK", {}, "UPDATED"],
    ["PROCESSING", "ROLLING_BACK", { undone: ["paymentHydration"] }, "DRAFT"],
    ["PROCESSING", "ROLLING_BACK", { undone: ["paymentHydration", "lineItems"] }, "REVERTED"],
    ["ROLLEDBACK", "ROLLED_BACK", { undone: ["lineItems"] }, "REVERTED"],
  ] as const)("has line items in %s %s %j as %s", (state, status, context, expected) => {
    const body = checkoutBody(viewOf({ state, status, context: awaitingContext(context) }));
    expect(body.lineItems.map((item) => item.status)).toEqual([expected, expected]);
  });

  it("counts each capture once, whether held, owed or refunded", () => {
    const owed = owedFor({ ...capture, pspReference: "psr_2" }, "DUPLICATE");
    const context = withPayment({ status: "CAPTURED", settledBy: capture, owed: [owed], refunds: [refundOf(owed)] });
    const { payment } = checkoutBody(viewOf({ state: "COMPLETED", status: "CONFIRMED", context }));
    expect(payment).toMatchObject({ status: "CAPTURED", capturedAmount: 499800, refundedAmount: 249900, nextAction: null });
  });

  it("lists what went back, by the provider or by hand, and what still has to, each with its round", () => {
    const named = (name: string) => ({ ...capture, pspReference: name, reason: "LATE", round: 1 }) as const;
    const late = (name: string) => owedFor({ ...capture, pspReference: name }, "LATE");
    const refunds = [refundOf(late("psr_1")), { ...refundOf(late("psr_2")), refundId: "rsl_1-1", byHand: true }] as const;
    // Its first refund was accepted and failed later; another capture is in both lists for a moment.
    const owed = [{ ...late("psr_3"), round: 2 }, late("psr_1")];
    const body = checkoutBody(viewOf({ context: withPayment({ refunds, owed }) }));
    expect(body.payment.refunds).toEqual([
      { ...named("psr_1"), status: "REFUNDED", refundId: "rfd_psr_1" },
      { ...named("psr_2"), status: "REFUNDED_BY_HAND", refundId: "rsl_1-1" },
      { ...named("psr_3"), round: 2, status: "OWED", refundId: null },
    ]);
    expect(checkoutBodySchema.parse(body)).toEqual(body);
  });

  it("leaves a capture in a foreign currency out of the amounts", () => {
    const owed = owedFor({ pspReference: "psr_2", amount: 3000, currency: "USD" }, "AMOUNT_MISMATCH");
    expect(checkoutBody(viewOf({ context: withPayment({ owed: [owed] }) })).payment.capturedAmount).toBe(0);
  });

  it("says REFUNDED once everything captured went back in a rollback", () => {
    const refund = refundOf(owedFor(capture, "ROLLBACK"));
    const context = withPayment({ status: "CAPTURED", refunds: [refund] });
    const { payment } = checkoutBody(viewOf({ state: "ROLLEDBACK", status: "ROLLED_BACK", context }));
    expect(payment).toMatchObject({ status: "REFUNDED", capturedAmount: 249900, refundedAmount: 249900 });
  });

  it("stays DECLINED while another attempt is awaited after a refunded wrong amount", () => {
    const refund = refundOf(owedFor({ ...capture, amount: 5 }, "AMOUNT_MISMATCH"));
    const { payment } = checkoutBody(viewOf({ context: withPayment({ status: "DECLINED", refunds: [refund] }) }));
    expect(payment.status).toBe("DECLINED");
  });

  it("offers no next action and says CANCELLED after an open payment was reversed", () => {
    const context = awaitingContext({ undone: ["paymentRequest"] });
    const { payment } = checkoutBody(viewOf({ state: "ROLLEDBACK", status: "ROLLED_BACK", context }));
    expect(payment).toMatchObject({ status: "CANCELLED", nextAction: null });
  });

  it("shows a step's last error without a foreign message", () => {
    const lastError = { step: "STEP_5", class: "TRANSIENT", code: "UNAVAILABLE", message: "connect ECONNREFUSED 10.0.0.7:5432" };
    const body = checkoutBody(viewOf({ context: awaitingContext({ lastError: { ...lastError, class: "TRANSIENT" } }) }));
    expect(body.lastError).toEqual({ ...lastError, message: "A service that the step needs did not answer." });
  });

  it("keeps a provider's action link", () => {
    const nextAction = { type: "REDIRECT", expiresAt: T0, url: "https://bank.example/3ds" };
    const body = checkoutBody(viewOf({ context: withPayment({ nextAction }) }));
    expect(body.payment.nextAction).toEqual({ ...nextAction, expiresAt: "2027-01-08T10:00:00.000Z" });
    expect(checkoutBodySchema.parse(body)).toEqual(body);
  });
});
