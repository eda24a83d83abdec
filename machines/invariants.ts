/**
 * What holds of every transition, whatever led to it. The runtime asserts it before each commit: a transition that breaks
 * one is never written, and its checkout is parked. The numbers are those of docs/invariants.md. Pure, and cheap enough
 * for every commit: what a transition left alone is not looked at again.
 */
import { UNDO_ORDER, type Capture, type CheckoutContext, type Payment, type Refund, type UndoName } from "./context.ts";
import type { OutboundEvent, OutboundEventType } from "./events.ts";
import { capturesOf, type Account, type Transfer } from "./ledger.ts";
import { amountDue } from "./payment.ts";
import { isPastPivot, type CheckoutView } from "./view.ts";

/** What a transition is about to write, besides its journal entry. */
export interface Written {
  readonly events: readonly OutboundEvent[];
  readonly transfers: readonly Transfer[];
}

interface Transition {
  /** Null: the checkout begins. */
  readonly before: CheckoutView | null;
  readonly after: CheckoutView;
  readonly written: Written;
}

type Check = (transition: Transition) => readonly string[];

/** A line for each invariant that the transition breaks, beginning with its number. */
export function transitionBreaches(before: CheckoutView | null, after: CheckoutView, written: Written): readonly string[] {
  const transition = { before, after, written };
  return CHECKS.flatMap((check) => check(transition));
}

const NONE: readonly string[] = [];

const staysAtItsEnd: Check = ({ before, after }) => {
  if (before?.finished !== true || before.state === after.state) return NONE;
  return [`I1: it left its end, ${before.path}, for ${after.path}`];
};

const goesForwardFromItsPivot: Check = ({ before, after }) => {
  const [wasPast, isPast] = [before !== null && isPastPivot(before), isPastPivot(after)];
  return [
    ...breach(wasPast && !isPast && before?.finished === false, () => `I2: past its pivot it went back to ${after.path}`),
    ...breach(after.state === "COMPLETED" && !wasPast, () => `I2: it completed without a pivot, from ${before?.path}`),
  ];
};

/** Nothing due is settled by a capture of nothing. */
const isPaidExactly: Check = ({ before, after }) => {
  if (!isPastPivot(after)) return NONE;
  const wasPast = before !== null && isPastPivot(before);
  if (wasPast && before.context.payment === after.context.payment) return NONE;
  const { payment, invoice, paymentGroups } = after.context;
  const due = invoice === null ? null : amountDue(invoice, paymentGroups);
  const payer = payment.settledBy;
  const isExact = payer !== null && payer.amount === due && payer.currency === invoice?.currency;
  const isAnother = wasPast && before.context.payment.settledBy?.pspReference !== payer?.pspReference;
  return [
    ...breach(!isExact, () => `I3: past its pivot, ${payer?.amount ?? "no capture"} ${payer?.currency ?? ""} pays for ${due}`),
    ...breach(isAnother, () => `I3: the capture that paid became another, ${payer?.pspReference}`),
  ];
};

const isRolledBackWhole: Check = ({ after }) => {
  if (after.state !== "ROLLEDBACK") return NONE;
  const { deferred, undone, payment } = after.context;
  const isGapless = undone.every((name) => UNDO_ORDER.indexOf(name) < undone.length);
  return [
    ...breach((payment.settledBy?.amount ?? 0) !== 0, () => `I4: rolled back, and ${payment.settledBy?.pspReference} still pays`),
    ...breach(deferred.length > 0, () => `I4: rolled back, and ${deferred.join()} are left to undo`),
    ...breach(!isGapless, () => `I4: rolled back, and only ${undone.join()} were undone`),
  ];
};

/** Each capture is known once, and from then on with the same amount, whatever becomes of it. */
const keepsEveryCapture: Check = ({ before, after }) => {
  const [earlier, later] = [before?.context.payment, after.context.payment];
  if (earlier === later) return NONE;
  const known = new Map(capturesOf(later).map((capture) => [capture.pspReference, capture]));
  const isOnce = known.size === later.owed.length + later.refunds.length + (later.settledBy === null ? 0 : 1);
  const isSound = [...known.values()].every(({ amount }) => Number.isSafeInteger(amount) && amount >= 0);
  const changed =
    earlier === undefined ? [] : capturesOf(earlier).filter((capture) => !isSame(known.get(capture.pspReference), capture));
  return [
    ...breach(!isOnce, () => `I5: a capture is known twice, among ${[...known.keys()].join()}`),
    ...breach(!isSound, () => "I5: an amount is below zero, or no whole number"),
    ...breach(changed.length > 0, () => `I5: no longer known as it was: ${namesOf(changed)}`),
  ];
};

/** What was given back stays so, unless the provider said that this very refund failed. */
const takesNoRefundBack: Check = ({ before, after }) => {
  const [earlier, later] = [before?.context.payment, after.context.payment];
  if (earlier === undefined || earlier.refunds === later.refunds) return NONE;
  const isStanding = (refund: Refund) => later.refunds.some(({ refundId }) => refundId === refund.refundId);
  const hasFailed = ({ pspReference, providerRefundId }: Refund) =>
    later.owed.some((owed) => owed.pspReference === pspReference && owed.failedRefundIds.some((id) => id === providerRefundId));
  const lost = earlier.refunds.filter((refund) => !isStanding(refund) && !hasFailed(refund));
  return breach(lost.length > 0, () => `I6: given back, and no longer known as that: ${namesOf(lost)}`);
};

/** The transfers lead from the balances that the earlier context says to those that the later one says. */
const balances: Check = ({ before, after, written: { transfers } }) => {
  const isMoved = before?.context.payment !== after.context.payment || before.state !== after.state;
  if (!isMoved && transfers.length === 0) return NONE;
  const open = new Map<string, number>();
  const add = (account: Account, currency: string, amount: number) => {
    const key = `${account} ${currency}`;
    open.set(key, (open.get(key) ?? 0) + amount);
  };
  if (before !== null) addBalances(add, before, 1);
  addBalances(add, after, -1);
  for (const { debit, credit, currency, amount } of transfers) {
    add(debit, currency, amount);
    add(credit, currency, -amount);
  }
  const wrong = [...open].filter(([, amount]) => amount !== 0);
  return breach(
    wrong.length > 0,
    () => `I7: the transfers don't balance: ${wrong.map((one) => one.join(" ")).join(", ")} too much`,
  );
};

const restsOwingNothing: Check = ({ after }) => {
  const { owed } = after.context.payment;
  return breach(owed.length > 0 && after.path.endsWith(".atRest"), () => `I7: it rests, and ${namesOf(owed)} are owed`);
};

const asksOnePaymentOnly: Check = ({ before, after }) => {
  const { payment, policy } = after.context;
  const earlier = before?.context;
  if (earlier?.payment === payment && earlier.invoice === after.context.invoice) return NONE;
  const [round, roundBefore] = [payment.round, earlier?.payment.round ?? 1];
  const isAttemptDue = round === roundBefore || round === roundBefore + 1;
  return [
    ...breach(round > Math.max(1, policy.paymentAttemptsMax), () => `I8: attempt ${round} of ${policy.paymentAttemptsMax}`),
    ...breach(!isAttemptDue, () => `I8: attempt ${round} follows attempt ${roundBefore}`),
    ...breach(isReplaced(earlier?.payment.pcrId, payment.pcrId), () => `I8: the payment request became ${payment.pcrId}`),
    ...breach(isReplaced(earlier?.invoice?.hash, after.context.invoice?.hash), () => "I8: the price changed after it was pinned"),
  ];
};

/** First tries in strict reverse, each undone or put aside before the next; what is done is noted once, and stays. */
const undoesInReverse: Check = ({ before, after }) => {
  const [from, to] = [undoAt(before?.path ?? ""), undoAt(after.path)];
  const { undone, deferred } = after.context;
  const earlier = before?.context.undone ?? [];
  if (from === null && to === null) {
    const isUntouched = undone.length === earlier.length && deferred.length === 0;
    return breach(
      !isUntouched,
      () => `I9: at ${after.path} nothing is undone, and ${undone.join()} or ${deferred.join()} changed`,
    );
  }
  const fresh = undone.slice(earlier.length);
  const isKept = earlier.every((name, index) => undone[index] === name);
  const isNoted =
    isOnce(undone) && isOnce(deferred) && deferred.every((name) => name === "paymentRequest" || !undone.includes(name));
  const wasUnderWay = (name: UndoName) =>
    name === from || (from === "deferred" && before?.context.deferred.includes(name) === true);
  const isLeft = from === null || from === to || from === "deferred" || undone.includes(from) || deferred.includes(from);
  return [
    ...breach(!isNext(from, to, after), () => `I9: the undo of ${from ?? "nothing"} is followed by ${to ?? after.path}`),
    ...breach(!isKept || !isNoted, () => `I9: undone are ${undone.join()}, deferred ${deferred.join()}`),
    ...breach(fresh.length > 1 || !fresh.every(wasUnderWay), () => `I9: ${fresh.join()} was undone while ${from} was`),
    ...breach(!isLeft, () => `I9: ${from} was left, neither undone nor put aside`),
  ];
};

const followsItsPredecessor: Check = ({ before, after }) => {
  const expected = (before?.seq ?? 0) + 1;
  const isSameCheckout = before === null || before.executionContextId === after.executionContextId;
  return breach(
    after.seq !== expected || !isSameCheckout,
    () => `I11: ${after.executionContextId} ${after.seq} follows ${expected - 1}`,
  );
};

/** Told by the transition that makes it true, and by no other. */
const tellsWhatItMakesTrue: Check = ({ before, after, written: { events } }) => {
  if (before === null) return breach(events.length > 0, () => "I14: something is told of a checkout that begins");
  const [earlier, later] = [before.context.payment, after.context.payment];
  if (events.length === 0 && before.state === after.state && earlier === later) return NONE;
  const enters = (state: CheckoutView["state"]) => (before.state !== state && after.state === state ? 1 : 0);
  return [
    ...told(events, "checkout_initiated", before.state === "INITIALIZED" && after.state !== "INITIALIZED" ? 1 : 0),
    ...told(events, "line_items_confirmed", enters("COMPLETED")),
    ...told(events, "checkout_completed", enters("COMPLETED")),
    ...told(events, "checkout_rolled_back", enters("ROLLEDBACK")),
    ...told(events, "payment_refunded", newRefundsOf(earlier, later)),
  ];
};

const CHECKS: readonly Check[] = [
  staysAtItsEnd,
  goesForwardFromItsPivot,
  isPaidExactly,
  isRolledBackWhole,
  keepsEveryCapture,
  takesNoRefundBack,
  balances,
  restsOwingNothing,
  asksOnePaymentOnly,
  undoesInReverse,
  followsItsPredecessor,
  tellsWhatItMakesTrue,
];

/** What the accounts of machines/ledger.ts come to, read from the context alone; `sign` of it. */
function addBalances(add: (account: Account, currency: string, amount: number) => void, view: CheckoutView, sign: 1 | -1): void {
  const { settledBy, owed, refunds } = view.context.payment;
  const book = (debit: Account, credit: Account, { currency, amount }: Capture) => {
    add(debit, currency, sign * amount);
    add(credit, currency, sign * -amount);
  };
  if (settledBy !== null) book("PROVIDER", view.state === "COMPLETED" ? "ORDER" : "SUSPENSE", settledBy);
  for (const one of owed) book("PROVIDER", "SUSPENSE", one);
  for (const one of refunds) if (one.byHand === true) book("PROVIDER", "BY_HAND", one);
}

/** The name of the undo that a state belongs to. */
function undoAt(path: string): UndoName | "deferred" | null {
  return path.startsWith("PROCESSING.undoing.") ? (path.split(".")[2] as UndoName | "deferred") : null;
}

/** What follows an undo is itself again, the one before it in UNDO_ORDER, and in the end what was put aside, or ROLLEDBACK. */
function isNext(from: UndoName | "deferred" | null, to: UndoName | "deferred" | null, after: CheckoutView): boolean {
  if (from === null) return to !== "deferred";
  if (from === to) return true;
  if (to === null) return after.state === "ROLLEDBACK" && (from === "deferred" || from === UNDO_ORDER[0]);
  if (from === "deferred") return false;
  return from === UNDO_ORDER[0] ? to === "deferred" : to === UNDO_ORDER[UNDO_ORDER.indexOf(from) - 1];
}

function newRefundsOf(earlier: Payment, later: Payment): number {
  return later.refunds.filter(({ refundId }) => !earlier.refunds.some((known) => known.refundId === refundId)).length;
}

function told(events: readonly OutboundEvent[], type: OutboundEventType, times: number): readonly string[] {
  const count = events.filter((event) => event.type === type).length;
  return breach(count !== times, () => `I14: ${type} is told ${count} times by a transition that makes it true ${times} times`);
}

function isSame(known: Capture | undefined, { amount, currency }: Capture): boolean {
  return known?.amount === amount && known.currency === currency;
}

function isReplaced(before: string | null | undefined, after: string | null | undefined): boolean {
  return before !== null && before !== undefined && before !== after;
}

function isOnce(names: CheckoutContext["undone"]): boolean {
  return new Set(names).size === names.length;
}

function namesOf(captures: readonly Capture[]): string {
  return captures.map(({ pspReference }) => pspReference).join();
}

/** A message is made only for a breach. */
function breach(isBroken: boolean, message: () => string): readonly string[] {
  return isBroken ? [message()] : NONE;
}
