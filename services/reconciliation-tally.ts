/** Counts what a reconciliation finds. */
import type { Difference, Position } from "./capture-comparison.ts";
import type { ChargeCapture } from "./payment-provider.ts";

export interface LedgerReference {
  readonly executionContextId: string;
  readonly pspReference: string;
}

/** What both sides say the provider holds, of all captures that were judged. */
export interface CurrencyTotal {
  readonly currency: string;
  readonly captures: number;
  readonly provider: number;
  readonly ledger: number;
  /** Given back by hand: no difference, though the provider may still hold it. */
  readonly byHand: number;
}

export interface Reconciliation {
  readonly charges: number;
  readonly captures: number;
  readonly byHand: number;
  /** Checkouts that differ and whose money moved just now: not judged, and not in the totals. */
  readonly stillMoving: number;
  readonly totals: readonly CurrencyTotal[];
  readonly differences: readonly Difference[];
}

type ComparedCapture = LedgerReference & ChargeCapture;

export class ReconciliationTally {
  charges = 0;
  #captures = 0;
  #byHand = 0;
  readonly #seen = new Set<string>();
  readonly #moving = new Set<string>();
  readonly #totals = new Map<string, CurrencyTotal>();
  readonly #differences: Difference[] = [];

  /** Money that moved at `settledBefore` or later is still moving. */
  constructor(private readonly settledBefore: number) {}

  compare(capture: ComparedCapture, position: Position, difference: Difference | null, lastMovedAt: number): void {
    this.#seen.add(keyOf(capture));
    this.#captures++;
    if (difference !== null && lastMovedAt >= this.settledBefore) {
      this.#moving.add(capture.executionContextId);
      return;
    }
    if (position.byHand > 0) this.#byHand++;
    this.#add(capture, position, difference);
    if (difference !== null) this.report(difference);
  }

  report(difference: Difference): void {
    this.#differences.push(difference);
  }

  hasSeen(reference: LedgerReference): boolean {
    return this.#seen.has(keyOf(reference));
  }

  result(): Reconciliation {
    return {
      charges: this.charges,
      captures: this.#captures,
      byHand: this.#byHand,
      stillMoving: this.#moving.size,
      totals: [...this.#totals.values()].sort((a, b) => (a.currency < b.currency ? -1 : 1)),
      differences: this.#differences,
    };
  }

  #add({ currency, amount, refundedAmount }: ComparedCapture, position: Position, difference: Difference | null): void {
    const held = amount - refundedAmount;
    const before = this.#totals.get(currency) ?? { currency, captures: 0, provider: 0, ledger: 0, byHand: 0 };
    this.#totals.set(currency, {
      currency,
      captures: before.captures + 1,
      provider: before.provider + held,
      // Given back by hand and gone from the provider as well: both sides agree that nothing is held.
      ledger: before.ledger + (difference === null ? held : position.held),
      byHand: before.byHand + position.byHand,
    });
  }
}

function keyOf({ executionContextId, pspReference }: LedgerReference): string {
  return `${executionContextId} ${pspReference}`;
}
