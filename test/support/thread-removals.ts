/**
 * One guard each, and how a test takes it out of the product: a replacement for the tests alone, handed in where the
 * real part would be. No source is edited, and what is not named here stays as it is.
 */
import { randomUUID } from "node:crypto";
import { assign } from "xstate";
import type { CheckoutMachine } from "../../machines/checkout.ts";
import { NO_RETRY, type CheckoutContext, type Payment } from "../../machines/context.ts";
import { paymentAfter, withLateCapture } from "../../machines/payment.ts";
import { nextDeferred, rollbackAfter } from "../../machines/rollback.ts";
import type { RollbackOutput } from "../../machines/step-inputs.ts";
import type { Database } from "../../persistence/connect.ts";
import type { Commit } from "../../persistence/store.ts";
import { configAt, mutant, type NodeConfig } from "./machine-mutants.ts";
import type { ServiceOptions } from "./service.ts";
import { override } from "./thread-desk.ts";

export interface Removal {
  readonly guard: string;
  readonly removedBy: string;
  readonly without: (database: Database) => ServiceOptions;
}

export const RECOGNITION: Removal = {
  guard: "a capture that is heard of again is known by its pspReference (machines/payment.ts isKnown)",
  removedBy: "recordPaymentNews, takePaymentNews and owesAfterNews replaced by ones to which the settling capture has no name",
  without: () => ({
    aroundMachine: (machine) =>
      machine.provide({
        guards: { owesAfterNews: ({ context, event }) => unrecognised(context, event).owed.length > 0 },
        actions: {
          recordPaymentNews: assign(({ context, event }) => ({ payment: unrecognised(context, event) })),
          takePaymentNews: assign(({ context, event }) => ({ ...PROGRESS, payment: unrecognised(context, event) })),
        },
      }),
  }),
};

export const CART_CLAIM: Removal = {
  guard: "a cart is claimed by one checkout, in the transaction that creates it (persistence/creation.ts, live_carts)",
  removedBy: "a store to which every request's cart is another one",
  without: () => ({
    aroundStore: (store) =>
      override(store, {
        findCartConflict: async () => null,
        create: (checkout) => store.create({ ...checkout, cartId: `${checkout.cartId}_${randomUUID()}` }),
      }),
  }),
};

export const FENCE: Removal = {
  guard: "a commit is applied only at the seq and fence that it was decided at, by an owner (persistence/commit-statement.ts)",
  removedBy: "a store that commits at whatever seq, fence and owner the row has: the last writer wins",
  without: (database) => ({
    aroundStore: (store) =>
      override(store, {
        commit: async (batch) => store.commit(await Promise.all(batch.map((commit) => asOfNow(database, commit)))),
      }),
  }),
};

export const SETTLED_DESPITE_ERROR: Removal = {
  guard: "an attempt whose event says paid is paid, whatever its call answers (machines/settlement.ts, guard settled)",
  removedBy: "the guard settled replaced by one that is never true",
  without: () => ({ aroundMachine: (machine) => machine.provide({ guards: { settled: () => false } }) }),
};

export const INBOX: Removal = {
  guard: "an event is kept once by its source and id (persistence/inbox-statements.ts)",
  removedBy: "a store that keeps each delivery under a new id",
  without: () => ({
    aroundStore: (store) =>
      override(store, { receivePayment: (source, _eventId, ...rest) => store.receivePayment(source, randomUUID(), ...rest) }),
  }),
};

export const FAILED_IS_NOT_FINAL: Removal = {
  guard: "a failed payment may still be paid while it is awaited (machines/payment.ts withFailedAttempt, guard paid)",
  removedBy: "paid and takePaymentNews replaced by ones that take no news after a decline",
  without: () => ({
    aroundMachine: (machine) =>
      machine.provide({
        guards: {
          paid: ({ context, event }) => !isDeclined(context) && paymentAfter(context, event).settledBy !== null,
        },
        actions: {
          takePaymentNews: assign(({ context, event }) => {
            return isDeclined(context) ? {} : { ...PROGRESS, payment: paymentAfter(context, event) };
          }),
        },
      }),
  }),
};

export const LATE_REFUND: Removal = {
  guard: "what is captured after the rollback is owed back (machines/finished.ts, guard owesLateCapture)",
  removedBy: "the guard owesLateCapture replaced by one that is never true: an undone checkout takes no news",
  without: () => ({ aroundMachine: (machine) => machine.provide({ guards: { owesLateCapture: () => false } }) }),
};

export const UNDONE_WHEN_PAID_BACK: Removal = {
  guard: "money that is owed after its reversal defers the reversal, and a rollback isn't done before (machines/rollback.ts)",
  removedBy: "the guard allUndone replaced by one that asks for every deferred undo but the reversal",
  without: () => ({
    aroundMachine: (machine) =>
      machine.provide({
        guards: {
          allUndone: ({ context, event }, { undo }) => {
            const { output } = event as unknown as { readonly output: RollbackOutput };
            const { deferred } = rollbackAfter(context, undo ?? nextDeferred(context), output);
            return deferred.every((name) => name === "paymentRequest");
          },
        },
      }),
  }),
};

export const REFUNDS_REMEMBERED: Removal = {
  guard: "a capture that was given back is known by its refund (machines/payment.ts isKnown over refunds)",
  removedBy:
    "recordLateCapture and owesLateCapture replaced by ones that forget the refunds; the refund's key still holds the money",
  without: () => ({
    aroundMachine: (machine) =>
      machine.provide({
        guards: { owesLateCapture: ({ context, event }) => withLateCapture(forgetful(context), event).owed.length > 0 },
        actions: {
          recordLateCapture: assign(({ context, event }) => ({ payment: withLateCapture(forgetful(context), event) })),
        },
      }),
  }),
};

export const NO_WAY_FORWARD: Removal = {
  guard: "no edge leads out of ROLLEDBACK (machines/finished.ts)",
  removedBy: "a chart with an edge that takes a success from ROLLEDBACK to confirming",
  without: () => edge("ROLLEDBACK", "#checkout.PROCESSING.STEP_8.confirming", "takePaymentNews"),
};

export const NO_WAY_BACK: Removal = {
  guard: "no edge leads out of COMPLETED (machines/finished.ts)",
  removedBy: "a chart with an edge that takes a success from COMPLETED to undoing, as a second run's compensation would",
  without: () => edge("COMPLETED", "#checkout.PROCESSING.undoing.lineItemsUpdatedEvent", "recordPaymentNews"),
};

export const UNDO_OF_THE_PAYMENT: Removal = {
  guard: "the undo of STEP_5 reverses the payment, done when what we know of is given back (steps/upsert-line-items.ts)",
  removedBy: "handleRollback replaced by one that has nothing to do for the payment request",
  without: () => ({
    aroundExecutions: (executions) => ({
      ...executions,
      handleRollback: async (input, signal) =>
        input.undo === "paymentRequest" ? { pcrId: null, refunds: [], conflicts: [] } : executions.handleRollback(input, signal),
    }),
  }),
};

export const REFUND_OF_WHAT_IS_HELD: Removal = {
  guard: "a reversal gives back what the provider holds, known to us or not (services/payments.ts reversePaymentRequest)",
  removedBy: "payments whose reversal only cancels, and leaves a captured charge as it is",
  without: (database) => ({
    aroundServices: (services) => ({
      ...services,
      payments: Object.assign(Object.create(services.payments) as typeof services.payments, {
        reversePaymentRequest: async (call: { readonly executionContextId: string; readonly key: string }) => {
          const [pcr] = await database.rows<{ id: string }>(
            "select id from checkoutd.payment_collection_requirements where context_id = $1",
            [call.executionContextId],
          );
          if (pcr !== undefined) await services.payments.cancelIfPending({ ...call, pcrId: pcr.id });
          return { pcrId: pcr?.id ?? null, refunds: [] };
        },
      }),
    }),
  }),
};

export const EARLY_EVENTS_ARE_KEPT: Removal = {
  guard: "an event of a payment request that nobody knows yet is kept (persistence/inbox-statements.ts, pcr_contexts.arrived)",
  removedBy: "a store that drops the events of payment requests that no checkout knows",
  without: (database) => ({
    aroundStore: (store) =>
      override(store, {
        receivePayment: async (source, eventId, pcrId, event) => {
          const known = await database.rows("select 1 from checkoutd.pcr_contexts where pcr_id = $1", [pcrId]);
          return known.length > 0
            ? store.receivePayment(source, eventId, pcrId, event)
            : { isNew: false, isContradiction: false, contextId: null };
        },
      }),
  }),
};

export const EVENTS_ARE_BELIEVED: Removal = {
  guard: "a rollback gives back what an event told of, whatever the provider shows (machines/payment.ts heldCaptures)",
  removedBy: "handleRollback replaced by one that hands no known capture to the reversal",
  without: () => ({
    aroundExecutions: (executions) => ({
      ...executions,
      handleRollback: (input, signal) => executions.handleRollback({ ...input, owed: [] }, signal),
    }),
  }),
};

export const REFUNDS_MAY_FAIL_LATER: Removal = {
  guard: "a refund that failed after it was accepted is owed again (machines/payment.ts withFailedRefund)",
  removedBy: "the guard refundFailed replaced by one that is never true: an accepted refund is done",
  without: () => ({ aroundMachine: (machine) => machine.provide({ guards: { refundFailed: () => false } }) }),
};

/** Several guards at once, where one of them is enough to hold. */
export function both(first: Removal, second: Removal): Removal {
  return {
    guard: `${first.guard}; and: ${second.guard}`,
    removedBy: `${first.removedBy}; and: ${second.removedBy}`,
    without: (database) => ({ ...first.without(database), ...second.without(database) }),
  };
}

const PROGRESS = { retry: NO_RETRY, lastError: null };

function isDeclined({ payment }: CheckoutContext): boolean {
  return payment.status === "DECLINED";
}

/** The news, to somebody who does not know the settling capture's name. */
function unrecognised(context: CheckoutContext, event: unknown): Payment {
  const { settledBy } = context.payment;
  if (settledBy === null) return paymentAfter(context, event);
  const payment = { ...context.payment, settledBy: { ...settledBy, pspReference: "" } };
  return { ...paymentAfter({ ...context, payment }, event), settledBy };
}

function forgetful({ payment }: CheckoutContext): Payment {
  return { ...payment, refunds: [] };
}

function edge(from: "COMPLETED" | "ROLLEDBACK", target: string, actions: string): ServiceOptions {
  const redirect = (root: NodeConfig) => {
    configAt(root, [from, "atRest"]).on = { payment_collection_requirement_success: { target, actions } };
  };
  return {
    aroundMachine: (machine) => mutant(machine, redirect).provide(machine.implementations as never) as unknown as CheckoutMachine,
  };
}

async function asOfNow(database: Database, commit: Commit): Promise<Commit> {
  const [row] = await database.rows<{ seq: number; fence: number }>(
    `with somebody as (insert into checkoutd.nodes (id, lease_until, machine_hashes) values ('somebody', now() + interval '1 day', '{}') on conflict do nothing)
     update checkoutd.contexts set owner = coalesce(owner, 'somebody') where id = $1 returning seq, fence::int as fence`,
    [commit.id],
  );
  if (row === undefined) return commit;
  return { ...commit, expectedSeq: row.seq, fence: row.fence, entry: { ...commit.entry, seq: row.seq + 1 } };
}
