/** The simulator's way back of the money: given back once per capture, and now and then sent back by the bank. */
import { and, eq, sql } from "drizzle-orm";
import { TerminalError } from "../machines/errors.ts";
import type { Orm } from "../persistence/connect.ts";
import { providerCaptures, providerCharges, providerRefunds, providerSends } from "../persistence/order-schema.ts";
import type { ProviderRefund, RefundRequest } from "./payment-provider.ts";
import { isFirstRefundSentBack, REFUND_FAILS_AFTER_MS } from "./simulator-instruments.ts";
import { lockChargesOf, type ChargeRow } from "./simulator-ledger.ts";

export type RefundRow = typeof providerRefunds.$inferSelect;
type CaptureRow = typeof providerCaptures.$inferSelect;

/** Gives back all that is held of a capture. A key that is known answers its own refund, as it stands. */
export async function giveBack(tx: Orm, id: string, request: RefundRequest, now: number): Promise<ProviderRefund> {
  const { key, pcrId, pspReference } = request;
  // Charges before captures, as everywhere: a capture that is added meanwhile waits, instead of a deadlock.
  const charges = await lockChargesOf(tx, pcrId);
  const capture = await lockCapture(tx, pcrId, pspReference);
  const [sameKey] = await tx.select().from(providerRefunds).where(eq(providerRefunds.key, key));
  if (sameKey !== undefined) return answerOf(sameKey, request);
  const ofCapture = and(eq(providerRefunds.pcrId, pcrId), eq(providerRefunds.pspReference, pspReference));
  const earlier = await tx.select().from(providerRefunds).where(ofCapture);
  const standing = earlier.find(({ failedAt }) => failedAt === null);
  if (standing !== undefined) return answerOf(standing, request);
  const { contextId, currency } = capture;
  const amount = capture.amount - capture.refundedAmount;
  await tx
    .insert(providerRefunds)
    .values({ key, id, pcrId, pspReference, contextId, amount, currency, acceptedAt: new Date(now) });
  await moveRefunded(tx, capture, amount, now);
  const charge = charges.find((one) => one.id === capture.chargeId);
  if (charge !== undefined && earlier.length === 0 && isFirstRefundSentBack(charge.instrumentId)) {
    await scheduleFailure(tx, charge, id, now + REFUND_FAILS_AFTER_MS);
  }
  return { refundId: id, status: "accepted" };
}

/** The bank sent it back: the capture is held again, once, however often it is told. Holds the charge's lock already. */
export async function takeBackRefund(tx: Orm, refundId: string, now: number): Promise<RefundRow> {
  const [refund] = await tx.select().from(providerRefunds).where(eq(providerRefunds.id, refundId));
  if (refund === undefined) throw new TerminalError("REFUND_UNKNOWN", `The payment provider knows no refund ${refundId}.`);
  if (refund.failedAt !== null) return refund;
  const capture = await lockCapture(tx, refund.pcrId, refund.pspReference);
  await tx
    .update(providerRefunds)
    .set({ failedAt: new Date(now) })
    .where(eq(providerRefunds.id, refundId));
  await moveRefunded(tx, capture, -refund.amount, now);
  return refund;
}

async function lockCapture(tx: Orm, pcrId: string, pspReference: string): Promise<CaptureRow> {
  const at = and(eq(providerCaptures.pcrId, pcrId), eq(providerCaptures.pspReference, pspReference));
  const [capture] = await tx.select().from(providerCaptures).where(at).for("update");
  if (capture !== undefined) return capture;
  throw new TerminalError("CAPTURE_UNKNOWN", `The payment provider knows no capture ${pspReference} of ${pcrId}.`);
}

function answerOf(refund: RefundRow, { key, pcrId, pspReference }: RefundRequest): ProviderRefund {
  if (refund.pcrId !== pcrId || refund.pspReference !== pspReference) {
    throw new TerminalError("PROVIDER_KEY_REUSED", `The key ${key} was used for another refund.`);
  }
  return { refundId: refund.id, status: refund.failedAt === null ? "accepted" : "failed" };
}

async function moveRefunded(tx: Orm, { pcrId, pspReference, chargeId }: CaptureRow, by: number, now: number): Promise<void> {
  await tx
    .update(providerCaptures)
    .set({ refundedAmount: sql`${providerCaptures.refundedAmount} + ${by}` })
    .where(and(eq(providerCaptures.pcrId, pcrId), eq(providerCaptures.pspReference, pspReference)));
  // Announced before its charge was created: there is no charge to book it on yet.
  if (chargeId === null) return;
  await tx
    .update(providerCharges)
    .set({ refundedAmount: sql`${providerCharges.refundedAmount} + ${by}`, movedAt: new Date(now) })
    .where(eq(providerCharges.id, chargeId));
}

async function scheduleFailure(tx: Orm, charge: ChargeRow, refundId: string, at: number): Promise<void> {
  const due = new Date(at);
  await tx.insert(providerSends).values({
    id: `${refundId}:failed`,
    contextId: charge.contextId,
    chargeId: charge.id,
    type: "payment_refund_failed",
    refundId,
    isLate: false,
    occursAt: due,
    sendAt: due,
  });
}
