/** A checkout's money as clients read it: every transfer, and what they come to for each account. Pure. */
import type { LedgerEntry } from "../persistence/store.ts";
import { rfc3339 } from "./checkout-body.ts";
import type { LedgerBody } from "./response-schema.ts";

export function ledgerBody(entries: readonly LedgerEntry[]): LedgerBody {
  return {
    entries: entries.map(({ seq, at, debit, credit, amount, currency, pspReference }) => {
      return { seq, at: rfc3339(at), debit, credit, amount, currency, pspReference };
    }),
    balances: balancesOf(entries),
  };
}

/** Each account that money ever touched, in the order in which it did: a zero is told as well. */
function balancesOf(entries: readonly LedgerEntry[]): LedgerBody["balances"] {
  const balances = new Map<string, LedgerBody["balances"][number]>();
  const move = (account: LedgerEntry["debit"], { currency }: LedgerEntry, change: number) => {
    const key = `${account} ${currency}`;
    const amount = (balances.get(key)?.amount ?? 0) + change;
    balances.set(key, { account, currency, amount });
  };
  for (const entry of entries) {
    move(entry.debit, entry, entry.amount);
    move(entry.credit, entry, -entry.amount);
  }
  return [...balances.values()];
}
