/**
 * Before- and after-images of a line item. The two groups of columns belong to two different calls,
 * which set back only their own.
 */
import type { lineItems } from "../persistence/order-schema.ts";

export type LineItemRow = typeof lineItems.$inferSelect;

/** What an upsert writes, besides the status. */
export type ItemImage = Pick<
  LineItemRow,
  | "contextId"
  | "sku"
  | "quantity"
  | "sellerId"
  | "paymentTiming"
  | "unitPrice"
  | "total"
  | "currency"
  | "paymentGroupId"
  | "preferenceIds"
>;

/** What the hydration of a payment writes, besides the status. */
export type PaymentImage = Pick<LineItemRow, "pcrId" | "attemptId" | "paymentStatus">;

/** One line item of an upsert; `before` null = it was created. */
export interface UpsertedImage {
  readonly id: string;
  readonly ref: string;
  readonly after: ItemImage;
  readonly before: (ItemImage & Pick<LineItemRow, "status">) | null;
}

export interface PaymentHydration {
  readonly after: PaymentImage;
  readonly items: readonly { readonly id: string; readonly before: PaymentImage }[];
}

export function itemImage(row: ItemImage): ItemImage {
  return {
    contextId: row.contextId,
    sku: row.sku,
    quantity: row.quantity,
    sellerId: row.sellerId,
    paymentTiming: row.paymentTiming,
    unitPrice: row.unitPrice,
    total: row.total,
    currency: row.currency,
    paymentGroupId: row.paymentGroupId,
    preferenceIds: [...row.preferenceIds],
  };
}

export function paymentImage(row: PaymentImage): PaymentImage {
  return { pcrId: row.pcrId, attemptId: row.attemptId, paymentStatus: row.paymentStatus };
}

/** Field by field: jsonb doesn't keep the order of keys. */
export function isSameImage<Image extends object>(left: Image, right: Image): boolean {
  const rightFields = new Map<string, unknown>(Object.entries(right));
  return Object.entries(left).every(([field, value]) => JSON.stringify(value) === JSON.stringify(rightFields.get(field)));
}
