/**
 * The provider's list of charges held against our own money ledger, capture by capture. Reads only; what to do about
 * a difference is for people, or for the event that its `notice` holds.
 */
import {
  compareCapture,
  inSuspense,
  missingCapture,
  positionOf,
  unknownCheckout,
  type BookedTransfer,
} from "./capture-comparison.ts";
import type { ListedCharge, PaymentProvider } from "./payment-provider.ts";
import { ReconciliationTally, type LedgerReference, type Reconciliation } from "./reconciliation-tally.ts";

/** Our side: the checkouts' money ledgers. */
export interface MoneyBooks {
  ledger(executionContextId: string): Promise<readonly BookedTransfer[]>;
  hasCheckout(executionContextId: string): Promise<boolean>;
  /** Every capture that a ledger names, once, in order, a page at a time; an empty page is the last. */
  references(after: LedgerReference | null, limit: number): Promise<readonly LedgerReference[]>;
  unsettled(
    olderThanMs: number,
    limit: number,
  ): Promise<readonly { readonly contextId: string; readonly currency: string; readonly amount: number }[]>;
}

export interface ReconciliationInput {
  readonly provider: Pick<PaymentProvider, "listCharges">;
  readonly books: MoneyBooks;
  readonly startedAt: number;
  /** A checkout whose money moved since this long before the start is not judged: its news may be under way. */
  readonly settleMs: number;
  readonly onProgress: (chargesSoFar: number) => void;
}

const PAGE_SIZE = 500;
/** Ledgers that are read at the same time. */
const CONCURRENCY = 16;
const SUSPENSE_MAX = 10_000;

/** The provider is listed before each ledger is read, so news that arrives meanwhile makes a checkout moving, not wrong. */
export async function reconcile(input: ReconciliationInput): Promise<Reconciliation> {
  const tally = new ReconciliationTally(input.startedAt - input.settleMs);
  let after: string | undefined;
  for (;;) {
    const page = await input.provider.listCharges({ limit: PAGE_SIZE, ...(after === undefined ? {} : { after }) });
    if (page.length === 0) break;
    await inParallel(page, (charge) => compareCharge(input.books, charge, tally));
    after = page.at(-1)?.chargeId;
    input.onProgress(tally.charges);
  }
  await findMissingCaptures(input.books, tally);
  for (const { contextId, currency, amount } of await input.books.unsettled(input.settleMs, SUSPENSE_MAX)) {
    tally.report(inSuspense(contextId, currency, amount));
  }
  return tally.result();
}

async function compareCharge(books: MoneyBooks, charge: ListedCharge, tally: ReconciliationTally): Promise<void> {
  const { executionContextId, captures, movedAt } = charge;
  tally.charges++;
  // A charge that took nothing can't differ; what the ledger believes of it is looked for from the ledger's side.
  if (captures.length === 0) return;
  const ledger = await books.ledger(executionContextId);
  const isOurs = ledger.length > 0 || (await books.hasCheckout(executionContextId));
  const lastMoved = Math.max(movedAt ?? 0, ...ledger.map(({ at }) => at));
  for (const capture of captures) {
    const position = positionOf(ledger, capture.pspReference);
    const difference = isOurs ? compareCapture(charge, capture, position) : unknownCheckout(charge, capture);
    tally.compare({ executionContextId, ...capture }, position, difference, lastMoved);
  }
}

async function findMissingCaptures(books: MoneyBooks, tally: ReconciliationTally): Promise<void> {
  let after: LedgerReference | null = null;
  for (;;) {
    const page: readonly LedgerReference[] = await books.references(after, PAGE_SIZE);
    if (page.length === 0) return;
    const unseen = page.filter((reference) => !tally.hasSeen(reference));
    await inParallel(unseen, async ({ executionContextId, pspReference }) => {
      const ledger = await books.ledger(executionContextId);
      const position = positionOf(ledger, pspReference);
      const { currency } = position;
      const difference = missingCapture(executionContextId, pspReference, position);
      const nothing = { executionContextId, pspReference, currency, amount: 0, refundedAmount: 0 };
      tally.compare(nothing, position, difference, Math.max(...ledger.map(({ at }) => at)));
    });
    after = page.at(-1) ?? null;
  }
}

async function inParallel<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, items.length) }, worker));
}
