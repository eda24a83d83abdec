/** What one completed undo leaves behind. Pure; guards and actions read the same function. */
import type { CheckoutContext, Refund, UndoName } from "./context.ts";
import { withRefunds } from "./payment.ts";

export function rollbackAfter(
  context: CheckoutContext,
  undo: UndoName,
  output: { readonly refunds: readonly Refund[] },
): Pick<CheckoutContext, "undone" | "deferred" | "payment"> {
  const payment = withRefunds(context.payment, output.refunds);
  const others = context.deferred.filter((name) => name !== undo);
  // A capture that arrived while the reversal ran is still owed: the reversal runs once more.
  const mustRunAgain = undo === "paymentRequest" && payment.owed.length > 0;
  return {
    undone: context.undone.includes(undo) ? context.undone : [...context.undone, undo],
    deferred: mustRunAgain ? [...others, undo] : others,
    payment,
  };
}
