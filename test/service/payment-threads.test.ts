/**
 * The public threads that are numbered under payments in the hard cases, and some of the cases without one: each one's
 * order of events on a real node. It holds on the product, and ends wrong, as it did there, on a node from which the
 * guard that stands in its way was taken out.
 */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { CheckoutPolicy } from "../../machines/context.ts";
import { TerminalError } from "../../machines/errors.ts";
import { auditCheckout } from "../../scripts/checkout-audit.ts";
import type { PaymentProvider } from "../../services/payment-provider.ts";
import { order } from "../support/client.ts";
import { gate, successEvent } from "../support/payment-desk.ts";
import { differencesOnReplay } from "../support/replay.ts";
import type { ServiceOptions } from "../support/service.ts";
import { openEmbeddedStage, type Stage } from "../support/stage.ts";
import {
  deliver,
  expireOwnersLease,
  failOncePaid,
  failedEvent,
  heard,
  newestPayment,
  openDesk,
  PAYABLE,
  rest,
  tookRefundBack,
  wrongsOf,
  type Desk,
} from "../support/thread-desk.ts";
import * as removals from "../support/thread-removals.ts";
import { both, type Removal } from "../support/thread-removals.ts";

interface Thread {
  /** The thread's number, or the hard case's. */
  readonly thread: string;
  readonly name: string;
  readonly policy?: Partial<CheckoutPolicy>;
  readonly aroundProvider?: NonNullable<ServiceOptions["aroundProvider"]>;
  /** Plays the thread's order of events; what is wrong with the end of it. */
  readonly play: (desk: Desk) => Promise<readonly string[]>;
  readonly guard: Removal;
  /** What is wrong without the guard. */
  readonly goesWrong: readonly string[];
  /** Each of these alone changes nothing: the others hold. */
  readonly spare?: readonly Removal[];
}

const THREADS: readonly Thread[] = [
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
    goesWrong: ["the provider holds 0, not 249900", "payment_refunded: 1, not 0"],
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
    goesWrong: ["the provider holds 0, not 249900", "payment_refunded: 1, not 0"],
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
    guard: both(removals.INBOX, removals.RECOGNITION),
    goesWrong: ["the provider holds 0, not 249900", "payment_refunded: 1, not 0"],
    spare: [removals.INBOX],
  },
  {
    thread: "juspay/hyperswitch #2017",
    name: "a payment that failed and then succeeds confirms while it is awaited",
    play: async ({ service }) => {
      const { executionContextId: id, payment } = (await service.initiate(order("ins_async"))).checkout();
      const { pcrId, attemptId } = named(payment);
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
    thread: "juspay/hyperswitch #2017",
    name: "a payment that failed for good and then succeeds is refunded",
    policy: { paymentAttemptsMax: 1 },
    play: async ({ service }) => {
      const { executionContextId: id, payment } = (await service.initiate(order("ins_async"))).checkout();
      const { pcrId, attemptId } = named(payment);
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
      const event = successEvent(named(payment).pcrId, "psr_deferred");
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
      await deliver(service, successEvent(named(payment).pcrId, "psr_deferred"));
      await heard(service, id);
      held.open();
      await cancelling;
      return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 });
    },
    guard: removals.UNDONE_WHEN_PAID_BACK,
    goesWrong: ["the provider holds 249900, not 0", "payment_refunded: 0, not 1"],
  },
  {
    thread: "mollie/WooCommerce #1252",
    name: "a late success of a payment that was refunded already does not bring the order back",
    play: playRefundedThenPaid,
    guard: removals.NO_WAY_FORWARD,
    goesWrong: ["the checkout is NEEDS_ATTENTION, not ROLLED_BACK"],
  },
  {
    thread: "mollie/WooCommerce #1252",
    name: "a late success of a payment that was refunded already is not refunded, nor told, again",
    play: playRefundedThenPaid,
    guard: removals.REFUNDS_REMEMBERED,
    goesWrong: ["payment_refunded: 3, not 1"],
  },
  {
    thread: "medusajs/medusa #15527",
    name: "the run that lost compensates after the other one finished, and doesn't refund the winner's capture",
    play: async (desk) => {
      const { service, interference, pause, startNode } = desk;
      interference.before.set("createPreferencesToLineItemsMapping", broken);
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
    thread: "medusajs/medusa #14108",
    name: "a further payment after the order exists is refunded; the order stands",
    play: async ({ service }) => {
      const { executionContextId: id, payment } = (await service.initiate(order("ins_sync_ok"))).checkout();
      await deliver(service, successEvent(named(payment).pcrId, "psr_further"));
      const wrongs = await wrongsOf(service, id, { status: "CONFIRMED", captures: 2, refunds: 1 });
      const { status } = await service.cancel(id);
      return status === 409 ? wrongs : [...wrongs, `a cancellation is answered with ${status}`];
    },
    guard: removals.NO_WAY_BACK,
    goesWrong: [
      "the checkout is ROLLED_BACK, not CONFIRMED",
      "the provider holds 0, not 249900",
      "payment_refunded: 2, not 1",
      "a cancellation is answered with 200",
    ],
  },
  {
    thread: "saleor/saleor #14733",
    name: "what was paid in full and then can't become an order is given back at once",
    play: async ({ service, interference }) => {
      interference.before.set("createPreferencesToLineItemsMapping", broken);
      await service.initiate(order("ins_sync_ok"));
      const { id } = await newestPayment(service);
      return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 });
    },
    guard: removals.UNDO_OF_THE_PAYMENT,
    goesWrong: ["the provider holds 249900, not 0", "payment_refunded: 0, not 1"],
  },
  {
    thread: "medusajs/medusa #4946",
    name: "a charge that only the provider knows to be captured is refunded, where a cancellation would do nothing",
    play: async ({ service, interference }) => {
      interference.after.set("createPaymentRequest", broken);
      await service.initiate(order("ins_sync_ok"));
      const { id } = await newestPayment(service);
      return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 });
    },
    guard: removals.REFUND_OF_WHAT_IS_HELD,
    goesWrong: ["the provider holds 249900, not 0", "payment_refunded: 0, not 1"],
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
  {
    thread: "hard case 17",
    name: "an early success, then STEP_6 fails for good: given back, although the provider doesn't show the capture yet",
    aroundProvider: lagging,
    play: async ({ service, interference }) => {
      const held = gate();
      interference.before.set("hydratePaymentAndUpdateLineItems", () => held.pass().then(broken));
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
    goesWrong: ["the provider holds 249900, not 0", "payment_refunded: 0, not 1"],
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
  interference.before.set("createPreferencesToLineItemsMapping", broken);
  await service.initiate(order("ins_sync_ok"));
  const { id, pcrId, pspReference } = await newestPayment(service);
  for (let times = 1; times <= 2; times++) {
    await rest(service, id);
    await deliver(service, successEvent(pcrId, pspReference));
  }
  return wrongsOf(service, id, { status: "ROLLED_BACK", refunds: 1 });
}

const broken = () => Promise.reject(new TerminalError("OUT_OF_STOCK", "The last one was sold meanwhile."));

function asBuilt({ aroundProvider }: Pick<Thread, "aroundProvider">): ServiceOptions {
  return aroundProvider === undefined ? {} : { aroundProvider };
}

function named({ pcrId, attemptId }: { readonly pcrId: string | null; readonly attemptId: string | null }) {
  if (pcrId === null || attemptId === null) throw new Error("The payment was asked for.");
  return { pcrId, attemptId };
}

function onBareStage(): () => Stage {
  let stage: Stage | undefined;
  beforeAll(async () => {
    stage = await openEmbeddedStage();
  });
  afterAll(() => stage?.close());
  return () => {
    if (stage === undefined) throw new Error("The stage is open inside tests and hooks only.");
    return stage;
  };
}

describe("as the product is", () => {
  const stage = onBareStage();

  test.each(THREADS)("$thread: $name", async ({ play, policy, ...around }) => {
    const desk = await openDesk(stage(), asBuilt(around), policy);
    onTestFinished(() => desk.close());
    expect(await play(desk)).toEqual([]);
  });

  test("each of these checkouts ended right in every book, and its journal replays", async () => {
    const ended = await stage().database.rows<{ id: string; state: string }>(
      `select id, state from checkoutd.contexts c
        where (select count(*) from checkoutd.provider_captures where context_id = c.id) = 1 order by id`,
    );
    for (const { id, state } of ended) {
      const { violations } = await auditCheckout(stage().database, id, state === "COMPLETED" ? "CONFIRMED" : "ROLLED_BACK");
      expect(violations).toEqual([]);
    }
    expect(await differencesOnReplay(stage().database)).toEqual([]);
  });
});

describe("without its guard", () => {
  const stage = onBareStage();

  test.each(THREADS)("$thread ends as it did there: $name", async (one) => {
    const { thread, play, policy, guard, goesWrong, spare = [] } = one;
    const desk = await openDesk(stage(), { ...asBuilt(one), ...guard.without(stage().database) }, policy);
    onTestFinished(() => desk.close());
    const wrongs = await play(desk);
    process.stderr.write(`${thread} | ${guard.guard} | ${wrongs.join("; ")}\n`);
    expect(wrongs).toEqual(goesWrong);
    await desk.close();
    for (const alone of spare) {
      const held = await openDesk(stage(), alone.without(stage().database), policy);
      onTestFinished(() => held.close());
      expect(await play(held)).toEqual([]);
      await held.close();
    }
  });
});
