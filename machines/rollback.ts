/** What one completed undo leaves behind. Pure; guards and actions read the same function. */
import type { CheckoutContext, Refund, UndoName } from "./context.ts";
import { withRefunds } from "./payment.ts";

export function rollbackAfter(
  context: CheckoutContext,
  undo: UndoName,
  output: { readonly refunds: readonly Refund[] },
): Pick<CheckoutContext, "undone" | "deferred" | "payment"> {
  return {
    undone: context.undone.includes(undo) ? context.undone : [...context.undone, undo],
    deferred: context.deferred.filter((name) => name !== undo),
    payment: withRefunds(context.payment, output.refunds),
  };
}

/** Whose turn it is among what is left: money that arrived after its reversal makes the reversal run once more. */
export function nextDeferred(context: CheckoutContext): UndoName {
  return context.deferred[0] ?? "paymentRequest";
}

/** Nothing is left to undo, and no captured money is owed back. */
export function isAllUndone({ deferred, payment }: Pick<CheckoutContext, "deferred" | "payment">): boolean {
  return deferred.length === 0 && payment.owed.length === 0;
}
