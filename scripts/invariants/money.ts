/** The provider's books against the ledger and the journal: who paid, what is held, what went back. */
import type { Capture, PaymentAttempt, PaymentOutcome } from "../../machines/context.ts";
import type { Account } from "../../machines/ledger.ts";
import type { JournalEntry, LedgerEntry } from "../../persistence/store.ts";
import { breach, isCompleted, sum, type Check } from "./breach.ts";
import type { Evidence, ProviderBooks } from "./evidence.ts";

type MoneyCheck = Check<Pick<Evidence, "row" | "journal" | "ledger" | "books">>;

const NO_BOOKS: ProviderBooks = { amount: 0, currency: "", captures: [], refunds: [], open: [] };

/** The first capture that pays, by whichever door it was heard of, is the one that stays: whole, and alone. */
const keepsThePayer: MoneyCheck = (evidence) => {
  const { books, journal } = evidence;
  const pays = ({ amount, currency }: Capture) => amount === books?.amount && currency === books.currency;
  return keeps(evidence, journal.flatMap(({ event }) => heardCaptures(event)).find(pays));
};

/** It completed: what is held is this capture, whole, and alone. */
export function keeps(evidence: Pick<Evidence, "row" | "books" | "ledger">, payer: Capture | undefined): readonly string[] {
  if (!isCompleted(evidence)) return [];
  const { books, ledger } = evidence;
  if (books === null) return ["I3: it completed, and no payment was requested"];
  const pays = ({ amount, currency }: Capture) => amount === books.amount && currency === books.currency;
  const held = heldOf(books, ledger).filter(({ amount }) => amount > 0);
  const isHeldAlone = held.length === 1 && held[0]?.pspReference === payer?.pspReference && held.every(pays);
  const names = held.map(({ pspReference, amount }) => `${pspReference} of ${amount}`).join();
  return breach(
    books.amount > 0 && !isHeldAlone,
    `I3: ${payer?.pspReference} paid ${books.amount}; what is held is ${names || "nothing"}`,
  );
}

const holdsNothingOfARollback: MoneyCheck = (evidence) => {
  const { books, ledger } = evidence;
  if (isCompleted(evidence) || books === null) return [];
  const held = heldOf(books, ledger).filter(({ amount }) => amount > 0);
  return breach(held.length > 0, `I4: rolled back, and held are ${held.map(({ pspReference }) => pspReference).join()}`);
};

/** One refund of a capture stands, and it is the whole capture. */
const refundsEachCaptureOnce: MoneyCheck = ({ books }) => {
  const { captures, refunds } = books ?? NO_BOOKS;
  const standing = refunds.filter(({ hasFailed }) => !hasFailed).map(({ pspReference }) => pspReference);
  const other = refunds.filter((refund) => captures.find(isOf(refund))?.amount !== refund.amount);
  return [
    ...breach(new Set(standing).size < standing.length, `I6: refunded twice, among ${standing.join()}`),
    ...breach(other.length > 0, `I6: not the amount of its capture: ${other.map(({ refundId }) => refundId).join()}`),
  ];
};

/** Where a new attempt is told of. */
const ATTEMPT_REPLIES: Readonly<Record<string, (output: unknown) => PaymentAttempt>> = {
  "xstate.done.actor.STEP_5": (output) => (output as { readonly payment: PaymentAttempt }).payment,
  "xstate.done.actor.requestingAttempt": (output) => output as PaymentAttempt,
};

/** An attempt has an id of its own, unless what was asked for turned out to be paid by an earlier one. */
const namesEachAttempt: MoneyCheck = ({ journal }) => {
  const replies = journal.flatMap(({ event }) => ATTEMPT_REPLIES[event.type]?.(event["output"]) ?? []);
  const attempts = replies.filter(({ isEarlier }) => isEarlier !== true).map(({ attemptId }) => attemptId);
  return breach(new Set(attempts).size < attempts.length, `I8: two attempts are one, among ${attempts.join()}`);
};

/** Double-entry, in each currency: nothing in between, what the provider holds, and what paid for the order. */
const balances: MoneyCheck = (evidence) => {
  const { ledger } = evidence;
  const books = evidence.books ?? NO_BOOKS;
  const currencies = new Set([...books.captures, ...ledger].map(({ currency }) => currency));
  return [...currencies].flatMap((currency) => {
    const balanceOf = (account: Account) => balance(ledger, account, currency);
    const captured = sum(books.captures.filter((one) => one.currency === currency).map(({ amount }) => amount));
    const standing = books.refunds.filter(
      (refund) => !refund.hasFailed && books.captures.find(isOf(refund))?.currency === currency,
    );
    const held = captured - sum(standing.map(({ amount }) => amount));
    const paid = isCompleted(evidence) && currency === books.currency ? books.amount : 0;
    const [suspense, provider, order] = [balanceOf("SUSPENSE"), balanceOf("PROVIDER"), balanceOf("ORDER")];
    return [
      ...breach(suspense !== 0, `I7: ${suspense} ${currency} are left in suspense`),
      ...breach(provider !== held, `I7: the ledger has ${provider} ${currency} at the provider, which holds ${held}`),
      // The order is where the money came from: what it is paid with leaves it.
      ...breach(order !== 0 - paid, `I7: the ledger's ORDER is ${order} ${currency}, not ${0 - paid}`),
    ];
  });
};

const leavesNothingToPay: MoneyCheck = ({ books }) => {
  const { open } = books ?? NO_BOOKS;
  return breach(open.length > 0, `I8: nobody waits for ${open.join()}, and it can still be paid`);
};

export const MONEY_CHECKS: readonly MoneyCheck[] = [keepsThePayer, namesEachAttempt];

/** Of the provider's books and the ledger alone. */
export const BOOK_CHECKS: readonly MoneyCheck[] = [holdsNothingOfARollback, refundsEachCaptureOnce, balances, leavesNothingToPay];

/** The captures that an event tells of, as machines/payment.ts reads them: a notice, an attempt's reply, a report. */
export function heardCaptures(event: JournalEntry["event"]): readonly Capture[] {
  const { data, output } = event as { readonly data?: Capture; readonly output?: Reply | null };
  if (event.type === "payment_collection_requirement_success") return data === undefined ? [] : [data];
  if (output?.captures !== undefined) return output.captures;
  const outcome = output?.outcome ?? output?.payment?.outcome;
  return outcome?.kind === "captured" ? [outcome] : [];
}

interface Reply {
  readonly outcome?: PaymentOutcome;
  readonly captures?: readonly Capture[];
  readonly payment?: { readonly outcome: PaymentOutcome };
}

/** Captures that no refund gave back, nor an operator by hand. */
function heldOf({ captures, refunds }: ProviderBooks, ledger: readonly LedgerEntry[]): readonly Capture[] {
  const isGivenBack = (capture: Capture) =>
    refunds.some((refund) => !refund.hasFailed && isOf(refund)(capture)) ||
    ledger.some((entry) => entry.credit === "BY_HAND" && isOf(entry)(capture));
  return captures.filter((capture) => !isGivenBack(capture));
}

function balance(ledger: readonly LedgerEntry[], account: Account, currency: string): number {
  const ofCurrency = ledger.filter((entry) => entry.currency === currency);
  return sum(ofCurrency.map(({ debit, credit, amount }) => (debit === account ? amount : 0) - (credit === account ? amount : 0)));
}

function isOf({ pspReference }: { readonly pspReference: string }): (capture: Capture) => boolean {
  return (capture) => capture.pspReference === pspReference;
}
