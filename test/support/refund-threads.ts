/** The threads in which captured money has to go back, whatever the provider, the shopper or the news does meanwhile. */
import type { PaymentProvider } from "../../services/payment-provider.ts";
import { order } from "./client.ts";
import { gate, successEvent } from "./payment-desk.ts";
import { failForGood, idsOf, type Thread } from "./thread.ts";
import {
  deliver,
  failOncePaid,
  failedEvent,
  heard,
  newestPayment,
  PAYABLE,
  rest,
  tookRefundBack,
  wrongsOf,
  type Desk,
} from "./thread-desk.ts";
import * as removals from "./thread-removals.ts";

export const REFUND_THREADS: readonly Thread[] = [
  {
    thread: "juspay/hyperswitch #2017",
    name: "a payment that failed for good and then succeeds is refunded",
    policy: { paymentAttemptsMax: 1 },
    play: async ({ service }) => {
      const { executionContextId: id, payment } = (await service.initiate(order("ins_async"))).checkout();
      const { pcrId, attemptId } = idsOf(payment);
      await deliver(service, failedEvent(pcrId, attemptId));
      await service.reaches(id, "ROLLED_BACK");
      await deliver(service, successEvent(pcrId, "psr_too_late", PAYABLE, attemptId));
      return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 });
    },
    guard: removals.LATE_REFUND,
    goesWrong: ["the provider holds 249900, not 0", "payment_refunded: 0, not 1"],
  },
  {
    thread: "woocommerce/woocommerce-gateway-stripe #5703",
    name: "the shopper cancels while the bank decides; the deferred success is refunded once",
    play: async ({ service }) => {
      const { executionContextId: id, payment } = (await service.initiate(order("ins_async"))).checkout();
      await service.cancel(id);
      const event = successEvent(idsOf(payment).pcrId, "psr_deferred");
      await deliver(service, event);
      await rest(service, id);
      await deliver(service, event);
      return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 });
    },
    guard: removals.LATE_REFUND,
    goesWrong: ["the provider holds 249900, not 0", "payment_refunded: 0, not 1"],
  },
  {
    thread: "woocommerce/woocommerce-gateway-stripe #5703",
    name: "the deferred success arrives while the cancelled order is still being undone",
    play: async ({ service, interference }) => {
      const { executionContextId: id, payment } = (await service.initiate(order("ins_async"))).checkout();
      const held = gate();
      // After the reversal, which saw nothing to give back.
      interference.before.set("undoCreateCheckoutOrder", held.pass);
      const cancelling = service.cancel(id);
      await held.reached;
      await deliver(service, successEvent(idsOf(payment).pcrId, "psr_deferred"));
      await heard(service, id);
      held.open();
      await cancelling;
      return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 });
    },
    guard: removals.UNDONE_WHEN_PAID_BACK,
    goesWrong: ["parked: I4"],
  },
  {
    thread: "mollie/WooCommerce #1252",
    name: "a late success of a payment that was refunded already does not bring the order back",
    play: playRefundedThenPaid,
    guard: removals.NO_WAY_FORWARD,
    goesWrong: ["parked: I1"],
  },
  {
    thread: "mollie/WooCommerce #1252",
    name: "a late success of a payment that was refunded already is not refunded, nor told, again",
    play: playRefundedThenPaid,
    guard: removals.REFUNDS_REMEMBERED,
    goesWrong: ["parked: I6"],
  },
  {
    thread: "medusajs/medusa #14108",
    name: "a further payment after the order exists is refunded; the order stands",
    play: async ({ service }) => {
      const { executionContextId: id, payment } = (await service.initiate(order("ins_sync_ok"))).checkout();
      await deliver(service, successEvent(idsOf(payment).pcrId, "psr_further"));
      const wrongs = await wrongsOf(service, id, { status: "CONFIRMED", captures: 2, refunds: 1 });
      const { status } = await service.cancel(id);
      return status === 409 ? wrongs : [...wrongs, `a cancellation is answered with ${status}`];
    },
    guard: removals.NO_WAY_BACK,
    goesWrong: ["parked: I1"],
  },
  {
    thread: "saleor/saleor #14733",
    name: "what was paid in full and then can't become an order is given back at once",
    play: async ({ service, interference }) => {
      interference.before.set("createPreferencesToLineItemsMapping", failForGood);
      await service.initiate(order("ins_sync_ok"));
      const { id } = await newestPayment(service);
      return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 });
    },
    guard: removals.UNDO_OF_THE_PAYMENT,
    goesWrong: ["parked: I4"],
  },
  {
    thread: "medusajs/medusa #4946",
    name: "a charge that only the provider knows to be captured is refunded, where a cancellation would do nothing",
    play: async ({ service, interference }) => {
      interference.after.set("createPaymentRequest", failForGood);
      await service.initiate(order("ins_sync_ok"));
      const { id } = await newestPayment(service);
      return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 });
    },
    guard: removals.REFUND_OF_WHAT_IS_HELD,
    goesWrong: ["the provider holds 249900, not 0", "payment_refunded: 0, not 1"],
  },
  {
    thread: "hard case 17",
    name: "an early success, then STEP_6 fails for good: given back, although the provider doesn't show the capture yet",
    aroundProvider: lagging,
    play: async ({ service, interference }) => {
      const held = gate();
      interference.before.set("hydratePaymentAndUpdateLineItems", () => held.pass().then(failForGood));
      const pending = service.initiate(order("ins_async"));
      await held.reached;
      const { id, pcrId } = await newestPayment(service);
      await deliver(service, successEvent(pcrId, "psr_unseen"));
      await heard(service, id);
      held.open();
      await pending;
      return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 });
    },
    guard: removals.EVENTS_ARE_BELIEVED,
    goesWrong: ["parked: I4"],
  },
  {
    thread: "hard case 21",
    name: "a refund that was accepted and fails at the bank a second later is made again",
    play: async ({ service, interference }) => {
      interference.before.set("createPreferencesToLineItemsMapping", async () => {
        await failOncePaid(service, (await newestPayment(service)).id);
      });
      await service.initiate(order("ins_refund_fails"));
      const { id, pcrId } = await newestPayment(service);
      await tookRefundBack(service, pcrId);
      return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 2 });
    },
    guard: removals.REFUNDS_MAY_FAIL_LATER,
    goesWrong: ["the provider holds 249900, not 0", "payment_refunded: 1, not 2"],
  },
];

/** A provider whose reads lag behind its events, as a replica's do: what it captured doesn't show when it is asked to cancel. */
function lagging(provider: PaymentProvider): PaymentProvider {
  return {
    name: provider.name,
    create: (request) => provider.create(request),
    confirm: (reference) => provider.confirm(reference),
    retrieve: (reference) => provider.retrieve(reference),
    refund: (request) => provider.refund(request),
    listCharges: (page) => provider.listCharges(page),
    cancel: async (reference) => ({ ...(await provider.cancel(reference)), status: "cancelled", captures: [] }),
  };
}

async function playRefundedThenPaid({ service, interference }: Desk): Promise<readonly string[]> {
  interference.before.set("createPreferencesToLineItemsMapping", failForGood);
  await service.initiate(order("ins_sync_ok"));
  const { id, pcrId, pspReference } = await newestPayment(service);
  for (let times = 1; times <= 2; times++) {
    await rest(service, id);
    await deliver(service, successEvent(pcrId, pspReference));
  }
  return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 });
}
