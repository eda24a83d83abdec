/** What one completed undo leaves behind. Pure; guards and actions read the same functions. */
import type { CheckoutContext, Payment, UndoName } from "./context.ts";
import { InvariantError } from "./errors.ts";
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
  return afterPayment({ ...context, ...withUndone(context, undo) }, withRefunds(named, refunds));
}

/** With another payment while undoing: what is owed after its reversal makes the reversal run once more, in its turn. */
export function afterPayment({ undone, deferred, undoneByHand }: CheckoutContext, payment: Payment): Progress {
  const runsAgain = payment.owed.length > 0 && undone.includes("paymentRequest") && !deferred.includes("paymentRequest");
  return { undone, undoneByHand, payment, deferred: runsAgain ? [...deferred, "paymentRequest"] : deferred };
}

/**
 * After an operator took care of something by hand; null = there is no such thing to take care of. Only what was tried
 * for long can be: an early call may still give the same money back.
 */
export function resolvedBy(context: CheckoutContext, event: ResolveEvent): Progress | null {
  const { undo, pspReference, resolutionId } = event;
  const { payment, retry, policy } = context;
  if (undo === null) {
    const owed = payment.owed.filter((one) => one.pspReference === pspReference);
    if (owed.length === 0 || retry.failures <= policy.undoRetryMax) return null;
    const { undone, deferred, undoneByHand } = context;
    return { undone, deferred, undoneByHand, payment: withRefundsByHand(payment, owed, resolutionId) };
  }
  if (!context.deferred.includes(undo) || retry.failures === 0) return null;
  // Money that nobody can name yet can't be given back by hand: what arrives for it later would find nobody.
  const isReversal = undo === "paymentRequest";
  if (isReversal && (payment.pcrId === null || retry.failures <= policy.undoRetryMax)) return null;
  return {
    ...withUndone(context, undo),
    undoneByHand: [...context.undoneByHand.filter((name) => name !== undo), undo],
    payment: isReversal ? withRefundsByHand(payment, heldCaptures(payment), resolutionId) : payment,
  };
}

/** Whose turn it is among what is left. */
export function nextDeferred({ deferred }: Pick<CheckoutContext, "deferred">): UndoName {
  const [next] = deferred;
  if (next === undefined) throw new InvariantError("Nothing is deferred, so nothing has its turn.");
  return next;
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
