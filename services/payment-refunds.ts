import type { Capture, OwedRefund, Refund } from "../machines/context.ts";
import { TransientError } from "../machines/errors.ts";
import { refundKey } from "../machines/keys.ts";
import { owedFor } from "../machines/payment.ts";
import type { PaymentProvider, ProviderRefund } from "./payment-provider.ts";
import type { PcrRow } from "./payment-records.ts";
import type { BegunRefund, RefundRecords } from "./refund-records.ts";

/** Gives captures back, each under the key of its round: a refund that was accepted and failed later is made anew. */
export class PaymentRefunds {
  constructor(
    private readonly provider: PaymentProvider,
    private readonly records: RefundRecords,
  ) {}

  /**
   * Resolves when the provider has accepted it. A round that a later, accepted one replaced answers with that one and
   * moves nothing. The provider may answer that the refund of this very key failed since, because its acceptance was
   * never heard: then the next round is due at once, whether or not an event tells us. What it told us that it failed
   * and still calls accepted is not given back: then it is asked again later.
   */
  async giveBack(pcr: PcrRow, owed: OwedRefund, signal: AbortSignal | undefined): Promise<Refund> {
    const failedRefundIds: string[] = [];
    for (let round = owed.round; failedRefundIds.length < FAILURES_MAX; round++) {
      const key = refundKey(pcr.contextId, owed.pspReference, round);
      const { refund, status } = await this.records.begin(key, pcr.id, { ...owed, round });
      if (status === "accepted" && !hasFailed(owed, refund)) return { ...refund, failedRefundIds };
      if (status !== "begun") continue;
      signal?.throwIfAborted();
      const answer = refund.amount === 0 ? null : await this.#ask(pcr, key, refund, signal);
      if (answer?.status !== "failed") {
        const made = { ...refund, providerRefundId: answer?.refundId ?? null, failedRefundIds };
        if (hasFailed(owed, made)) break;
        await this.records.accept(key, pcr.id, refund, made.providerRefundId);
        return made;
      }
      failedRefundIds.push(answer.refundId);
    }
    throw new TransientError("REFUND_FAILED", `The bank sent every refund of ${owed.pspReference} back. Try it again later.`);
  }

  /** The refund that counts for each capture. */
  standing(pcr: PcrRow): Promise<readonly BegunRefund[]> {
    return this.records.standing(pcr.id);
  }

  #ask(pcr: PcrRow, key: string, { pspReference }: Refund, signal: AbortSignal | undefined): Promise<ProviderRefund> {
    const request = { key, pcrId: pcr.id, pspReference };
    return this.provider.refund(signal === undefined ? request : { ...request, signal });
  }
}

/** Refunds under new keys within one call that the provider says failed already; the next call goes on from there. */
const FAILURES_MAX = 5;

/**
 * What is still to be given back, each capture once, by the word of whom it is owed to, then of our records; what the
 * provider shows as held and nobody told us of is round 1. Also what the provider no longer shows as held: a refund
 * whose answer was lost must still become known, and an owed capture is one that an event which we believed told of.
 */
export function refundsDue(
  held: readonly Capture[],
  owed: readonly OwedRefund[],
  standing: readonly BegunRefund[],
): readonly OwedRefund[] {
  const accepted = standing.filter(({ status }) => status === "accepted").map(({ refund }) => refund);
  const made = new Map(accepted.map((refund) => [refund.pspReference, refund]));
  const found = held.map((capture) => owedFor(capture, "ROLLBACK"));
  const heardOf = [...found, ...standing.map(({ refund }) => refund), ...owed];
  const due = new Map(heardOf.map((one) => [one.pspReference, one]));
  return [...due.values()].filter((one) => {
    const refund = made.get(one.pspReference);
    return one.amount > 0 && (refund === undefined || one.round > refund.round || hasFailed(one, refund));
  });
}

/** Whoever it is owed to was told so, by the provider itself. */
function hasFailed({ failedRefundIds }: OwedRefund, { providerRefundId }: Refund): boolean {
  return providerRefundId !== null && failedRefundIds.includes(providerRefundId);
}
