/** The money of a checkout, by what its transitions book: never more goes back than came in, whatever comes in whichever order. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { PaymentEvent } from "../../machines/events.ts";
import { capturesOf, type Account, type Transfer } from "../../machines/ledger.ts";
import { journeys, walked, type Moment } from "../support/journey.ts";
import { tried } from "../support/properties.ts";

const TURNS_MAX = 80;

/** What each account holds of each capture. */
class Accounts {
  readonly #balances = new Map<string, number>();

  book({ debit, credit, amount, pspReference }: Transfer): void {
    this.#add(debit, pspReference, amount);
    this.#add(credit, pspReference, -amount);
  }

  of(account: Account, pspReference: string): number {
    return this.#balances.get(`${account} ${pspReference}`) ?? 0;
  }

  #add(account: Account, pspReference: string, amount: number): void {
    this.#balances.set(`${account} ${pspReference}`, this.of(account, pspReference) + amount);
  }
}

/** The accounts after each moment, read for every capture that the checkout knows then. */
function forEachCapture(
  moments: readonly Moment[],
  check: (balances: Readonly<Record<Account, number>>, captured: number, moment: Moment, pspReference: string) => void,
): void {
  const accounts = new Accounts();
  for (const moment of moments) {
    for (const transfer of moment.transfers) accounts.book(transfer);
    for (const { pspReference, amount } of capturesOf(moment.view.context.payment)) {
      const of = (account: Account) => accounts.of(account, pspReference);
      const balances = { PROVIDER: of("PROVIDER"), SUSPENSE: of("SUSPENSE"), ORDER: of("ORDER"), BY_HAND: of("BY_HAND") };
      check(balances, amount, moment, pspReference);
    }
  }
}

test("of each capture no more is given back than was taken, at any time, by the books and by the checkout's own word", () => {
  let refunds = 0;
  fc.assert(
    fc.property(journeys(TURNS_MAX), (journey) => {
      forEachCapture(walked(journey), ({ PROVIDER, BY_HAND }, captured, { view }, pspReference) => {
        const givenBack = captured - PROVIDER - BY_HAND;
        expect(givenBack).toBeGreaterThanOrEqual(0);
        expect(givenBack).toBeLessThanOrEqual(captured);
        const told = view.context.payment.refunds.filter((refund) => refund.pspReference === pspReference);
        expect(told.reduce((sum, refund) => sum + refund.amount, 0)).toBe(givenBack);
        refunds += told.length;
      });
    }),
    tried(100),
  );
  expect(refunds).toBeGreaterThan(0);
});

test("the accounts of each capture balance; at rest nothing is in suspense, and only a confirmed order keeps a capture, one", () => {
  const rested = new Set<string>();
  fc.assert(
    fc.property(journeys(TURNS_MAX), (journey) => {
      const kept = new Map<Moment, number>();
      forEachCapture(walked(journey), ({ PROVIDER, SUSPENSE, ORDER, BY_HAND }, _, moment) => {
        expect(PROVIDER + SUSPENSE + ORDER + BY_HAND).toBe(0);
        kept.set(moment, (kept.get(moment) ?? 0) + (ORDER === 0 ? 0 : 1));
        if (!moment.view.path.endsWith(".atRest")) return;
        expect(SUSPENSE).toBe(0);
        rested.add(moment.view.state);
      });
      for (const [{ view }, captures] of kept) expect(captures).toBe(view.state === "COMPLETED" ? 1 : 0);
    }),
    tried(100),
  );
  expect([...rested].toSorted()).toEqual(["COMPLETED", "ROLLEDBACK"]);
});

test("a capture that the checkout was told of is known to it from then on, whatever state it was in", () => {
  let told = 0;
  fc.assert(
    fc.property(journeys(TURNS_MAX), (journey) => {
      const heard = new Set<string>();
      for (const { entry, view } of walked(journey)) {
        if (entry.event.type === "payment_collection_requirement_success") {
          heard.add((entry.event as unknown as PaymentEvent).data.pspReference);
          told++;
        }
        const known = capturesOf(view.context.payment).map(({ pspReference }) => pspReference);
        expect(known).toEqual(expect.arrayContaining([...heard]));
      }
    }),
    tried(100),
  );
  expect(told).toBeGreaterThan(0);
});
