/** What the API answers, as zod schemas: the types of the code and /openapi.json come from here. */
import { z } from "@hono/zod-openapi";
import { DOCUMENTED_STATES } from "../machines/view.ts";

const amount = z.int().openapi({ description: "Minor units of the currency" });
const instant = z.string().openapi({ format: "date-time", description: "RFC 3339, UTC" });

const invoiceLineSchema = z.object({
  ref: z.string(),
  kind: z.enum(["LINE_ITEM", "OPT_IN"]),
  sku: z.string(),
  quantity: z.int(),
  unitPrice: amount,
  discount: amount,
  tax: amount,
  fee: amount,
  total: amount,
  paymentGroupId: z.string(),
});

export const invoiceBodySchema = z
  .object({
    invoiceId: z.string(),
    version: z.int(),
    payable: amount,
    currency: z.string(),
    expiresAt: instant,
    lines: z.array(invoiceLineSchema),
  })
  .openapi("Invoice");
export type InvoiceBody = z.infer<typeof invoiceBodySchema>;

const nextActionSchema = z.object({ type: z.string(), expiresAt: instant, url: z.string().optional() });

const refundBodySchema = z.object({
  pspReference: z.string().openapi({ description: "The capture that is given back" }),
  amount,
  currency: z.string(),
  reason: z.enum(["LATE", "DUPLICATE", "ROLLBACK", "AMOUNT_MISMATCH"]),
  status: z.enum(["OWED", "REFUNDED", "REFUNDED_BY_HAND"]),
  refundId: z.string().nullable(),
  round: z.int().openapi({ description: "Above 1: the provider took an accepted refund back, and it is made again" }),
});
export type RefundBody = z.infer<typeof refundBodySchema>;

const paymentBodySchema = z.object({
  pcrId: z.string().nullable(),
  attemptId: z.string().nullable(),
  status: z.enum(["NOT_REQUESTED", "REQUIRES_ACTION", "DECLINED", "CAPTURED", "CANCELLED", "REFUNDED"]),
  amount: amount.nullable(),
  currency: z.string().nullable(),
  capturedAmount: amount,
  refundedAmount: amount,
  attemptsLeft: z.int(),
  refunds: z.array(refundBodySchema),
  nextAction: nextActionSchema.nullable(),
});
export type PaymentBody = z.infer<typeof paymentBodySchema>;

const lineItemBodySchema = z.object({
  ref: z.string(),
  lineItemId: z.string(),
  status: z.enum(["DRAFT", "UPDATED", "CONFIRMED", "REVERTED"]),
  total: amount.nullable(),
  preferenceIds: z.array(z.string()),
});
export type LineItemBody = z.infer<typeof lineItemBodySchema>;

const linksSchema = z.object({
  self: z.string(),
  stream: z.string(),
  history: z.string(),
  ledger: z.string(),
  events: z.string(),
});

const lastErrorSchema = z.object({
  step: z.string(),
  class: z.enum(["TRANSIENT", "TERMINAL"]),
  code: z.string(),
  message: z.string(),
});

export const checkoutBodySchema = z
  .object({
    executionContextId: z.string(),
    status: z.enum(["PROCESSING", "AWAITING_PAYMENT", "CONFIRMED", "ROLLING_BACK", "ROLLED_BACK", "NEEDS_ATTENTION"]),
    state: z.enum(DOCUMENTED_STATES),
    checkoutOrderId: z.string().nullable(),
    orderNumber: z.string().nullable(),
    paymentGroups: z.array(
      z.object({ paymentGroupId: z.string(), lineItemRefs: z.array(z.string()), amount: amount.nullable() }),
    ),
    invoice: invoiceBodySchema.nullable(),
    lineItems: z.array(lineItemBodySchema),
    optInIds: z.array(z.string()),
    preferenceIds: z.array(z.string()),
    payment: paymentBodySchema,
    lastError: lastErrorSchema.nullable(),
    links: linksSchema,
  })
  .openapi("Checkout");
export type CheckoutBody = z.infer<typeof checkoutBodySchema>;

export const historyEntrySchema = z
  .object({
    seq: z.int(),
    at: instant,
    event: z.string().openapi({ description: "The event's type" }),
    from: z.string().nullable(),
    to: z.string(),
    data: z.record(z.string(), z.unknown()).openapi({ description: "The event's payload: ids, amounts and references" }),
  })
  .openapi("HistoryEntry");
export type HistoryEntryBody = z.infer<typeof historyEntrySchema>;

export const historyBodySchema = z
  .object({
    entries: z.array(historyEntrySchema),
    next: z.string().nullable().openapi({ description: "Link to the entries that follow; null = none yet" }),
  })
  .openapi("History");

export const pastCheckoutSchema = z
  .object({
    entry: historyEntrySchema.openapi({ description: "The transition that led there" }),
    checkout: checkoutBodySchema.openapi({ description: "The checkout as that entry left it" }),
  })
  .openapi("PastCheckout");
export type PastCheckoutBody = z.infer<typeof pastCheckoutSchema>;

const accountSchema = z.enum(["PROVIDER", "SUSPENSE", "ORDER", "BY_HAND"]);

export const ledgerBodySchema = z
  .object({
    entries: z.array(
      z.object({
        seq: z.int().openapi({ description: "The journal entry that moved it" }),
        at: instant,
        debit: accountSchema.openapi({ description: "Where it arrived" }),
        credit: accountSchema.openapi({ description: "Where it left" }),
        amount,
        currency: z.string(),
        pspReference: z.string(),
      }),
    ),
    balances: z
      .array(z.object({ account: accountSchema, currency: z.string(), amount }))
      .openapi({ description: "Debits minus credits; they sum to zero, and SUSPENSE is zero at rest" }),
  })
  .openapi("Ledger");
export type LedgerBody = z.infer<typeof ledgerBodySchema>;

export const eventsBodySchema = z
  .object({
    events: z.array(
      z.object({
        id: z.string().openapi({ description: "Of the CloudEvent, and the broker's for deduplication" }),
        type: z.string(),
        seq: z.int().openapi({ description: "Gapless in the checkout" }),
        typeseq: z.int().openapi({ description: "Gapless in the checkout and type" }),
        data: z.record(z.string(), z.unknown()),
        committedAt: instant,
        acknowledgedAt: instant.nullable().openapi({ description: "When the bus had it; null: it has not yet" }),
        tries: z.int().openapi({ description: "How often the bus took or refused it; outages don't count" }),
        retryAt: instant.nullable().openapi({ description: "After a failure: not before then" }),
        parkedReason: z.string().nullable().openapi({ description: "Why the bus will never take it as it is" }),
      }),
    ),
  })
  .openapi("CheckoutEvents");
export type EventsBody = z.infer<typeof eventsBodySchema>;

export const checkoutListSchema = z
  .object({
    checkouts: z.array(
      z.object({
        executionContextId: z.string(),
        state: z.string(),
        status: z.string(),
        seq: z.int(),
        createdAt: instant,
        updatedAt: instant,
        links: linksSchema,
      }),
    ),
  })
  .openapi("CheckoutList");

export const problemSchema = z
  .looseObject({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.string(),
    class: z.enum(["VALIDATION", "CONFLICT", "TRANSIENT", "TERMINAL"]),
    executionContextId: z.string().optional(),
    retryScheduled: z.boolean(),
    rollback: z.enum(["NONE", "IN_PROGRESS", "DONE", "NEEDS_ATTENTION"]),
    violations: z.array(z.object({ pointer: z.string(), code: z.string(), message: z.string() })).optional(),
  })
  .openapi("Problem");
