/**
 * What others are told, as zod schemas: /asyncapi.json comes from here, and tests hold every event that is published
 * against it. A schema only grows, because subscribers build on each field: none goes, and none may be missing or null that
 * was not before.
 */
import { z } from "zod";
import { UNDO_ORDER, type RefundReason } from "../machines/context.ts";
import type { OutboundEventType } from "../machines/events.ts";
import type { CloudEvent } from "../messaging/bus.ts";
import { EVENT_SOURCE } from "../messaging/subjects.ts";
import { currency } from "./field-schemas.ts";

const CONTEXT_ID = "ctx_01JABC";
const ITEMS = { checkoutOrderId: "co_01J", invoice: { invoiceId: "inv_1", version: 1, payable: 249900, currency: "INR" } };

const amount = z.int().min(0).describe("Minor units of the currency");
const money = { amount, currency: currency.describe("ISO 4217") };
const code = z.string().describe("A word for programs, e.g. PAYMENT_EXPIRED; more may come");
const pcrId = z.string().describe("The payment collection requirement");
const pspReference = z.string().describe("The provider's own name for the capture");
const undos = z.array(z.enum(UNDO_ORDER));
const ordinal = z.int().min(1);

/** An invoice is the participant's word: nobody refuses one that has no line for a line item. */
const UNPRICED = "null: the invoice has no line for it";

function lineItemsSchema<Status extends string, PaymentStatus extends string>(status: Status, paymentStatus: PaymentStatus[]) {
  const lineItem = z.object({
    lineItemId: z.string(),
    ref: z.string().describe("Its reference in the request"),
    status: z.literal(status),
    sku: z.string().nullable().describe(UNPRICED),
    quantity: z.int().min(1).nullable().describe(UNPRICED),
    total: z.int().min(0).nullable().describe(`Minor units of the invoice's currency; ${UNPRICED}`),
    paymentGroupId: z.string().nullable().describe(UNPRICED),
  });
  const invoice = z.object({ invoiceId: z.string(), version: ordinal, payable: amount, currency: money.currency });
  return z.object({
    checkoutOrderId: z.string(),
    invoice: invoice.describe("The price that was pinned"),
    payment: z.object({ status: z.enum(paymentStatus).describe("As it was when this was decided") }),
    lineItems: z.array(lineItem),
  });
}

function exampleItems<Status extends string>(status: Status) {
  return [
    { lineItemId: "li_1", ref: "l1", status, sku: "SVC-AC-DEEP", quantity: 2, total: 191901, paymentGroupId: "pg_1" },
    { lineItemId: "li_2", ref: "l2", status, sku: "PRD-FILTER", quantity: 1, total: 47999, paymentGroupId: "pg_2" },
  ];
}

export const OUTBOUND_EVENTS = {
  checkout_initiated: told(
    "A checkout began",
    z.object({ userId: z.string(), cartId: z.string(), cartVersion: z.int() }),
    { userId: "usr_42", cartId: "cart_01J", cartVersion: 7 },
    1,
  ),
  line_items_updated: told(
    "Its line items are priced and tied to order and payment; nothing is confirmed yet",
    lineItemsSchema("UPDATED", ["REQUIRES_ACTION", "DECLINED", "CAPTURED"]),
    { ...ITEMS, payment: { status: "REQUIRES_ACTION" }, lineItems: exampleItems("UPDATED") },
    2,
  ),
  line_items_confirmed: told(
    "They are paid and confirmed: exactly one for each confirmed checkout, after its line_items_updated",
    lineItemsSchema("CONFIRMED", ["CAPTURED"]),
    { ...ITEMS, payment: { status: "CAPTURED" }, lineItems: exampleItems("CONFIRMED") },
    3,
  ),
  line_items_reverted: told(
    "What line_items_updated said no longer holds: the checkout was undone",
    z.object({ lineItemIds: z.array(z.string()), reason: code }),
    { lineItemIds: ["li_1", "li_2"], reason: "PAYMENT_EXPIRED" },
    3,
  ),
  payment_failed: told(
    "An attempt to pay failed; the customer may try again while attempts are left",
    z.object({
      pcrId,
      attemptId: z.string().nullable().describe("null: the attempt failed before it had an id"),
      attempt: ordinal.describe("The attempt's number, from 1"),
      code,
      attemptsLeft: z.int().min(0),
    }),
    { pcrId: "pcr_1", attemptId: "att_1", attempt: 1, code: "INSUFFICIENT_FUNDS", attemptsLeft: 2 },
    3,
  ),
  checkout_completed: told(
    "The order stands",
    z.object({ checkoutOrderId: z.string(), payable: amount, currency: money.currency }),
    { checkoutOrderId: "co_01J", payable: 249900, currency: "INR" },
    4,
  ),
  checkout_rolled_back: told(
    "Everything that the checkout did is undone",
    z.object({
      reason: code,
      undone: undos.describe("In the order in which the undos were done"),
      undoneByHand: undos.describe("Those of `undone` that an operator took care of"),
    }),
    { reason: "CANCELLED", undone: ["order", "invoice", "preferences", "paymentGroups"], undoneByHand: [] },
    2,
  ),
  checkout_needs_attention: told(
    "Something that must happen does not: it is tried on, and an operator should look",
    z.object({
      step: z.string().describe("What does not succeed, e.g. STEP_9, refunding, undo:paymentRequest; more may come"),
      code,
      pspReference: pspReference.exactOptional().describe("The capture whose refund came back, where that is the reason"),
    }),
    { step: "refunding", code: "ACCOUNT_CLOSED", pspReference: "psr_1" },
    6,
  ),
  payment_refunded: told(
    "A capture was given back",
    z.object({
      pcrId,
      refundId: z.string(),
      pspReference,
      ...money,
      reason: z.enum(["LATE", "DUPLICATE", "ROLLBACK", "AMOUNT_MISMATCH"] satisfies RefundReason[]),
      round: ordinal.describe("Above 1: the provider took an accepted refund back, and it was made again"),
      byHand: z.literal(true).exactOptional().describe("An operator gave it back, not the provider"),
    }),
    {
      pcrId: "pcr_1",
      refundId: "rfd_1",
      pspReference: "psr_1",
      amount: 249900,
      currency: "INR",
      reason: "ROLLBACK",
      round: 1,
    },
    5,
  ),
} satisfies Record<OutboundEventType, object>;

/** What all events have in common: CloudEvents 1.0, structured JSON. */
export const envelopeSchema = z.object({
  specversion: z.literal("1.0"),
  id: z.string().describe("`<executionContextId>:<seq>`, the same however often it is published"),
  source: z.string().describe("Who says it"),
  type: z.string(),
  subject: z.string().describe("The executionContextId"),
  time: z.iso.datetime().describe("When it was committed: RFC 3339, UTC"),
  datacontenttype: z.literal("application/json"),
  seq: ordinal.describe("Gapless in the checkout"),
  typeseq: ordinal.describe("Gapless in the checkout and type"),
  traceparent: z.string().exactOptional().describe("W3C Trace Context of the request that began the checkout"),
  data: z.record(z.string(), z.unknown()),
} satisfies Record<keyof CloudEvent, z.ZodType>) satisfies z.ZodType<CloudEvent>;

/** The whole event of this type. */
export function eventSchemaOf<Type extends OutboundEventType>(type: Type) {
  return envelopeSchema.extend({ type: z.literal(`checkout.v1.${type}`), data: OUTBOUND_EVENTS[type].data });
}

export function exampleOf(type: OutboundEventType): CloudEvent {
  const { seq, example } = OUTBOUND_EVENTS[type];
  return {
    specversion: "1.0",
    id: `${CONTEXT_ID}:${seq}`,
    source: EVENT_SOURCE,
    type: `checkout.v1.${type}`,
    subject: CONTEXT_ID,
    time: "2027-01-08T10:00:00.123Z",
    datacontenttype: "application/json",
    seq,
    typeseq: 1,
    traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    data: example,
  };
}

/** `seq`: the example's place among its checkout's events. */
function told<Data extends z.ZodType>(summary: string, data: Data, example: z.output<Data>, seq: number) {
  return { summary, data, example, seq };
}
