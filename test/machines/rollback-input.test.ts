/** What a reversal is told of the money: what it must give back, and what an operator gave back already. */
import { expect, test } from "vitest";
import { owedFor } from "../../machines/payment.ts";
import { inputs, rollbackInput } from "../../machines/step-inputs.ts";
import { captureOf, contextWith, newContext, refundOf } from "../support/checkout-context.ts";

const paid = captureOf("psr_1");
const owed = owedFor(captureOf("psr_2"), "LATE");
const given = refundOf(owedFor(captureOf("psr_3"), "LATE"));
const byHand = { ...refundOf(owedFor(captureOf("psr_4"), "LATE")), providerRefundId: null, byHand: true as const };
const context = contextWith({ settledBy: paid, owed: [owed], refunds: [given, byHand] });

test("the reversal gives back all that is held, and keeps its hands off what an operator gave back", () => {
  const { owed: held, byHand: kept } = rollbackInput(context, "paymentRequest");
  expect(held).toEqual([owed, owedFor(paid, "ROLLBACK")]);
  expect(kept).toEqual(["psr_4"]);
});

test("no other undo is told of money", () => {
  expect(rollbackInput(context, "order")).toMatchObject({ owed: [], byHand: [] });
});

test("an undo without a failure before it is a cancellation's", () => {
  expect(rollbackInput(newContext(), "order").reason).toBe("CANCELLED");
});

test("a settlement is given the capture that pays, or none", () => {
  expect(inputs.executePCRSuccessSteps(context).pspReference).toBe("psr_1");
  expect(inputs.executePCRSuccessSteps(contextWith()).pspReference).toBeNull();
});

test.each([
  ["pcrId", () => inputs.getPaymentStatus(newContext())],
  ["attemptId", () => inputs.hydratePaymentAndUpdateLineItems(contextWith({ attemptId: null }))],
  ["invoice", () => inputs.createCheckoutOrder(newContext())],
  ["choice", () => inputs.createPaymentAttempt(contextWith())],
  ["owed refund", () => inputs.refundCapture(contextWith())],
  ["order", () => inputs.produceLineItemsUpdatedEvent(contextWith())],
  [
    "invoice",
    () => inputs.produceLineItemsConfirmedEvent({ ...newContext(), order: { checkoutOrderId: "co_1", orderNumber: "1" } }),
  ],
])("without %s an input that needs it is refused by name", (name, make) => {
  expect(make).toThrow(`The checkout has no ${name} where its machine needs one.`);
});
