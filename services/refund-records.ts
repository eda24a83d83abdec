/** What we know of refunds, on our own tables. As in payment-records.ts, every transaction locks the PCR's row first. */
import { and, asc, eq, isNull, sql } from "drizzle-orm";
import type { OwedRefund, Refund } from "../machines/context.ts";
import { InvariantError } from "../machines/errors.ts";
import { owedFor } from "../machines/payment.ts";
import type { Database, Orm } from "../persistence/connect.ts";
import { paymentCaptures, paymentCollectionRequirements as pcrs, paymentRefunds } from "../persistence/order-schema.ts";
import type { Ids } from "../steps/ports.ts";
import { lockPcr, rememberCapture } from "./payment-records.ts";

type RefundRow = typeof paymentRefunds.$inferSelect;

export interface BegunRefund {
  readonly refund: Refund;
  /** begun: perhaps made, its answer lost. failed: a later round took its place and was not accepted yet. */
  readonly status: "begun" | "accepted" | "failed";
}

export class RefundRecords {
  constructor(
    private readonly database: Database,
    private readonly ids: Ids,
  ) {}

  /**
   * The intent, durable before the provider is asked. Answers the refund under this key, whoever began it. Of one
   * capture only the highest round stands: those before it are given up, and what they had counted as given back is
   * taken out again, so that this one can count it.
   */
  async begin(key: string, pcrId: string, owed: OwedRefund): Promise<BegunRefund> {
    const id = this.ids.next("rfd");
    return this.database.transaction(async (tx) => {
      const pcr = await lockPcr(tx, pcrId);
      await rememberCapture(tx, pcr, owed);
      const { pspReference, amount, currency, reason, round } = owed;
      await tx
        .insert(paymentRefunds)
        .values({ key, id, pcrId, contextId: pcr.contextId, pspReference, amount, currency, reason, round })
        .onConflictDoNothing();
      const begun = await giveUpEarlierRounds(tx, pcrId, pspReference);
      const mine = begun.find((row) => row.key === key);
      if (mine === undefined) throw new InvariantError(`The key ${key} belongs to the refund of another capture.`);
      // A later round that was accepted answers for those before it.
      const standing = begun.find((row) => statusOf(row) === "accepted");
      return begunRefundOf(mine.failedAt === null ? mine : (standing ?? mine));
    });
  }

  /** Counts the money once, however often the acceptance is reported, and not at all once a later round stands. */
  async accept(key: string, pcrId: string, refund: Refund, providerRefundId: string | null): Promise<void> {
    await this.database.transaction(async (tx) => {
      await lockPcr(tx, pcrId);
      const { acceptedAt, failedAt } = paymentRefunds;
      const accepted = await tx
        .update(paymentRefunds)
        .set({ acceptedAt: sql`now()`, providerRefundId })
        .where(and(eq(paymentRefunds.key, key), isNull(acceptedAt), isNull(failedAt)))
        .returning({ key: paymentRefunds.key });
      if (accepted.length > 0) await countRefunded(tx, pcrId, refund.pspReference, refund.amount);
    });
  }

  /** The highest round of each capture, in the order in which they were begun. */
  async standing(pcrId: string): Promise<readonly BegunRefund[]> {
    const rows = await this.database.orm
      .select()
      .from(paymentRefunds)
      .where(and(eq(paymentRefunds.pcrId, pcrId), isNull(paymentRefunds.failedAt)))
      .orderBy(asc(paymentRefunds.createdAt), asc(paymentRefunds.id));
    return rows.map(begunRefundOf);
  }
}

/** The capture's rounds as they stand afterwards. */
async function giveUpEarlierRounds(tx: Orm, pcrId: string, pspReference: string): Promise<readonly RefundRow[]> {
  const ofCapture = and(eq(paymentRefunds.pcrId, pcrId), eq(paymentRefunds.pspReference, pspReference));
  const rounds = await tx.select().from(paymentRefunds).where(ofCapture);
  const highest = Math.max(...rounds.map(({ round }) => round));
  const outdated = rounds.filter(({ round, failedAt }) => round < highest && failedAt === null);
  if (outdated.length === 0) return rounds;
  for (const { key, amount, acceptedAt } of outdated) {
    await tx
      .update(paymentRefunds)
      .set({ failedAt: sql`now()` })
      .where(eq(paymentRefunds.key, key));
    if (acceptedAt !== null) await countRefunded(tx, pcrId, pspReference, -amount);
  }
  return tx.select().from(paymentRefunds).where(ofCapture);
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

function begunRefundOf(row: RefundRow): BegunRefund {
  const { id, providerRefundId, pspReference, amount, currency, reason, round } = row;
  const owed = { ...owedFor({ pspReference, amount, currency }, reason), round };
  return { refund: { ...owed, refundId: id, providerRefundId }, status: statusOf(row) };
}

function statusOf({ acceptedAt, failedAt }: RefundRow): BegunRefund["status"] {
  if (failedAt !== null) return "failed";
  return acceptedAt === null ? "begun" : "accepted";
}
