/** Others subscribe to these words: one that changes is missed by all of them. */
import { expect, test } from "vitest";
import { OUTBOUND_EVENT_TYPES, PAYMENT_EVENT_TYPES } from "../../machines/events.ts";

test("news of a payment is spelled as in the specification", () => {
  expect(PAYMENT_EVENT_TYPES).toEqual([
    "payment_collection_requirement_success",
    "payment_collection_requirement_failed",
    "payment_collection_requirement_expired",
  ]);
});

test("what a checkout publishes has these names, and no others", () => {
  expect(OUTBOUND_EVENT_TYPES).toEqual([
    "checkout_initiated",
    "line_items_updated",
    "line_items_confirmed",
    "line_items_reverted",
    "payment_failed",
    "checkout_completed",
    "checkout_rolled_back",
    "checkout_needs_attention",
    "payment_refunded",
  ]);
});
