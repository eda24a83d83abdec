import type { Capture, OwedRefund, Refund } from "../machines/context.ts";
import { TransientError } from "../machines/errors.ts";
import { refundKey } from "../machines/keys.ts";
import { owedFor } from "../machines/payment.ts";
import type { PaymentProvider, ProviderRefund } from "./payment-provider.ts";
import type { PcrRow } from "./payment-records.ts";
import type { RefundRecords, StandingRefund } from "./refund-records.ts";

/** Of each call: the round that stands, and the next one if that failed. What fails at once waits for the next try. */
const ROUNDS_PER_CALL_MAX = 2;

/** Gives captures back, each under the key of its round: a refund that was accepted and failed later is made anew. */
export class PaymentRefunds {
  constructor(
    private readonly provider: PaymentProvider,
    private readonly records: RefundRecords,
  ) {}

  /**
   * Resolves when the provider has accepted it. The provider is asked under the key of the highest round that we know
   * of, also when that was accepted before: if it stands nothing moves, and if it failed unheard the next round is due
   * at once, whether or not an event tells us. What the provider told us that it failed and still calls accepted is not
   * given back: then it is asked again later.
   */
  async giveBack(pcr: PcrRow, owed: OwedRefund, signal: AbortSignal | undefined): Promise<Refund> {
    const failedRefundIds: string[] = [];
    let due = owed;
    while (failedRefundIds.length < ROUNDS_PER_CALL_MAX) {
      signal?.throwIfAborted();
      const refund = await this.records.begin(pcr.id, due);
      const answer = refund.amount === 0 ? null : await this.#ask(pcr, refund, signal);
      if (answer?.status !== "failed") {
        if (answer !== null && owed.failedRefundIds.includes(answer.refundId)) break;
        const made = { ...refund, providerRefundId: answer?.refundId ?? null, failedRefundIds };
        await this.records.accept(pcr, made);
        return made;
      }
      failedRefundIds.push(answer.refundId);
      due = { ...refund, round: refund.round + 1 };
    }
    throw new TransientError("REFUND_FAILED", `The bank sent every refund of ${owed.pspReference} back. Try it again later.`);
  }

  /** The refund that counts for each capture. */
  standing(pcr: PcrRow): Promise<readonly StandingRefund[]> {
    return this.records.standing(pcr.id);
  }

  #ask(pcr: PcrRow, { pspReference, round }: Refund, signal: AbortSignal | undefined): Promise<ProviderRefund> {
    const request = { key: refundKey(pcr.contextId, pspReference, round), pcrId: pcr.id, pspReference };
    return this.provider.refund(signal === undefined ? request : { ...request, signal });
  }
}

/**
 * What a reversal has to ask the provider for, each capture once, in the words of whom it is owed to, then of our
 * records; what the provider shows as held and nobody told us of is round 1. What is held or owed although our records
 * call it accepted may have been sent back unheard. What is no longer held is asked for as well: a refund whose answer
 * was lost must still become known, and the provider's reads may lag behind the event that says what is owed.
 */
export function refundsDue(
  held: readonly Capture[],
  owed: readonly OwedRefund[],
  standing: readonly StandingRefund[],
): readonly OwedRefund[] {
  const found = held.map((capture) => owedFor(capture, "ROLLBACK"));
  const unanswered = standing.filter(({ isAccepted }) => !isAccepted).map(({ refund }) => refund);
  const due = new Map([...found, ...unanswered, ...owed].map((one) => [one.pspReference, one]));
  return [...due.values()].filter(({ amount }) => amount > 0);
}
