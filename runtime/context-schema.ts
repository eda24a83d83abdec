/**
 * The machine's context as it is stored, checked when it is read back: the reader may be newer than the writer. The
 * compiler holds it against CheckoutContext. What this version doesn't know is let through: nothing here reads it.
 */
import { z } from "zod";
import { UNDO_ORDER, type CheckoutContext } from "../machines/context.ts";

const policy = z.object({
  stepRetryMax: z.number(),
  stepRetryBudgetMs: z.number(),
  undoRetryMax: z.number(),
  paymentDeadlineMs: z.number(),
  paymentAttemptsMax: z.number(),
  paymentPollMs: z.number(),
});

const pinnedFlag = z.object({
  value: z.union([z.string(), z.number(), z.boolean()]),
  variant: z.string().nullable(),
  reason: z.string(),
});

const paymentGroup = z.object({
  paymentGroupId: z.string(),
  lineItemRefs: z.array(z.string()),
  sellerId: z.string(),
  paymentTiming: z.enum(["NOW", "LATER"]),
});

const invoiceLine = z.object({
  ref: z.string(),
  kind: z.enum(["LINE_ITEM", "OPT_IN"]),
  sku: z.string(),
  quantity: z.number(),
  unitPrice: z.number(),
  discount: z.number(),
  tax: z.number(),
  fee: z.number(),
  total: z.number(),
  paymentGroupId: z.string(),
});

const invoice = z.object({
  invoiceId: z.string(),
  version: z.number(),
  hash: z.string(),
  payable: z.number(),
  currency: z.string(),
  expiresAt: z.number(),
  lines: z.array(invoiceLine),
});

const capture = z.object({ pspReference: z.string(), amount: z.number(), currency: z.string() });

const owedRefund = capture.extend({
  reason: z.enum(["LATE", "DUPLICATE", "ROLLBACK", "AMOUNT_MISMATCH"]),
  round: z.number(),
  failedRefundIds: z.array(z.string()),
});

const refund = owedRefund.extend({
  refundId: z.string(),
  providerRefundId: z.string().nullable(),
  byHand: z.literal(true).exactOptional(),
});

const payment = z.object({
  status: z.enum(["NOT_REQUESTED", "REQUIRES_ACTION", "DECLINED", "CAPTURED"]),
  pcrId: z.string().nullable(),
  attemptId: z.string().nullable(),
  round: z.number(),
  dueAt: z.number().nullable(),
  nextAction: z.object({ type: z.string(), expiresAt: z.number(), url: z.string().exactOptional() }).nullable(),
  declineCode: z.string().nullable(),
  choice: z.object({ method: z.string(), instrumentId: z.string() }).nullable(),
  settledBy: capture.nullable(),
  failedAttemptIds: z.array(z.string()),
  owed: z.array(owedRefund),
  refunds: z.array(refund),
});

const lastError = z.object({
  step: z.string(),
  class: z.enum(["TRANSIENT", "TERMINAL"]),
  code: z.string(),
  message: z.string(),
  retryAfterMs: z.number().exactOptional(),
  details: z.record(z.string(), z.unknown()).exactOptional(),
});

const undoNames = z.array(z.enum(UNDO_ORDER));

const contextSchema: z.ZodType<CheckoutContext> = z.object({
  executionContextId: z.string(),
  userId: z.string(),
  cartId: z.string(),
  cartVersion: z.number(),
  policy,
  flags: z.record(z.string(), pinnedFlag),
  paymentGroups: z.array(paymentGroup),
  preferences: z.array(z.object({ ref: z.string(), preferenceId: z.string(), lineItemRefs: z.array(z.string()) })),
  invoice: invoice.nullable(),
  order: z.object({ checkoutOrderId: z.string(), orderNumber: z.string() }).nullable(),
  optIns: z.array(z.object({ ref: z.string(), optInId: z.string() })),
  lineItems: z.array(z.object({ ref: z.string(), lineItemId: z.string() })),
  payment,
  retry: z.object({ failures: z.number(), firstFailedAt: z.number().nullable(), delayMs: z.number() }),
  lastError: lastError.nullable(),
  undone: undoNames,
  deferred: undoNames,
  undoneByHand: undoNames,
} satisfies Record<keyof CheckoutContext, unknown>);

/** The first thing about a stored context that this version can't read, e.g. `payment.round: …`; null = it can. */
export function contextMisfit(context: unknown): string | null {
  const { error } = contextSchema.safeParse(context);
  const [first] = error?.issues ?? [];
  return first === undefined ? null : `${first.path.join(".")}: ${first.message}`;
}
