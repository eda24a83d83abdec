/** The threads in which a checkout is paid for and becomes an order: once, by whichever news of the payment, on whichever node. */
import { randomUUID } from "node:crypto";
import { TerminalError } from "../../machines/errors.ts";
import { order } from "./client.ts";
import { gate, successEvent } from "./payment-desk.ts";
import { failForGood, idsOf, type Thread } from "./thread.ts";
import { deliver, expireOwnersLease, failedEvent, heard, newestPayment, PAYABLE, rest, wrongsOf } from "./thread-desk.ts";
import * as removals from "./thread-removals.ts";

export const SETTLEMENT_THREADS: readonly Thread[] = [
  {
    thread: "medusajs/medusa #13301",
    name: "the reply to the charge and the webhook of the same capture settle once",
    play: async ({ service, interference }) => {
      const held = gate();
      interference.after.set("createPaymentRequest", held.pass);
      const pending = service.initiate(order("ins_sync_ok"));
      await held.reached;
      const { id, pcrId, pspReference } = await newestPayment(service);
      await deliver(service, successEvent(pcrId, pspReference));
      held.open();
      await pending;
      return wrongsOf(service, id, { status: "CONFIRMED", refunds: 0 });
    },
    guard: removals.RECOGNITION,
    goesWrong: ["parked: I5"],
  },
  {
    thread: "medusajs/medusa #13301",
    name: "the same cart is completed twice at once, and charged once",
    play: async ({ service }) => {
      const request = order("ins_sync_ok");
      const answers = await Promise.all([1, 2].map(() => service.initiate(request)));
      const captures = await service.rows(
        `select 1 from checkoutd.provider_captures p join checkoutd.contexts c on c.id = p.context_id where c.cart_id like $1`,
        [`${request.cart.cartId}%`],
      );
      const statuses = answers.map(({ status }) => status).toSorted((a, b) => a - b);
      return [
        ...(statuses.join() === "200,409" ? [] : [`the answers are ${statuses.join()}, not 200,409`]),
        ...(captures.length === 1 ? [] : [`the cart is charged ${captures.length} times`]),
      ];
    },
    guard: removals.CART_CLAIM,
    goesWrong: ["the answers are 200,200, not 200,409", "the cart is charged 2 times"],
  },
  {
    thread: "saleor/saleor #12652",
    name: "the webhook completes the checkout elsewhere while the client's own call stands still on an old copy",
    play: async (desk) => {
      const { service, pause, startNode } = desk;
      const { reached, goOn } = pause.at(({ entry }) => entry.from?.startsWith("PROCESSING.STEP_7") === true);
      const [request, key] = [order("ins_async"), randomUUID()];
      const pending = service.initiate(request, { key, wait: 1 });
      await reached;
      const { id, pcrId } = await newestPayment(service);
      const other = await startNode();
      await expireOwnersLease(desk, id);
      await deliver(other, successEvent(pcrId, "psr_meanwhile"));
      await other.reaches(id, "CONFIRMED");
      await goOn();
      // 503 RETRY_SCHEDULED when it had no time left; its repetition joins.
      const [first, again] = [await pending, await service.initiate(request, { key })];
      const wrongs = await wrongsOf(other, id, { status: "CONFIRMED", refunds: 0 });
      const isHeard = [200, 503].includes(first.status) && again.status === 200;
      return isHeard ? wrongs : [...wrongs, `the client hears ${first.status} and ${again.status}`];
    },
    guard: removals.FENCE,
    goesWrong: ["the checkout is AWAITING_PAYMENT, not CONFIRMED"],
  },
  {
    thread: "vendure #3749",
    name: "the webhook settles the payment before the call that makes it returns",
    play: async ({ service, interference }) => {
      const { executionContextId: id } = (await service.initiate(order("ins_decline"))).checkout();
      const held = gate();
      interference.after.set("createPaymentAttempt", held.pass);
      const paying = service.pay(id, "ins_sync_ok");
      await held.reached;
      const { pcrId, pspReference } = await newestPayment(service);
      await deliver(service, successEvent(pcrId, pspReference));
      await heard(service, id);
      held.open();
      const { status } = await paying;
      const wrongs = await wrongsOf(service, id, { status: "CONFIRMED", refunds: 0 });
      return status === 200 ? wrongs : [...wrongs, `the client hears ${status}`];
    },
    guard: removals.RECOGNITION,
    goesWrong: ["parked: I5", "the client hears 503"],
  },
  {
    thread: "vendure #3749",
    name: "the webhook settles the last attempt, and the call that makes it returns an error",
    policy: { paymentAttemptsMax: 2 },
    play: async ({ service, interference }) => {
      const { executionContextId: id } = (await service.initiate(order("ins_decline"))).checkout();
      const held = gate();
      interference.after.set("createPaymentAttempt", async () => {
        await held.pass();
        throw new TerminalError("ALREADY_SETTLED", "A settled payment can't be settled.");
      });
      const paying = service.pay(id, "ins_sync_ok");
      await held.reached;
      const { pcrId, pspReference } = await newestPayment(service);
      await deliver(service, successEvent(pcrId, pspReference));
      await heard(service, id);
      held.open();
      await paying;
      return wrongsOf(service, id, { status: "CONFIRMED", refunds: 0 });
    },
    guard: removals.SETTLED_DESPITE_ERROR,
    goesWrong: [
      "the checkout is ROLLED_BACK, not CONFIRMED",
      "the order is CANCELLED, not CONFIRMED",
      "the provider holds 0, not 249900",
      "line_items_confirmed: 0, not 1",
      "payment_refunded: 1, not 0",
    ],
  },
  {
    thread: "spree/spree #13938",
    name: "the same success on two nodes in the same instant, three times each, is one settlement",
    play: async ({ service, startNode }) => {
      const { executionContextId: id, payment } = (await service.initiate(order("ins_async"))).checkout();
      const event = successEvent(payment.pcrId ?? "", "psr_same");
      const eventId = randomUUID();
      const other = await startNode();
      await Promise.all([1, 2, 3].flatMap(() => [deliver(service, event, eventId), deliver(other, event, eventId)]));
      return wrongsOf(service, id, { status: "CONFIRMED", refunds: 0 });
    },
    guard: removals.both(removals.INBOX, removals.RECOGNITION),
    goesWrong: ["parked: I5"],
    spare: [removals.INBOX],
  },
  {
    thread: "juspay/hyperswitch #2017",
    name: "a payment that failed and then succeeds confirms while it is awaited",
    play: async ({ service }) => {
      const { executionContextId: id, payment } = (await service.initiate(order("ins_async"))).checkout();
      const { pcrId, attemptId } = idsOf(payment);
      await deliver(service, failedEvent(pcrId, attemptId));
      await rest(service, id);
      await deliver(service, successEvent(pcrId, "psr_after_all", PAYABLE, attemptId));
      return wrongsOf(service, id, { status: "CONFIRMED", refunds: 0 });
    },
    guard: removals.FAILED_IS_NOT_FINAL,
    goesWrong: [
      "the checkout is AWAITING_PAYMENT, not CONFIRMED",
      "the order is PENDING, not CONFIRMED",
      "line_items_confirmed: 0, not 1",
    ],
  },
  {
    thread: "medusajs/medusa #15527",
    name: "the run that lost compensates after the other one finished, and doesn't refund the winner's capture",
    play: async (desk) => {
      const { service, interference, pause, startNode } = desk;
      interference.before.set("createPreferencesToLineItemsMapping", failForGood);
      const { reached, goOn } = pause.at(({ entry }) => entry.to.includes("undoing"));
      const pending = service.initiate(order("ins_sync_ok"), { wait: 1 });
      await reached;
      const { id } = await newestPayment(service);
      await expireOwnersLease(desk, id);
      const other = await startNode();
      await other.reaches(id, "CONFIRMED");
      await goOn();
      await pending;
      return wrongsOf(other, id, { status: "CONFIRMED", refunds: 0 });
    },
    guard: removals.FENCE,
    goesWrong: ["the checkout is ROLLED_BACK, not CONFIRMED", "the provider holds 0, not 249900", "payment_refunded: 1, not 0"],
  },
  {
    thread: "hard case 16",
    name: "a success that arrives before STEP_5 is committed is applied when the payment request appears",
    play: async ({ service, interference }) => {
      const held = gate();
      interference.after.set("createPaymentRequest", held.pass);
      const pending = service.initiate(order("ins_async"));
      await held.reached;
      const { id, pcrId } = await newestPayment(service);
      await deliver(service, successEvent(pcrId, "psr_early"));
      held.open();
      await pending;
      return wrongsOf(service, id, { status: "CONFIRMED", refunds: 0 });
    },
    guard: removals.EARLY_EVENTS_ARE_KEPT,
    goesWrong: [
      "the checkout is AWAITING_PAYMENT, not CONFIRMED",
      "the order is PENDING, not CONFIRMED",
      "line_items_confirmed: 0, not 1",
    ],
  },
];
