/** What a checkout in memory leaves behind, as the invariants read it. */
import type { Evidence, ProviderBooks } from "../../scripts/invariants/evidence.ts";
import type { FakeParticipants } from "./fake-participants.ts";
import type { Requirement } from "./fake-payments.ts";
import type { MemoryStore } from "./memory-store.ts";

export interface Remains {
  readonly store: MemoryStore;
  readonly participants: FakeParticipants;
}

export async function evidenceOf({ store, participants }: Remains, id: string): Promise<Evidence> {
  const row = store.row(id);
  if (row === null) throw new Error(`${id} was never created`);
  const requirement = participants.payments.find(id);
  return {
    id,
    row,
    checkpoint: (await store.load(id))?.checkpoint ?? null,
    journal: await store.history(id, 0, Number.POSITIVE_INFINITY),
    outbox: await store.events(id),
    removed: null,
    ledger: await store.ledger(id),
    unconsumed: await store.unconsumed(id),
    books: requirement === null ? null : booksOf(requirement),
    effects: participants.effects.of(id),
    holds: store.heldBy(id),
  };
}

function booksOf({ amount, currency, captures, givenBack, charges }: Requirement): ProviderBooks {
  return {
    amount,
    currency,
    captures,
    refunds: givenBack.map(({ refund, hasFailed }) => {
      return { pspReference: refund.pspReference, amount: refund.amount, refundId: refund.refundId, hasFailed };
    }),
    open: charges.filter(({ status }) => status === "PENDING").map(({ attemptId }) => attemptId),
  };
}
