/**
 * The simulator's books. What changes a charge runs in a transaction that holds the charge's row lock,
 * so that of a confirmation, a cancellation and an event exactly one comes first.
 */
import { and, asc, eq, isNull, sql } from "drizzle-orm";
import type { Capture, NextAction } from "../machines/context.ts";
import { TerminalError } from "../machines/errors.ts";
import type { Orm } from "../persistence/connect.ts";
import { providerCaptures, providerCharges, providerSends, type ChargeStatus } from "../persistence/order-schema.ts";
import type { Charge, ChargeRequest } from "./payment-provider.ts";
import type { PlannedSend } from "./simulator-instruments.ts";

export type ChargeRow = typeof providerCharges.$inferSelect;
export type SendRow = typeof providerSends.$inferSelect;

/** Inserted, or found under its key: then it must be the same request. */
export async function insertCharge(orm: Orm, id: string, request: ChargeRequest): Promise<ChargeRow> {
  const { key, executionContextId, pcrId, attemptId, instrumentId, amount, currency } = request;
  const [inserted] = await orm
    .insert(providerCharges)
    .values({
      id,
      key,
      contextId: executionContextId,
      pcrId,
      attemptId,
      instrumentId,
      amount,
      currency,
      expiresAt: new Date(request.expiresAt),
      status: "created",
    })
    .onConflictDoNothing()
    .returning();
  if (inserted !== undefined) return inserted;
  const [known] = await orm.select().from(providerCharges).where(eq(providerCharges.key, key));
  if (known === undefined || known.amount !== amount || known.currency !== currency || known.instrumentId !== instrumentId) {
    throw new TerminalError("PROVIDER_KEY_REUSED", `The key ${key} was used for another charge.`);
  }
  return known;
}

export async function lockCharge(tx: Orm, chargeId: string): Promise<ChargeRow> {
  const [row] = await tx.select().from(providerCharges).where(eq(providerCharges.id, chargeId)).for("update");
  return row ?? unknownCharge(chargeId);
}

export async function chargeOf(orm: Orm, row: ChargeRow, now: number): Promise<Charge> {
  const captures = row.status === "created" ? [] : await capturesOf(orm, row.id);
  const isExpired = row.status === "requires_action" && row.expiresAt.getTime() <= now;
  return {
    chargeId: row.id,
    status: isExpired ? "expired" : row.status,
    nextAction: row.nextAction,
    declineCode: row.declineCode,
    captures: captures.map(({ pspReference, amount, currency, refundedAmount }) => ({
      pspReference,
      amount,
      currency,
      refundedAmount,
    })),
  };
}

async function capturesOf(orm: Orm, chargeId: string) {
  return orm
    .select()
    .from(providerCaptures)
    .where(eq(providerCaptures.chargeId, chargeId))
    .orderBy(asc(providerCaptures.capturedAt), asc(providerCaptures.pspReference));
}

export async function hasCapture(tx: Orm, charge: ChargeRow, pspReference: string): Promise<boolean> {
  return (await capturesOf(tx, charge.id)).some((capture) => capture.pspReference === pspReference);
}

/** Money comes in, once per reference. */
export async function addCapture(tx: Orm, charge: ChargeRow, capture: Capture, at: number): Promise<void> {
  const { pspReference, amount, currency } = capture;
  const fresh = await tx
    .insert(providerCaptures)
    .values({
      pcrId: charge.pcrId,
      pspReference,
      chargeId: charge.id,
      contextId: charge.contextId,
      amount,
      currency,
      capturedAt: new Date(at),
    })
    .onConflictDoNothing()
    .returning({ pspReference: providerCaptures.pspReference });
  if (fresh.length === 0) return;
  await tx
    .update(providerCharges)
    .set({
      status: "captured",
      nextAction: null,
      authorisedAmount: sql`greatest(${providerCharges.authorisedAmount}, ${providerCharges.capturedAmount} + ${amount})`,
      capturedAmount: sql`${providerCharges.capturedAmount} + ${amount}`,
    })
    .where(eq(providerCharges.id, charge.id));
}

export async function setStatus(
  tx: Orm,
  chargeId: string,
  status: ChargeStatus,
  columns: { readonly declineCode?: string; readonly nextAction?: NextAction | null; readonly authorisedAmount?: number },
): Promise<void> {
  await tx
    .update(providerCharges)
    .set({ status, ...columns })
    .where(eq(providerCharges.id, chargeId));
}

/** Gives back all that is still held of a capture; a second time it answers the same refund. */
export async function giveBack(
  tx: Orm,
  refund: { readonly id: string; readonly key: string; readonly pcrId: string; readonly pspReference: string },
): Promise<string> {
  const at = and(eq(providerCaptures.pcrId, refund.pcrId), eq(providerCaptures.pspReference, refund.pspReference));
  const [capture] = await tx.select().from(providerCaptures).where(at).for("update");
  if (capture === undefined) {
    throw new TerminalError(
      "CAPTURE_UNKNOWN",
      `The payment provider knows no capture ${refund.pspReference} of ${refund.pcrId}.`,
    );
  }
  if (capture.refundId !== null) return capture.refundId;
  const held = capture.amount - capture.refundedAmount;
  await tx.update(providerCaptures).set({ refundedAmount: capture.amount, refundId: refund.id, refundKey: refund.key }).where(at);
  await tx
    .update(providerCharges)
    .set({ refundedAmount: sql`${providerCharges.refundedAmount} + ${held}` })
    .where(eq(providerCharges.id, capture.chargeId));
  return refund.id;
}

export async function scheduleSends(tx: Orm, charge: ChargeRow, sends: readonly PlannedSend[], now: number): Promise<void> {
  if (sends.length === 0) return;
  const rows = sends.map((send, index) => {
    const from = send.after === "end" ? charge.expiresAt.getTime() : now;
    const at = new Date(from + send.delayMs);
    const isLate = send.after === "end";
    const id = `${charge.id}:${index + 1}`;
    return { id, contextId: charge.contextId, chargeId: charge.id, type: send.type, isLate, occursAt: at, sendAt: at };
  });
  await tx.insert(providerSends).values(rows);
}

/** After a cancellation: what would have followed never happens, but for the late success, which follows this end. */
export async function endSends(tx: Orm, chargeId: string, now: number, lateDelayMs: number): Promise<void> {
  const pending = and(eq(providerSends.chargeId, chargeId), isNull(providerSends.closedAt), eq(providerSends.tries, 0));
  const late = new Date(now + lateDelayMs);
  await tx
    .update(providerSends)
    .set({ occursAt: late, sendAt: late })
    .where(and(pending, eq(providerSends.isLate, true)));
  await tx
    .update(providerSends)
    .set({ closedAt: new Date(now) })
    .where(and(pending, eq(providerSends.isLate, false)));
}

function unknownCharge(chargeId: string): never {
  throw new TerminalError("CHARGE_UNKNOWN", `The payment provider knows no charge ${chargeId}.`);
}
