/** Tables of the built-in participants. Each row names the execution context that caused it. */
import { sql } from "drizzle-orm";
import { bigint, boolean, check, index, integer, jsonb, primaryKey, text, timestamp } from "drizzle-orm/pg-core";
import { checkoutd } from "./schema.ts";

/**
 * One row per call with an effect, written in the effect's own transaction: its result, what was there
 * before, and whether it was undone. An undone row without a result is a tombstone: the delayed
 * original finds it and is refused.
 */
export const effects = checkoutd.table(
  "effects",
  {
    operation: text("operation").notNull(),
    key: text("key").notNull(),
    contextId: text("context_id").notNull(),
    result: jsonb("result"),
    before: jsonb("before"),
    undoneAt: timestamp("undone_at", { withTimezone: true, mode: "date" }),
    undoReport: jsonb("undo_report"),
    createdAt: timestamp("created_at", { withTimezone: true, mode: "date" }).notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.operation, table.key] })],
);

const instant = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });

/** Line items that are paid together. Written by services/payment-groups.ts. */
export const paymentGroups = checkoutd.table(
  "payment_groups",
  {
    id: text("id").primaryKey(),
    contextId: text("context_id").notNull(),
    payerId: text("payer_id").notNull(),
    cityId: text("city_id").notNull(),
    sellerId: text("seller_id").notNull(),
    currency: text("currency").notNull(),
    /** NOW or LATER; LATER is recorded, not collected. */
    timing: text("timing").notNull(),
    lineItemRefs: jsonb("line_item_refs").$type<readonly string[]>().notNull(),
    /** OPEN → LOCKED → SETTLED, or RELEASED. */
    status: text("status").notNull(),
    /** Minor units; known from LOCKED on. */
    amount: bigint("amount", { mode: "number" }),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [index("payment_groups_context").on(table.contextId)],
);

/** How a sold thing is to be served. Written by services/preferences.ts. */
export const postSellingPreferences = checkoutd.table(
  "post_selling_preferences",
  {
    id: text("id").primaryKey(),
    contextId: text("context_id").notNull(),
    ref: text("ref").notNull(),
    type: text("type").notNull(),
    lineItemRefs: jsonb("line_item_refs").$type<readonly string[]>().notNull(),
    /** What the customer wrote, perhaps personal: nullable so that it is erased with the request, and when the preference is voided. */
    payload: jsonb("payload"),
    /** ACTIVE or VOID. */
    status: text("status").notNull(),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [index("post_selling_preferences_context").on(table.contextId)],
);

/** Shared stock, hence no context. The row appears with a slot's first booking; from then on its capacity is the authority. */
export const slotStock = checkoutd.table(
  "slot_stock",
  {
    slotId: text("slot_id").notNull(),
    date: text("date").notNull(),
    capacity: integer("capacity").notNull(),
    taken: integer("taken").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.slotId, table.date] }),
    check("slot_stock_never_oversold", sql`${table.taken} between 0 and ${table.capacity}`),
  ],
);

/** One place in a slot, taken by one preference. */
export const slotBookings = checkoutd.table(
  "slot_bookings",
  {
    preferenceId: text("preference_id").primaryKey(),
    contextId: text("context_id").notNull(),
    slotId: text("slot_id").notNull(),
    date: text("date").notNull(),
    /** HELD or FREED. */
    status: text("status").notNull(),
  },
  (table) => [index("slot_bookings_context").on(table.contextId)],
);

/** Pinned prices. Written by services/invoices.ts, never changed. */
export const invoices = checkoutd.table(
  "invoices",
  {
    id: text("id").primaryKey(),
    contextId: text("context_id").notNull(),
    version: integer("version").notNull(),
    hash: text("hash").notNull(),
    payable: bigint("payable", { mode: "number" }).notNull(),
    currency: text("currency").notNull(),
    lines: jsonb("lines").notNull(),
    expiresAt: instant("expires_at").notNull(),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [index("invoices_context").on(table.contextId)],
);

/** Shared stock of the coupons whose uses are limited. The row appears with a coupon's first use. */
export const couponStock = checkoutd.table(
  "coupon_stock",
  {
    code: text("code").primaryKey(),
    useLimit: integer("use_limit").notNull(),
    used: integer("used").notNull(),
  },
  (table) => [check("coupon_stock_never_overused", sql`${table.used} between 0 and ${table.useLimit}`)],
);

/** A coupon in one invoice; released when the invoice is undone. */
export const couponUses = checkoutd.table(
  "coupon_uses",
  {
    invoiceId: text("invoice_id").notNull(),
    code: text("code").notNull(),
    contextId: text("context_id").notNull(),
    userId: text("user_id").notNull(),
    /** HELD or RELEASED. */
    status: text("status").notNull(),
    /** Whether it took one of a limited number, which its release gives back. */
    limited: boolean("limited").notNull(),
  },
  (table) => [primaryKey({ columns: [table.invoiceId, table.code] }), index("coupon_uses_context").on(table.contextId)],
);

/** Memberships, protection plans and the like. Written by services/opt-ins.ts. */
export const optIns = checkoutd.table(
  "opt_ins",
  {
    id: text("id").primaryKey(),
    /** The checkout that wrote this row last. */
    contextId: text("context_id").notNull(),
    userId: text("user_id").notNull(),
    type: text("type").notNull(),
    planId: text("plan_id").notNull(),
    /** PENDING, ACTIVE, CANCELLED or REVOKED. */
    status: text("status").notNull(),
    /** What the PENDING row waits to become: CREATE and MODIFY → ACTIVE, CANCEL → CANCELLED. Null when nothing is pending. */
    pendingAction: text("pending_action"),
    /** Counts the writes. An undo sets its before-image back only where nobody wrote since. */
    version: integer("version").notNull(),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [index("opt_ins_context").on(table.contextId), index("opt_ins_user").on(table.userId)],
);
