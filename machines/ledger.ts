/**
 * A checkout's money, double-entry: what a transition moves between its accounts. Pure, derived from the state before
 * and after, so that no transition can move money and forget to say so.
 */
import type { Capture, Payment } from "./context.ts";
import type { CheckoutView } from "./view.ts";

/**
 * PROVIDER: held for us at the payment provider. SUSPENSE: captured, and neither confirmed nor given back: zero for
 * every checkout at rest. ORDER: paid for the confirmed order. BY_HAND: given back by an operator.
 */
export type Account = "PROVIDER" | "SUSPENSE" | "ORDER" | "BY_HAND";

/** `amount` (minor units, above 0) leaves `credit` and arrives in `debit`: each transfer sums to zero by its shape. */
export interface Transfer {
  readonly debit: Account;
  readonly credit: Account;
  readonly amount: number;
  readonly currency: string;
  readonly pspReference: string;
}

export function transfersBetween(before: CheckoutView, after: CheckoutView): readonly Transfer[] {
  const [earlier, later] = [before.context.payment, after.context.payment];
  const transfers: Transfer[] = [];
  const move = (debit: Account, credit: Account, { amount, currency, pspReference }: Capture) => {
    if (amount > 0) transfers.push({ debit, credit, amount, currency, pspReference });
  };
  const known = new Set(capturesOf(earlier).map(({ pspReference }) => pspReference));
  for (const capture of capturesOf(later)) if (!known.has(capture.pspReference)) move("PROVIDER", "SUSPENSE", capture);
  for (const refund of earlier.refunds) {
    // The provider took it back: it holds the money again.
    if (!later.refunds.some(({ refundId }) => refundId === refund.refundId)) move("PROVIDER", "SUSPENSE", refund);
  }
  for (const refund of later.refunds) {
    const isNew = !earlier.refunds.some(({ refundId }) => refundId === refund.refundId);
    if (isNew) move("SUSPENSE", refund.byHand === true ? "BY_HAND" : "PROVIDER", refund);
  }
  const isConfirmed = before.state !== "COMPLETED" && after.state === "COMPLETED";
  if (isConfirmed && later.settledBy !== null) move("SUSPENSE", "ORDER", later.settledBy);
  return transfers;
}

/** Every capture that the checkout knows of, once. */
export function capturesOf({ settledBy, owed, refunds }: Payment): readonly Capture[] {
  const all: readonly Capture[] = [...(settledBy === null ? [] : [settledBy]), ...owed, ...refunds];
  return [...new Map(all.map((capture) => [capture.pspReference, capture])).values()];
}
