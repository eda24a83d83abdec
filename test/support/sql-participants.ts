/** The built-in participants over one database, under the suite of their contract. */
import type { Database } from "../../persistence/connect.ts";
import { openParticipants } from "../../server/participants.ts";
import { systemIds } from "../../server/system-ports.ts";
import type { SimulatedProvider } from "../../services/provider-simulator.ts";
import { setStatus } from "../../services/simulator-ledger.ts";
import { takeBackRefund } from "../../services/simulator-refunds.ts";
import type { UndoableOperation } from "../conformance/checkout-calls.ts";
import type { Bank, BankBooks, ParticipantsUnderTest } from "../conformance/participants-under-test.ts";
import { successEvent } from "./payment-desk.ts";
import { ManualClock } from "./ports.ts";

export async function sqlParticipants(database: Database, close: () => Promise<void>): Promise<ParticipantsUnderTest> {
  const clock = new ManualClock();
  const ports = { database, clock, ids: systemIds };
  const { services, provider } = await openParticipants({ ...ports, flagsFile: null, paymentDeadlineMs: 900_000 });
  return {
    services,
    bank: bankOver(database, provider, clock),
    inForce: async (operation, executionContextId) => {
      const query = `select count(*)::int as count from (${IN_FORCE[operation]}) made`;
      const [row] = await database.rows<{ readonly count: number }>(query, [executionContextId]);
      return row?.count ?? 0;
    },
    close,
  };
}

function bankOver(database: Database, provider: SimulatedProvider, clock: ManualClock): Bank {
  return {
    instruments: { pays: "ins_sync_ok", declines: "ins_decline", waits: "ins_async" },
    capture: async ({ pcrId, attemptId }, { pspReference, amount }) => {
      await provider.recordAuthenticatedSuccess(successEvent(pcrId, pspReference, amount, attemptId));
    },
    decline: async ({ attemptId }) => {
      const [charge] = await database.rows<{ readonly id: string }>(
        "select id from checkoutd.provider_charges where attempt_id = $1 and status = 'requires_action'",
        [attemptId],
      );
      if (charge === undefined) throw new Error(`${attemptId} doesn't wait`);
      await database.transaction((tx) => setStatus(tx, charge.id, "declined", { declineCode: "DECLINED", nextAction: null }));
    },
    sendBack: async (_, { providerRefundId }) => {
      if (providerRefundId === null) throw new Error("no bank ever heard of that refund");
      await database.transaction((tx) => takeBackRefund(tx, providerRefundId, clock.now()));
    },
    books: async (executionContextId) => {
      const [books] = await database.rows<BankBooks>(BOOKS, [executionContextId]);
      return books ?? { charges: 0, open: 0, captured: 0, refunded: 0 };
    },
  };
}

/** Of the refunds themselves, not of the columns that add them up: those can't exceed what was captured. */
const BOOKS = `
select
  (select count(*)::int from checkoutd.provider_charges where context_id = $1) as charges,
  (select count(*)::int from checkoutd.provider_charges where context_id = $1 and status in ('created', 'requires_action')) as open,
  (select coalesce(sum(amount), 0)::int from checkoutd.provider_captures where context_id = $1) as captured,
  (select coalesce(sum(amount), 0)::int from checkoutd.provider_refunds where context_id = $1 and failed_at is null) as refunded`;

const IN_FORCE: Readonly<Record<UndoableOperation, string>> = {
  createPaymentGroup: "select from checkoutd.payment_groups where context_id = $1 and status <> 'RELEASED'",
  createPostSellingPreferences: `
    select from checkoutd.post_selling_preferences where context_id = $1 and status <> 'VOID'
    union all select from checkoutd.slot_bookings where context_id = $1 and status <> 'FREED'`,
  getLineItemSummary: "select from checkoutd.coupon_uses where context_id = $1 and status <> 'RELEASED'",
  createCheckoutOrder: "select from checkoutd.checkout_orders where context_id = $1 and status <> 'CANCELLED'",
  handleOptinCreationAndModification: "select from checkoutd.opt_ins where context_id = $1 and status <> 'REVOKED'",
  upsertLineItems: "select from checkoutd.line_items where context_id = $1 and status <> 'REVERTED'",
  hydratePaymentAndUpdateLineItems: "select from checkoutd.line_items where context_id = $1 and pcr_id is not null",
  createPreferencesToLineItemsMapping: "select from checkoutd.line_item_preferences where context_id = $1",
};
