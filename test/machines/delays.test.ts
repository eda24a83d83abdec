/** How long the chart waits: read from the context, and from the moment that came with the event. */
import { expect, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import type { CheckoutContext } from "../../machines/context.ts";
import { contextWith } from "../support/checkout-context.ts";

function delayOf(name: string, context: CheckoutContext, event: object): unknown {
  const delay = (checkoutMachine.implementations.delays as Readonly<Record<string, unknown>>)[name];
  return (delay as (args: { readonly context: CheckoutContext; readonly event: object }) => unknown)({ context, event });
}

test("the payment's deadline counts from its request; one that has passed is now", () => {
  const context = contextWith({ dueAt: 5_000 });
  expect(delayOf("paymentDeadline", context, { type: "any", at: 1_000 })).toBe(4_000);
  expect(delayOf("paymentDeadline", context, { type: "any", at: 6_000 })).toBe(0);
});

test("without the request's time, or the event's, as under XState's own live actor, it is the whole deadline", () => {
  expect(delayOf("paymentDeadline", contextWith({ dueAt: null }), { type: "any", at: 1_000 })).toBe(900_000);
  expect(delayOf("paymentDeadline", contextWith({ dueAt: 5_000 }), { type: "any" })).toBe(900_000);
});

test("a backoff is the retry's, a poll the policy's", () => {
  const context = { ...contextWith(), retry: { failures: 2, firstFailedAt: 0, delayMs: 321 } };
  expect(delayOf("backoff", context, { type: "any" })).toBe(321);
  expect(delayOf("paymentPoll", context, { type: "any" })).toBe(30_000);
});
