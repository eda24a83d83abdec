/**
 * Tables of what a checkout orders and pays: orders, line items, payments, and the payment simulator's
 * own ledger. Written by the services of the same name only; each row names its execution context.
 */
import { sql } from "drizzle-orm";
import { bigint, boolean, check, index, integer, jsonb, primaryKey, text, timestamp, uniqueIndex } from "drizzle-orm/pg-core";
import type { NextAction, PaymentOutcome } from "../machines/context.ts";
import { checkoutd } from "./schema.ts";

const instant = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });
/** Minor units of the row's currency. */
const money = (name: string) => bigint(name, { mode: "number" });

/** Written by SqlCheckoutOrders. PENDING → CONFIRMED | CANCELLED; never deleted. */
export const checkoutOrders = checkoutd.table(
  "checkout_orders",
  {
    id: text("id").primaryKey(),
    contextId: text("context_id").notNull(),
    orderNumber: text("order_number").notNull(),
    userId: text("user_id").notNull(),
    cityId: text("city_id").notNull(),
    cartId: text("cart_id").notNull(),
    invoiceId: text("invoice_id").notNull(),
    payable: money("payable").notNull(),
    currency: text("currency").notNull(),
    status: text("status").$type<"PENDING" | "CONFIRMED" | "CANCELLED">().notNull(),
    cancelReason: text("cancel_reason"),
    createdAt: instant("created_at").notNull().defaultNow(),
    updatedAt: instant("updated_at").notNull().defaultNow(),
  },
  (table) => [
    uniqueIndex("checkout_orders_context").on(table.contextId),
    uniqueIndex("checkout_orders_number").on(table.orderNumber),
  ],
);

/** Written by OrderNumbers: the last number handed out per city. */
export const orderNumbers = checkoutd.table("order_numbers", {
  cityId: text("city_id").primaryKey(),
  /** The checkout for which the last block was taken. */
  contextId: text("context_id").notNull(),
  lastNumber: bigint("last_number", { mode: "number" }).notNull(),
});

/** Written by SqlLineItems. The first group of columns belongs to the upsert, the second to the payment. */
export const lineItems = checkoutd.table(
  "line_items",
  {
    id: text("id").primaryKey(),
    checkoutOrderId: text("checkout_order_id").notNull(),
    ref: text("ref").notNull(),
    contextId: text("context_id").notNull(),
    sku: text("sku").notNull(),
    quantity: integer("quantity").notNull(),
    sellerId: text("seller_id").notNull(),
    paymentTiming: text("payment_timing").notNull(),
    unitPrice: money("unit_price").notNull(),
    total: money("total").notNull(),
    currency: text("currency").notNull(),
    paymentGroupId: text("payment_group_id").notNull(),
    preferenceIds: jsonb("preference_ids").$type<readonly string[]>().notNull(),
    status: text("status").$type<"DRAFT" | "UPDATED" | "CONFIRMED" | "REVERTED">().notNull(),
    pcrId: text("pcr_id"),
    attemptId: text("attempt_id"),
    paymentStatus: text("payment_status"),
    pspReference: text("psp_reference"),
    createdAt: instant("created_at").notNull().defaultNow(),
    updatedAt: instant("updated_at").notNull().defaultNow(),
  },
  (table) => [
    uniqueIndex("line_items_order_ref").on(table.checkoutOrderId, table.ref),
    index("line_items_context").on(table.contextId),
  ],
);

/** Written by SqlLineItems: how each sold thing is to be served. */
export const lineItemPreferences = checkoutd.table(
  "line_item_preferences",
  {
    contextId: text("context_id").notNull(),
    lineItemId: text("line_item_id").notNull(),
    preferenceId: text("preference_id").notNull(),
  },
  (table) => [primaryKey({ columns: [table.contextId, table.lineItemId, table.preferenceId] })],
);

/** Written by SqlPayments: collect this amount by this time. One per execution context. */
export const paymentCollectionRequirements = checkoutd.table(
  "payment_collection_requirements",
  {
    id: text("id").primaryKey(),
    contextId: text("context_id").notNull(),
    payerId: text("payer_id").notNull(),
    checkoutOrderId: text("checkout_order_id").notNull(),
    amount: money("amount").notNull(),
    currency: text("currency").notNull(),
    dueAt: instant("due_at").notNull(),
    /** As far as we were told; the provider's ledger is the authority. */
    capturedAmount: money("captured_amount").notNull().default(0),
    refundedAmount: money("refunded_amount").notNull().default(0),
    /** Set when its reversal begins: no attempt may be opened or confirmed from then on. */
    reversedAt: instant("reversed_at"),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [
    uniqueIndex("payment_collection_requirements_context").on(table.contextId),
    check(
      "pcr_refunded_within_captured",
      sql`0 <= ${table.refundedAmount} and ${table.refundedAmount} <= ${table.capturedAmount}`,
    ),
  ],
);

export type AttemptStatus = "OPEN" | "PENDING" | "CAPTURED" | "DECLINED" | "CANCELLED";

/** Written by SqlPayments before the provider is called, so that an unknown outcome can be found again by key. */
export const paymentAttempts = checkoutd.table(
  "payment_attempts",
  {
    id: text("id").primaryKey(),
    pcrId: text("pcr_id").notNull(),
    contextId: text("context_id").notNull(),
    round: integer("round").notNull(),
    /** The idempotency key, ours and the provider's. */
    key: text("key").notNull(),
    method: text("method").notNull(),
    instrumentId: text("instrument_id").notNull(),
    returnUrl: text("return_url"),
    /** The provider's charge; null while it isn't known whether one was created. */
    chargeId: text("charge_id"),
    status: text("status").$type<AttemptStatus>().notNull().default("OPEN"),
    /** What the caller was told first, and is told again whenever it repeats the key. */
    outcome: jsonb("outcome").$type<PaymentOutcome>(),
    createdAt: instant("created_at").notNull().defaultNow(),
    updatedAt: instant("updated_at").notNull().defaultNow(),
  },
  (table) => [
    uniqueIndex("payment_attempts_key").on(table.key),
    uniqueIndex("payment_attempts_round").on(table.pcrId, table.round),
  ],
);

/** Written by SqlPayments: money that the provider said it took. */
export const paymentCaptures = checkoutd.table(
  "payment_captures",
  {
    pcrId: text("pcr_id").notNull(),
    pspReference: text("psp_reference").notNull(),
    contextId: text("context_id").notNull(),
    amount: money("amount").notNull(),
    currency: text("currency").notNull(),
    refundedAmount: money("refunded_amount").notNull().default(0),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [
    primaryKey({ columns: [table.pcrId, table.pspReference] }),
    check("capture_refunded_within_captured", sql`0 <= ${table.refundedAmount} and ${table.refundedAmount} <= ${table.amount}`),
  ],
);

/** Written by SqlPayments before the provider is asked; accepted when it has agreed. */
export const paymentRefunds = checkoutd.table(
  "payment_refunds",
  {
    key: text("key").primaryKey(),
    id: text("id").notNull(),
    pcrId: text("pcr_id").notNull(),
    contextId: text("context_id").notNull(),
    pspReference: text("psp_reference").notNull(),
    amount: money("amount").notNull(),
    currency: text("currency").notNull(),
    reason: text("reason").$type<"LATE" | "DUPLICATE" | "ROLLBACK" | "AMOUNT_MISMATCH">().notNull(),
    /** From 1; of one capture only the highest stands. */
    round: integer("round").notNull(),
    providerRefundId: text("provider_refund_id"),
    acceptedAt: instant("accepted_at"),
    /** Set when a later round begins: this one moves no money any more, and what it had moved was taken back out. */
    failedAt: instant("failed_at"),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [index("payment_refunds_pcr").on(table.pcrId), check("refund_round_from_one", sql`${table.round} >= 1`)],
);

export type ChargeStatus = "created" | "requires_action" | "captured" | "declined" | "cancelled" | "expired";

/** Written by SimulatedProvider only: its side of the truth, which Payments never reads but through the contract. */
export const providerCharges = checkoutd.table(
  "provider_charges",
  {
    id: text("id").primaryKey(),
    key: text("key").notNull(),
    contextId: text("context_id").notNull(),
    pcrId: text("pcr_id").notNull(),
    attemptId: text("attempt_id").notNull(),
    instrumentId: text("instrument_id").notNull(),
    amount: money("amount").notNull(),
    currency: text("currency").notNull(),
    expiresAt: instant("expires_at").notNull(),
    status: text("status").$type<ChargeStatus>().notNull(),
    declineCode: text("decline_code"),
    nextAction: jsonb("next_action").$type<NextAction>(),
    /** Confirmations so far; a flaky instrument counts them, also across a restart. */
    tries: integer("tries").notNull().default(0),
    authorisedAmount: money("authorised_amount").notNull().default(0),
    capturedAmount: money("captured_amount").notNull().default(0),
    refundedAmount: money("refunded_amount").notNull().default(0),
    /** When money last moved, in either direction; null = never. */
    movedAt: instant("moved_at"),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [
    uniqueIndex("provider_charges_key").on(table.key),
    index("provider_charges_pcr").on(table.pcrId),
    check(
      "charge_refunded_within_captured",
      sql`0 <= ${table.refundedAmount} and ${table.refundedAmount} <= ${table.capturedAmount}`,
    ),
  ],
);

/** Written by SimulatedProvider only. */
export const providerCaptures = checkoutd.table(
  "provider_captures",
  {
    pcrId: text("pcr_id").notNull(),
    pspReference: text("psp_reference").notNull(),
    /** Null, with its checkout: announced before its charge was created, which takes it over. */
    chargeId: text("charge_id"),
    contextId: text("context_id"),
    amount: money("amount").notNull(),
    currency: text("currency").notNull(),
    refundedAmount: money("refunded_amount").notNull().default(0),
    capturedAt: instant("captured_at").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.pcrId, table.pspReference] }),
    index("provider_captures_charge").on(table.chargeId),
    check(
      "provider_capture_refunded_within_captured",
      sql`0 <= ${table.refundedAmount} and ${table.refundedAmount} <= ${table.amount}`,
    ),
  ],
);

/** Written by SimulatedProvider only: what each key came to. A capture is refunded in full, so one at most stands. */
export const providerRefunds = checkoutd.table(
  "provider_refunds",
  {
    key: text("key").primaryKey(),
    id: text("id").notNull(),
    pcrId: text("pcr_id").notNull(),
    pspReference: text("psp_reference").notNull(),
    contextId: text("context_id"),
    amount: money("amount").notNull(),
    currency: text("currency").notNull(),
    acceptedAt: instant("accepted_at").notNull(),
    /** The bank sent it back: the capture is held again. */
    failedAt: instant("failed_at"),
  },
  (table) => [
    uniqueIndex("provider_refunds_id").on(table.id),
    uniqueIndex("provider_refunds_standing")
      .on(table.pcrId, table.pspReference)
      .where(sql`${table.failedAt} is null`),
  ],
);

/** Written by SimulatedProvider only: events that it will send, kept here so that they survive a restart. */
export const providerSends = checkoutd.table(
  "provider_sends",
  {
    /** Also the event's id. */
    id: text("id").primaryKey(),
    contextId: text("context_id").notNull(),
    chargeId: text("charge_id").notNull(),
    type: text("type")
      .$type<"payment_collection_requirement_success" | "payment_collection_requirement_failed" | "payment_refund_failed">()
      .notNull(),
    /** The refund that fails; null for news of the charge itself. */
    refundId: text("refund_id"),
    /** Sent also when the charge was cancelled before: the late success. */
    isLate: boolean("is_late").notNull(),
    occursAt: instant("occurs_at").notNull(),
    /** When to try next; pushed ahead by each try. */
    sendAt: instant("send_at").notNull(),
    tries: integer("tries").notNull().default(0),
    /** Delivered, or given up because the charge was cancelled. */
    closedAt: instant("closed_at"),
  },
  (table) => [
    index("provider_sends_due")
      .on(table.sendAt)
      .where(sql`${table.closedAt} is null`),
    index("provider_sends_charge").on(table.chargeId),
  ],
);
