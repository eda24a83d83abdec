/**
 * What we know of payments, on our own tables. Every transaction here locks the PCR's row first: it is
 * what a reversal and a delayed original meet on.
 */
import { and, asc, eq, gt, lt, sql } from "drizzle-orm";
import type { Capture, PaymentOutcome } from "../machines/context.ts";
import { TerminalError } from "../machines/errors.ts";
import type { Database, Orm } from "../persistence/connect.ts";
import {
  paymentAttempts,
  paymentCaptures,
  paymentCollectionRequirements as pcrs,
  type AttemptStatus,
} from "../persistence/order-schema.ts";
import type { Ids } from "../steps/ports.ts";
import type { Call, PaymentRequest } from "../steps/services.ts";

export type PcrRow = typeof pcrs.$inferSelect;
export type AttemptRow = typeof paymentAttempts.$inferSelect;

export interface OpenedAttempt {
  readonly pcrId: string;
  readonly attemptId: string;
}

export class PaymentRecords {
  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
  ) {}

  /** Within the effect's transaction. */
  async openRequest(tx: Orm, call: Call & PaymentRequest): Promise<OpenedAttempt> {
    const pcrId = this.ids.next("pcr");
    const opened = await tx
      .insert(pcrs)
      .values({
        id: pcrId,
        contextId: call.executionContextId,
        payerId: call.payerId,
        checkoutOrderId: call.checkoutOrderId,
        amount: call.amount,
        currency: call.currency,
        dueAt: new Date(call.dueAt),
      })
      .onConflictDoNothing()
      .returning({ id: pcrs.id });
    // Two PCRs of one checkout would be two charges.
    if (opened.length === 0) {
      throw new TerminalError("PCR_EXISTS", `${call.executionContextId} already has a payment request under another key.`);
    }
    return this.#insertAttempt(tx, call, pcrId);
  }

  /** Within the effect's transaction. The lock decides between a new attempt and a reversal that begins. */
  async openAttempt(tx: Orm, call: Call & PaymentRequest & { readonly pcrId: string }): Promise<OpenedAttempt> {
    const pcr = await lockPcr(tx, call.pcrId);
    if (pcr.reversedAt !== null) throw reversed(pcr.id);
    return this.#insertAttempt(tx, call, pcr.id);
  }

  async #insertAttempt(tx: Orm, call: Call & PaymentRequest, pcrId: string): Promise<OpenedAttempt> {
    const attemptId = this.ids.next("att");
    await tx.insert(paymentAttempts).values({
      id: attemptId,
      pcrId,
      contextId: call.executionContextId,
      round: call.round,
      key: call.key,
      method: call.method,
      instrumentId: call.instrumentId,
      returnUrl: call.returnUrl ?? null,
    });
    return { pcrId, attemptId };
  }

  /** Within the undo's transaction: from here on nothing is opened. */
  async markReversed(tx: Orm, executionContextId: string): Promise<void> {
    await tx
      .update(pcrs)
      .set({ reversedAt: sql`coalesce(${pcrs.reversedAt}, now())` })
      .where(eq(pcrs.contextId, executionContextId));
  }

  async attempt(attemptId: string): Promise<{ readonly pcr: PcrRow; readonly attempt: AttemptRow }> {
    const [row] = await this.database.orm
      .select({ pcr: pcrs, attempt: paymentAttempts })
      .from(paymentAttempts)
      .innerJoin(pcrs, eq(pcrs.id, paymentAttempts.pcrId))
      .where(eq(paymentAttempts.id, attemptId));
    if (row === undefined) throw new TerminalError("ATTEMPT_UNKNOWN", `There is no payment attempt ${attemptId}.`);
    return row;
  }

  async hasAttempt(key: string): Promise<boolean> {
    const rows = await this.database.orm
      .select({ id: paymentAttempts.id })
      .from(paymentAttempts)
      .where(eq(paymentAttempts.key, key));
    return rows.length > 0;
  }

  async pcr(pcrId: string, executionContextId: string): Promise<PcrRow> {
    const [row] = await this.database.orm
      .select()
      .from(pcrs)
      .where(and(eq(pcrs.id, pcrId), eq(pcrs.contextId, executionContextId)));
    if (row === undefined) throw pcrUnknown(pcrId);
    return row;
  }

  async pcrOf(executionContextId: string): Promise<PcrRow | null> {
    const [row] = await this.database.orm.select().from(pcrs).where(eq(pcrs.contextId, executionContextId));
    return row ?? null;
  }

  /** In the order in which they were made. */
  async attempts(pcrId: string, beforeRound = Number.MAX_SAFE_INTEGER): Promise<readonly AttemptRow[]> {
    const ofPcr = eq(paymentAttempts.pcrId, pcrId);
    return this.database.orm
      .select()
      .from(paymentAttempts)
      .where(beforeRound === Number.MAX_SAFE_INTEGER ? ofPcr : and(ofPcr, lt(paymentAttempts.round, beforeRound)))
      .orderBy(asc(paymentAttempts.round));
  }

  /** What was captured and not given back, as far as we have recorded it. */
  async heldCaptures(pcrId: string): Promise<readonly Capture[]> {
    const { pspReference, amount, currency, refundedAmount } = paymentCaptures;
    return this.database.orm
      .select({ pspReference, amount, currency })
      .from(paymentCaptures)
      .where(and(eq(paymentCaptures.pcrId, pcrId), gt(amount, refundedAmount)))
      .orderBy(asc(pspReference));
  }

  /** Before the charge is confirmed: the provider may forget a key, but not a charge. */
  async recordCharge(attemptId: string, chargeId: string): Promise<void> {
    await this.database.orm.update(paymentAttempts).set({ chargeId }).where(eq(paymentAttempts.id, attemptId));
  }

  /**
   * The first recorded outcome stays what every repetition is told. Refused once a reversal has begun,
   * whatever the provider said meanwhile: the reversal looks at the provider, not at us.
   */
  async recordOutcome(attempt: AttemptRow, status: AttemptStatus, outcome: PaymentOutcome): Promise<PaymentOutcome> {
    const told = await this.database.transaction(async (tx) => {
      const pcr = await lockPcr(tx, attempt.pcrId);
      if (outcome.kind === "captured") await rememberCapture(tx, pcr, outcome);
      const [row] = await tx
        .update(paymentAttempts)
        .set({
          outcome: sql`coalesce(${paymentAttempts.outcome}, ${JSON.stringify(outcome)}::text::jsonb)`,
          status,
          updatedAt: sql`now()`,
        })
        .where(eq(paymentAttempts.id, attempt.id))
        .returning({ outcome: paymentAttempts.outcome });
      return pcr.reversedAt === null ? (row?.outcome ?? outcome) : null;
    });
    if (told === null) throw reversed(attempt.pcrId);
    return told;
  }

  /** What a cancellation at the provider came to. */
  async recordClosed(attempt: AttemptRow, status: AttemptStatus, captures: readonly Capture[]): Promise<void> {
    const isNews = attempt.status !== status || captures.length > 0;
    if (!isNews) return;
    await this.database.transaction(async (tx) => {
      const pcr = await lockPcr(tx, attempt.pcrId);
      for (const capture of captures) await rememberCapture(tx, pcr, capture);
      if (attempt.status === status) return;
      await tx
        .update(paymentAttempts)
        .set({ status, updatedAt: sql`now()` })
        .where(eq(paymentAttempts.id, attempt.id));
    });
  }
}

/** What a refund, an attempt and a reversal of one payment requirement meet on. */
export async function lockPcr(tx: Orm, pcrId: string): Promise<PcrRow> {
  const [pcr] = await tx.select().from(pcrs).where(eq(pcrs.id, pcrId)).for("update");
  if (pcr === undefined) throw pcrUnknown(pcrId);
  return pcr;
}

export async function rememberCapture(tx: Orm, pcr: PcrRow, capture: Capture): Promise<void> {
  const { pspReference, amount, currency } = capture;
  const fresh = await tx
    .insert(paymentCaptures)
    .values({ pcrId: pcr.id, contextId: pcr.contextId, pspReference, amount, currency })
    .onConflictDoNothing()
    .returning({ pspReference: paymentCaptures.pspReference });
  if (fresh.length === 0) return;
  await tx
    .update(pcrs)
    .set({ capturedAmount: sql`${pcrs.capturedAmount} + ${amount}` })
    .where(eq(pcrs.id, pcr.id));
}

export function reversed(pcrId: string): TerminalError {
  return new TerminalError("UNDONE", `The payment request ${pcrId} was reversed and takes no attempt any more.`);
}

function pcrUnknown(pcrId: string): TerminalError {
  return new TerminalError("PCR_UNKNOWN", `There is no payment request ${pcrId} of this checkout.`);
}
