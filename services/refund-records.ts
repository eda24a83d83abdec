/** What we know of refunds, on our own tables. As in payment-records.ts, every transaction locks the PCR's row first. */
import { and, asc, eq, isNull, sql } from "drizzle-orm";
import type { OwedRefund, Refund } from "../machines/context.ts";
import { InvariantError } from "../machines/errors.ts";
import { refundKey } from "../machines/keys.ts";
import { owedFor } from "../machines/payment.ts";
import type { Database, Orm } from "../persistence/connect.ts";
import { paymentCaptures, paymentCollectionRequirements as pcrs, paymentRefunds } from "../persistence/order-schema.ts";
import type { Ids } from "../steps/ports.ts";
import { lockPcr, rememberCapture, type PcrRow } from "./payment-records.ts";

type RefundRow = typeof paymentRefunds.$inferSelect;

export interface StandingRefund {
  readonly refund: Refund;
  /** False: perhaps made, its answer lost. */
  readonly isAccepted: boolean;
}

export class RefundRecords {
  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
  ) {}

  /**
   * The intent, durable before the provider is asked. Of one capture only the highest round stands: it is the answer,
   * whoever began it and whichever round is owed. A higher one than that is begun; the round before it is given up, and
   * what that had counted as given back is taken out again, so that this one can count it.
   */
  async begin(pcrId: string, owed: OwedRefund): Promise<Refund> {
    const id = this.ids.next("rfd");
    return this.database.transaction(async (tx) => {
      const pcr = await lockPcr(tx, pcrId);
      await rememberCapture(tx, pcr, owed);
      const { pspReference, amount, currency, reason, round } = owed;
      const [standing] = await tx
        .select()
        .from(paymentRefunds)
        .where(
          and(eq(paymentRefunds.pcrId, pcrId), eq(paymentRefunds.pspReference, pspReference), isNull(paymentRefunds.failedAt)),
        );
      if (standing !== undefined && standing.round >= round) return refundOf(standing);
      if (standing !== undefined) await giveUp(tx, standing);
      const { contextId } = pcr;
      const key = refundKey(contextId, pspReference, round);
      const [begun] = await tx
        .insert(paymentRefunds)
        .values({ key, id, pcrId, contextId, pspReference, amount, currency, reason, round })
        .returning();
      if (begun === undefined) throw new InvariantError(`The refund ${key} was written and is not there.`);
      return refundOf(begun);
    });
  }

  /**
   * Counts the money once, however often the acceptance is reported, and not at all once a later round stands. The
   * provider's id is the last one that it named: under this key it may have pointed to an earlier refund that failed since.
   */
  async accept(pcr: PcrRow, { pspReference, round, amount, providerRefundId }: Refund): Promise<void> {
    await this.database.transaction(async (tx) => {
      await lockPcr(tx, pcr.id);
      const { key, acceptedAt, failedAt } = paymentRefunds;
      const mine = and(eq(key, refundKey(pcr.contextId, pspReference, round)), isNull(failedAt));
      const accepted = await tx
        .update(paymentRefunds)
        .set({ acceptedAt: sql`now()`, providerRefundId })
        .where(and(mine, isNull(acceptedAt)))
        .returning({ key });
      if (accepted.length > 0) return countRefunded(tx, pcr.id, pspReference, amount);
      await tx
        .update(paymentRefunds)
        .set({ providerRefundId })
        .where(and(mine, sql`${paymentRefunds.providerRefundId} is distinct from ${providerRefundId}`));
    });
  }

  /** The highest round of each capture, in the order in which they were begun. */
  async standing(pcrId: string): Promise<readonly StandingRefund[]> {
    const rows = await this.database.orm
      .select()
      .from(paymentRefunds)
      .where(and(eq(paymentRefunds.pcrId, pcrId), isNull(paymentRefunds.failedAt)))
      .orderBy(asc(paymentRefunds.createdAt), asc(paymentRefunds.id));
    return rows.map((row) => ({ refund: refundOf(row), isAccepted: row.acceptedAt !== null }));
  }
}

async function giveUp(tx: Orm, { key, pcrId, pspReference, amount, acceptedAt }: RefundRow): Promise<void> {
  await tx
    .update(paymentRefunds)
    .set({ failedAt: sql`now()` })
    .where(eq(paymentRefunds.key, key));
  if (acceptedAt !== null) await countRefunded(tx, pcrId, pspReference, -amount);
}

async function countRefunded(tx: Orm, pcrId: string, pspReference: string, by: number): Promise<void> {
  await tx
    .update(paymentCaptures)
    .set({ refundedAmount: sql`${paymentCaptures.refundedAmount} + ${by}` })
    .where(and(eq(paymentCaptures.pcrId, pcrId), eq(paymentCaptures.pspReference, pspReference)));
  await tx
    .update(pcrs)
    .set({ refundedAmount: sql`${pcrs.refundedAmount} + ${by}` })
    .where(eq(pcrs.id, pcrId));
}

function refundOf({ id, providerRefundId, pspReference, amount, currency, reason, round }: RefundRow): Refund {
  return { ...owedFor({ pspReference, amount, currency }, reason), round, refundId: id, providerRefundId };
}
