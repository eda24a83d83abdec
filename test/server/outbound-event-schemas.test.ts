import { expect, test } from "vitest";
import type { LineItemsFacts } from "../../machines/step-inputs.ts";
import { produceLineItemsUpdatedEvent } from "../../steps/produce-line-items-event.ts";
import { exampleOf } from "../../server/outbound-event-schemas.ts";
import { misfitOf } from "../support/misfit.ts";
import { exampleInvoice } from "./setup.ts";

const KEY = { executionContextId: "ctx_1", key: "ctx_1:STEP_8" };

function updatedWith(ref: string) {
  const facts: LineItemsFacts = {
    checkoutOrderId: "co_1",
    lineItems: [{ ref, lineItemId: "li_1" }],
    invoice: exampleInvoice(),
    paymentStatus: "CAPTURED",
  };
  return produceLineItemsUpdatedEvent().execute({ ...KEY, ...facts }, new AbortController().signal);
}

test.each([
  ["has a line for", "l1", { sku: "sku-l1", quantity: 1, total: 191901, paymentGroupId: "pg_1" }],
  ["has none for", "l9", { sku: null, quantity: null, total: null, paymentGroupId: null }],
] as const)("a line item that its invoice %s is told by its schema", async (_, ref, priced) => {
  const data = await updatedWith(ref);
  expect(data).toMatchObject({ lineItems: [{ ref, ...priced }] });
  expect(misfitOf({ ...exampleOf("line_items_updated"), data })).toBeNull();
});

test("an event that says less than its schema, or more, is told apart", () => {
  const event = exampleOf("checkout_completed");
  const { payable: _, ...less } = event.data;
  expect(misfitOf({ ...event, data: less })).toContain("data.payable: ");
  expect(misfitOf({ ...event, data: { ...event.data, note: 1 } })).toContain("says more than its schema");
  expect(misfitOf({ ...event, typeseq: 0 })).toContain("typeseq: ");
  expect(misfitOf({ ...event, type: "checkout.v1.note" })).toContain("has no schema");
});
