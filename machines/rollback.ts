/** What one completed undo leaves behind. Pure; guards and actions read the same functions. */
import type { CheckoutContext, UndoName } from "./context.ts";
import type { ResolveEvent } from "./events.ts";
import { heldCaptures, withRefunds, withRefundsByHand } from "./payment.ts";
import type { RollbackOutput } from "./step-inputs.ts";

type Progress = Pick<CheckoutContext, "undone" | "deferred" | "payment" | "undoneByHand">;

export function rollbackAfter(
  context: CheckoutContext,
  undo: UndoName,
  { pcrId, refunds }: Pick<RollbackOutput, "pcrId" | "refunds">,
): Progress {
  // Where the payment request's outcome stayed unknown, its undo is the first to learn its id.
  const named = { ...context.payment, pcrId: context.payment.pcrId ?? pcrId };
  return { ...withUndone(context, undo), undoneByHand: context.undoneByHand, payment: withRefunds(named, refunds) };
}

/** After an operator took care of something by hand; null = there is no such thing to take care of. */
export function resolvedBy(context: CheckoutContext, event: ResolveEvent): Progress | null {
  const { undo, pspReference, resolutionId } = event;
  const { payment } = context;
  if (undo === null) {
    const owed = payment.owed.filter((one) => one.pspReference === pspReference);
    if (owed.length === 0) return null;
    const { undone, deferred, undoneByHand } = context;
    return { undone, deferred, undoneByHand, payment: withRefundsByHand(payment, owed, resolutionId) };
  }
  const isLeft = context.deferred.includes(undo) || (undo === "paymentRequest" && payment.owed.length > 0);
  if (!isLeft) return null;
  return {
    ...withUndone(context, undo),
    undoneByHand: [...context.undoneByHand.filter((name) => name !== undo), undo],
    payment: undo === "paymentRequest" ? withRefundsByHand(payment, heldCaptures(payment), resolutionId) : payment,
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

function withUndone({ undone, deferred }: CheckoutContext, undo: UndoName): Pick<CheckoutContext, "undone" | "deferred"> {
  return {
    undone: undone.includes(undo) ? undone : [...undone, undo],
    deferred: deferred.filter((name) => name !== undo),
  };
}
