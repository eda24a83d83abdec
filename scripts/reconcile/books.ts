/** Our side of a reconciliation: the checkouts' ledgers as the store has them, and the way back into their inboxes. */
import type { Database } from "../../persistence/connect.ts";
import type { Store } from "../../persistence/store.ts";
import type { Difference } from "../../services/capture-comparison.ts";
import type { MoneyBooks } from "../../services/reconciliation.ts";
import type { LedgerReference } from "../../services/reconciliation-tally.ts";

export function moneyBooks(database: Database, store: Store): MoneyBooks {
  return {
    ledger: (id) => store.ledger(id),
    hasCheckout: async (id) => (await store.load(id)) !== null,
    references: (after, limit) => references(database, after, limit),
    unsettled: (olderThanMs, limit) => store.unsettled(olderThanMs, limit),
  };
}

export interface Delivered {
  readonly fresh: number;
  readonly repeated: number;
}

/** Idempotent: a payment that was delivered before is only counted. */
export async function deliver(store: Store, differences: readonly Difference[]): Promise<Delivered> {
  let fresh = 0;
  let repeated = 0;
  for (const { notice } of differences) {
    if (notice === null) continue;
    const event = { type: "payment_collection_requirement_success", data: notice };
    const { isNew } = await store.receivePayment("reconcile", notice.eventId, notice.pcrId, event);
    if (isNew) fresh++;
    else repeated++;
  }
  return { fresh, repeated };
}

/** Past the store: no other caller walks over all ledgers. */
async function references(database: Database, after: LedgerReference | null, limit: number): Promise<readonly LedgerReference[]> {
  const rows = await database.rows<{ context_id: string; psp_reference: string }>(
    `select distinct context_id, psp_reference from checkoutd.ledger
      where ($1::text is null or (context_id, psp_reference) > ($1, $2)) order by context_id, psp_reference limit $3`,
    [after?.executionContextId ?? null, after?.pspReference ?? null, limit],
  );
  return rows.map((row) => ({ executionContextId: row.context_id, pspReference: row.psp_reference }));
}
