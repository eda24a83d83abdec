/** What the provider really holds of one checkout on a journey: its replies are true, whatever the checkout was told. */
import type { Capture, OwedRefund, Refund } from "../../machines/context.ts";
import { owedFor } from "../../machines/payment.ts";
import { CURRENCY, PAYABLE } from "./checkout-context.ts";

/** References of captures, by what is captured under each: two pay, the others never do. */
const CAPTURES: readonly Capture[] = [
  { pspReference: "psr_1", amount: PAYABLE, currency: CURRENCY },
  { pspReference: "psr_2", amount: PAYABLE, currency: CURRENCY },
  { pspReference: "psr_less", amount: PAYABLE - 1, currency: CURRENCY },
  { pspReference: "psr_yen", amount: PAYABLE, currency: "JPY" },
];

interface MadeRefund {
  readonly refund: Refund;
  readonly providerRefundId: string;
  readonly hasFailed: boolean;
}

export class JourneyBank {
  readonly captures = new Map<string, Capture>();
  #refunds: readonly MadeRefund[] = [];

  /** The same reference again is the same capture. */
  capture(which: number): Capture {
    const capture = CAPTURES[which % CAPTURES.length] ?? CAPTURES[0];
    if (capture === undefined) throw new Error("there are captures");
    this.captures.set(capture.pspReference, capture);
    return capture;
  }

  /** Once per capture: what stands is the answer, whichever round is asked for. */
  giveBack(owed: OwedRefund): Refund {
    const { pspReference } = owed;
    const earlier = this.#refunds.filter(({ refund }) => refund.pspReference === pspReference);
    const standing = earlier.find(({ hasFailed }) => !hasFailed);
    if (standing !== undefined) return standing.refund;
    const round = Math.max(owed.round, earlier.length + 1);
    const name = `${pspReference}_${round}`;
    const failedRefundIds = earlier.map(({ providerRefundId }) => providerRefundId);
    const refund = { ...owed, round, failedRefundIds, refundId: `rfd_${name}`, providerRefundId: `re_${name}` };
    this.#refunds = [...this.#refunds, { refund, providerRefundId: refund.providerRefundId, hasFailed: false }];
    return refund;
  }

  /** Everything that is held, but for what an operator gave back. */
  reverse(owed: readonly OwedRefund[], byHand: readonly string[]): readonly Refund[] {
    const due = new Map([...this.captures.values()].map((capture) => [capture.pspReference, owedFor(capture, "ROLLBACK")]));
    for (const one of owed) due.set(one.pspReference, one);
    return [...due.values()].filter(({ pspReference }) => !byHand.includes(pspReference)).map((one) => this.giveBack(one));
  }

  /** One of the refunds comes back from the customer's bank, or came back before. */
  sendBack(which: number): (MadeRefund & { readonly hasFailed: true }) | null {
    const refund = this.#refunds[which % Math.max(1, this.#refunds.length)];
    if (refund === undefined) return null;
    const failed = { ...refund, hasFailed: true as const };
    this.#refunds = this.#refunds.map((one) => (one === refund ? failed : one));
    return failed;
  }

  /** A held capture that pays. */
  paying(): Capture | null {
    const isGivenBack = (capture: Capture) =>
      this.#refunds.some(({ refund, hasFailed }) => !hasFailed && refund.pspReference === capture.pspReference);
    const pays = (capture: Capture) => capture.amount === PAYABLE && capture.currency === CURRENCY;
    return [...this.captures.values()].find((capture) => pays(capture) && !isGivenBack(capture)) ?? null;
  }
}
