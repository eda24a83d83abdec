/**
 * The simulator's books. What changes a charge runs in a transaction that holds the charge's row lock,
 * so that of a confirmation, a cancellation and an event exactly one comes first.
 */
import { and, asc, desc, eq, inArray, isNull, sql } from "drizzle-orm";
import type { Capture, NextAction } from "../machines/context.ts";
import { TerminalError } from "../machines/errors.ts";
import type { Orm } from "../persistence/connect.ts";
import { providerCaptures, providerCharges, providerSends, type ChargeStatus } from "../persistence/order-schema.ts";
import type { Charge, ChargeCapture, ChargeRequest } from "./payment-provider.ts";
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

/** Every look at a charge goes through here, so nobody decides on one whose money was announced before it was created. */
export async function lockCharge(tx: Orm, chargeId: string): Promise<ChargeRow> {
  const [row] = await tx.select().from(providerCharges).where(eq(providerCharges.id, chargeId)).for("update");
  return takeOver(tx, row ?? unknownCharge(chargeId));
}

/** The latest first. */
export async function lockChargesOf(tx: Orm, pcrId: string): Promise<readonly ChargeRow[]> {
  return tx
    .select()
    .from(providerCharges)
    .where(eq(providerCharges.pcrId, pcrId))
    .orderBy(desc(providerCharges.createdAt), desc(providerCharges.id))
    .for("update");
}

/** Money that was announced for the payment requirement before it had a charge becomes this charge's. */
export async function takeOver(tx: Orm, charge: ChargeRow): Promise<ChargeRow> {
  const early = await tx
    .update(providerCaptures)
    .set({ chargeId: charge.id, contextId: charge.contextId })
    .where(and(eq(providerCaptures.pcrId, charge.pcrId), isNull(providerCaptures.chargeId)))
    .returning();
  if (early.length === 0) return charge;
  const total = (of: (capture: (typeof early)[number]) => number) => early.reduce((sum, capture) => sum + of(capture), 0);
  const captured = charge.capturedAmount + total(({ amount }) => amount);
  const [row] = await tx
    .update(providerCharges)
    .set({
      status: "captured",
      nextAction: null,
      authorisedAmount: Math.max(charge.authorisedAmount, captured),
      capturedAmount: captured,
      refundedAmount: charge.refundedAmount + total(({ refundedAmount }) => refundedAmount),
      movedAt: new Date(Math.max(...early.map(({ capturedAt }) => capturedAt.getTime()))),
    })
    .where(eq(providerCharges.id, charge.id))
    .returning();
  return row ?? unknownCharge(charge.id);
}

export async function chargeOf(orm: Orm, row: ChargeRow, now: number): Promise<Charge> {
  const [charge] = await chargesOf(orm, [row], now);
  return charge ?? unknownCharge(row.id);
}

/** In the order of the rows. */
export async function chargesOf(orm: Orm, rows: readonly ChargeRow[], now: number): Promise<readonly Charge[]> {
  const captured = rows.filter(({ status }) => status === "captured").map(({ id }) => id);
  const captures = new Map<string | null, ChargeCapture[]>(captured.map((id) => [id, []]));
  for (const { chargeId, pspReference, amount, currency, refundedAmount } of await capturesOf(orm, captured)) {
    captures.get(chargeId)?.push({ pspReference, amount, currency, refundedAmount });
  }
  return rows.map((row) => ({
    chargeId: row.id,
    status: row.status === "requires_action" && row.expiresAt.getTime() <= now ? "expired" : row.status,
    nextAction: row.nextAction,
    declineCode: row.declineCode,
    captures: captures.get(row.id) ?? [],
  }));
}

async function capturesOf(orm: Orm, chargeIds: readonly string[]) {
  if (chargeIds.length === 0) return [];
  return orm
    .select()
    .from(providerCaptures)
    .where(inArray(providerCaptures.chargeId, [...chargeIds]))
    .orderBy(asc(providerCaptures.capturedAt), asc(providerCaptures.pspReference));
}

export async function hasCapture(tx: Orm, charge: ChargeRow, pspReference: string): Promise<boolean> {
  return (await capturesOf(tx, [charge.id])).some((capture) => capture.pspReference === pspReference);
}

/** Money comes in, once per reference: `at` says when it was taken, `now` when the books heard of it. */
export async function addCapture(
  tx: Orm,
  charge: ChargeRow,
  capture: Capture,
  { at, now }: { readonly at: number; readonly now: number },
): Promise<void> {
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
      movedAt: new Date(now),
    })
    .where(eq(providerCharges.id, charge.id));
}

/** Money comes in for a payment requirement that has no charge yet; the first look at one takes it over. */
export async function addEarlyCapture(tx: Orm, pcrId: string, capture: Capture, now: number): Promise<void> {
  const { pspReference, amount, currency } = capture;
  await tx
    .insert(providerCaptures)
    .values({ pcrId, pspReference, amount, currency, capturedAt: new Date(now) })
    .onConflictDoNothing();
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
