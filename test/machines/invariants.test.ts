import { describe, expect, it, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import type { CheckoutContext, Payment, UndoName } from "../../machines/context.ts";
import type { OutboundEvent, OutboundEventType } from "../../machines/events.ts";
import { transitionBreaches, type Written } from "../../machines/invariants.ts";
import { transfersBetween } from "../../machines/ledger.ts";
import { owedFor } from "../../machines/payment.ts";
import { documentedStateOf, viewOf, type CheckoutView } from "../../machines/view.ts";
import { begin, decide, type StampedEvent, type Timers } from "../../runtime/engine.ts";
import { captureOf, contextWith, newContext, PAYABLE, refundOf } from "../support/checkout-context.ts";

const paid = captureOf("psr_1");
const further = captureOf("psr_2");
const owed = owedFor(further, "DUPLICATE");
const refund = refundOf(owed);

const WAITING = "PROCESSING.STEP_8.settling.awaitingPayment";
const CONFIRMING = "PROCESSING.STEP_8.confirming.running";
const LAST_STEP = "PROCESSING.STEP_8.producingConfirmed.running";
const DEFERRED = "PROCESSING.undoing.deferred.running";

function at(path: string, context: CheckoutContext = contextWith(), seq = 7): CheckoutView {
  const state = documentedStateOf(path);
  const finished = state === "COMPLETED" || state === "ROLLEDBACK";
  return { executionContextId: "ctx_1", seq, path, state, status: "PROCESSING", finished, context };
}

function paying(path: string, payment: Partial<Payment>, seq?: number): CheckoutView {
  return at(path, contextWith(payment), seq);
}

function undoing(path: string, undone: readonly UndoName[], deferred: readonly UndoName[] = [], seq?: number): CheckoutView {
  return at(path, { ...contextWith(), undone, deferred }, seq);
}

function next(view: CheckoutView): CheckoutView {
  return { ...view, seq: 8 };
}

function telling(...types: readonly OutboundEventType[]): OutboundEvent[] {
  return types.map((type) => ({ type, data: {} }));
}

/** With the transfers that belong to the two views, unless it says otherwise. */
function breaches(before: CheckoutView, after: CheckoutView, written: Partial<Written> = {}): readonly string[] {
  const later = next(after);
  return transitionBreaches(before, later, { events: [], transfers: transfersBetween(before, later), ...written });
}

const undone = (names: number): UndoName[] =>
  (["paymentGroups", "preferences", "invoice", "order"] as const).slice(0, names).toReversed();
const COMPLETION = telling("line_items_confirmed", "checkout_completed");

interface Case {
  readonly invariant: string;
  readonly what: string;
  readonly before: CheckoutView;
  readonly after: CheckoutView;
  readonly written?: Partial<Written>;
}

const BROKEN: readonly Case[] = [
  { invariant: "I1", what: "an end is left for another step", before: at("ROLLEDBACK.atRest"), after: at(WAITING) },
  {
    invariant: "I1",
    what: "one end is left for the other",
    before: paying("COMPLETED.atRest", { settledBy: paid }),
    after: at("ROLLEDBACK.atRest"),
  },
  {
    invariant: "I2",
    what: "it goes back past its pivot",
    before: paying(CONFIRMING, { settledBy: paid }),
    after: paying("PROCESSING.undoing.lineItemsUpdatedEvent.running", { settledBy: paid }),
  },
  {
    invariant: "I2",
    what: "it completes without a pivot",
    before: paying(WAITING, { settledBy: paid }),
    after: paying("COMPLETED.atRest", { settledBy: paid }),
    written: { events: COMPLETION },
  },
  { invariant: "I3", what: "nothing pays past the pivot", before: at(WAITING), after: at(CONFIRMING) },
  {
    invariant: "I3",
    what: "another amount pays",
    before: at(WAITING),
    after: paying(CONFIRMING, { settledBy: captureOf("psr_1", PAYABLE - 1) }),
  },
  {
    invariant: "I3",
    what: "another currency pays",
    before: at(WAITING),
    after: paying(CONFIRMING, { settledBy: captureOf("psr_1", PAYABLE, "USD") }),
  },
  {
    invariant: "I3",
    what: "another capture takes the payer's place",
    before: paying(CONFIRMING, { settledBy: paid, owed: [owed] }),
    after: paying(LAST_STEP, { settledBy: further, owed: [owedFor(paid, "DUPLICATE")] }),
  },
  {
    invariant: "I4",
    what: "it is rolled back, and a capture still pays",
    before: paying(DEFERRED, { settledBy: paid }),
    after: paying("ROLLEDBACK.atRest", { settledBy: paid }),
    written: { events: telling("checkout_rolled_back") },
  },
  {
    invariant: "I4",
    what: "it is rolled back, and an undo is left",
    before: undoing(DEFERRED, undone(2), ["invoice"]),
    after: undoing("ROLLEDBACK.atRest", undone(2), ["invoice"]),
    written: { events: telling("checkout_rolled_back") },
  },
  {
    invariant: "I4",
    what: "it is rolled back, and an undo between was never done",
    before: undoing(DEFERRED, ["order", "paymentGroups"], ["preferences"]),
    after: undoing("ROLLEDBACK.atRest", ["order", "paymentGroups", "preferences"]),
    written: { events: telling("checkout_rolled_back") },
  },
  {
    invariant: "I5",
    what: "a capture is known twice",
    before: paying(WAITING, {}),
    after: paying(WAITING, { owed: [owed], refunds: [refund] }),
    written: { events: telling("payment_refunded") },
  },
  { invariant: "I5", what: "a capture is forgotten", before: paying(WAITING, { owed: [owed] }), after: paying(WAITING, {}) },
  {
    invariant: "I5",
    what: "a refund is not its capture's amount",
    before: paying("COMPLETED.refunding.running", { settledBy: paid, owed: [owed] }),
    after: paying("COMPLETED.atRest", { settledBy: paid, refunds: [{ ...refund, amount: 1 }] }),
    written: { events: telling("payment_refunded") },
  },
  {
    invariant: "I5",
    what: "an amount is below zero",
    before: paying(WAITING, {}),
    after: paying(WAITING, { owed: [{ ...owed, amount: -1 }] }),
  },
  {
    invariant: "I6",
    what: "a refund is owed again that did not fail",
    before: paying("ROLLEDBACK.atRest", { refunds: [refund] }),
    after: paying("ROLLEDBACK.refunding.running", { owed: [owed] }),
  },
  {
    invariant: "I7",
    what: "money moves, and the ledger is not told",
    before: paying(WAITING, {}),
    after: paying(WAITING, { owed: [owed] }),
    written: { transfers: [] },
  },
  {
    invariant: "I7",
    what: "the ledger is told of money that doesn't move",
    before: at(WAITING),
    after: at(WAITING),
    written: { transfers: [{ debit: "PROVIDER", credit: "SUSPENSE", ...further }] },
  },
  {
    invariant: "I7",
    what: "the order is paid, and the ledger leaves it in suspense",
    before: paying(LAST_STEP, { settledBy: paid }),
    after: paying("COMPLETED.atRest", { settledBy: paid }),
    written: { events: COMPLETION, transfers: [] },
  },
  {
    invariant: "I7",
    what: "it rests, and money is owed",
    before: paying("COMPLETED.refunding.running", { settledBy: paid, owed: [owed] }),
    after: paying("COMPLETED.atRest", { settledBy: paid, owed: [owed] }),
  },
  {
    invariant: "I8",
    what: "there is an attempt too many",
    before: paying(WAITING, { round: 3 }),
    after: paying(WAITING, { round: 4 }),
  },
  {
    invariant: "I8",
    what: "an attempt is left out",
    before: paying(WAITING, { round: 1 }),
    after: paying(WAITING, { round: 3 }),
  },
  {
    invariant: "I8",
    what: "the payment request becomes another",
    before: at(WAITING),
    after: paying(WAITING, { pcrId: "pcr_2" }),
  },
  {
    invariant: "I8",
    what: "the price changes",
    before: at(WAITING),
    after: at(WAITING, repriced(contextWith())),
  },
  {
    invariant: "I9",
    what: "an undo is left out",
    before: undoing("PROCESSING.undoing.order.running", []),
    after: undoing("PROCESSING.undoing.preferences.running", ["order"]),
  },
  {
    invariant: "I9",
    what: "an undo is left undone",
    before: undoing("PROCESSING.undoing.order.running", []),
    after: undoing("PROCESSING.undoing.invoice.running", []),
  },
  {
    invariant: "I9",
    what: "an undo is noted that was not under way",
    before: undoing("PROCESSING.undoing.order.running", []),
    after: undoing("PROCESSING.undoing.invoice.running", ["optIns"], ["order"]),
  },
  {
    invariant: "I9",
    what: "an undo is noted twice",
    before: undoing(DEFERRED, undone(2), ["preferences"]),
    after: undoing(DEFERRED, [...undone(2), "preferences"]),
  },
  {
    invariant: "I9",
    what: "undoing ends before its first effect is undone",
    before: undoing("PROCESSING.undoing.order.running", []),
    after: undoing(WAITING, ["order"]),
  },
  { invariant: "I9", what: "something is undone while nothing is", before: at(WAITING), after: undoing(WAITING, ["order"]) },
  { invariant: "I11", what: "an entry is left out", before: at(WAITING, contextWith(), 6), after: at(WAITING) },
  {
    invariant: "I11",
    what: "another checkout goes on",
    before: at(WAITING),
    after: { ...at(WAITING), executionContextId: "ctx_2" },
  },
  {
    invariant: "I14",
    what: "it completes, and nobody is told",
    before: paying(LAST_STEP, { settledBy: paid }),
    after: paying("COMPLETED.atRest", { settledBy: paid }),
  },
  {
    invariant: "I14",
    what: "its end is told too early",
    before: paying(CONFIRMING, { settledBy: paid }),
    after: paying(LAST_STEP, { settledBy: paid }),
    written: { events: COMPLETION },
  },
  {
    invariant: "I14",
    what: "a refund is told twice",
    before: paying("ROLLEDBACK.refunding.running", { owed: [owed] }),
    after: paying("ROLLEDBACK.atRest", { refunds: [refund] }),
    written: { events: telling("payment_refunded", "payment_refunded") },
  },
];

function repriced({ invoice, ...context }: CheckoutContext): CheckoutContext {
  return { ...context, invoice: invoice === null ? null : { ...invoice, hash: "another" } };
}

describe("a transition that breaks an invariant is reported by its number", () => {
  test.each(BROKEN)("$invariant: $what", ({ invariant, before, after, written }) => {
    const found = breaches(before, after, written);
    expect(found.map((line) => line.split(":")[0])).toContain(invariant);
  });

  it("and nothing else is, where only one is broken", () => {
    expect(breaches(at(WAITING), at(CONFIRMING))).toHaveLength(1);
    expect(breaches(at(WAITING, contextWith(), 6), at(WAITING))).toHaveLength(1);
  });
});

describe("a checkout that begins", () => {
  const first = viewOf(begin(checkoutMachine, newContext()), 1);
  const written = { events: [], transfers: [] };

  it("breaks nothing at its first entry", () => {
    expect(transitionBreaches(null, first, written)).toEqual([]);
  });

  it("has no past: no other number, no money, nothing told", () => {
    expect(transitionBreaches(null, { ...first, seq: 2 }, written)).toHaveLength(1);
    expect(transitionBreaches(null, { ...first, context: contextWith({ settledBy: paid }) }, written)).toHaveLength(1);
    expect(transitionBreaches(null, first, { events: telling("checkout_initiated"), transfers: [] })).toHaveLength(1);
  });
});

const failed = { class: "TERMINAL", code: "OUT_OF_STOCK", message: "The last one was sold meanwhile." };
const done = (actorId: string, output: unknown) => ({ type: `xstate.done.actor.${actorId}`, output });
const pending = { kind: "pending", nextAction: { type: "UPI_COLLECT", expiresAt: 2_000_000 } };
const success = (capture: object) => ({ type: "payment_collection_requirement_success", data: { ...capture, pcrId: "pcr_1" } });

const UNTIL_STEP_5 = [
  { type: "START" },
  done("pinningFlags", { flags: {} }),
  done("creatingPaymentGroups", { paymentGroups: [] }),
  done("acquiringLocks", {}),
  done("STEP_1", { preferences: [] }),
  done("STEP_2", contextWith().invoice),
  done("STEP_3", { checkoutOrderId: "co_1", orderNumber: "BLR-1" }),
  done("STEP_4", { optIns: [] }),
];
const UNTIL_STEP_7 = [
  ...UNTIL_STEP_5,
  done("STEP_5", { lineItems: [], dueAt: 2_000_000, payment: { pcrId: "pcr_1", attemptId: "att_1", outcome: pending } }),
  done("STEP_6", {}),
];
const UNDONE = { pcrId: "pcr_1", refunds: [], conflicts: [] };

describe("a normal run breaks nothing", () => {
  it("to a confirmation, with a further capture that goes back and comes again", () => {
    const failure = { ...further, pcrId: "pcr_1", code: "CLOSED", providerRefundId: refund.providerRefundId };
    const again = { ...refund, round: 2, refundId: "rfd_2", providerRefundId: "re_2" };
    const events = [
      ...UNTIL_STEP_7,
      done("STEP_7", {}),
      done("STEP_8", { lineItemIds: [] }),
      success(paid),
      done("STEP_9", { captures: [paid, further] }),
      done("STEP_10", { lineItemIds: [] }),
      done("refunding", refund),
      { type: "payment_refund_failed", data: failure },
      { type: "xstate.after.backoff.checkout.COMPLETED.refunding.backingOff" },
      done("refunding", again),
    ];
    expect(ranTo(events)).toEqual({ path: "COMPLETED.atRest", found: [] });
  });

  it("to a rollback, with an undo that is put aside and money that arrives too late", () => {
    const events = [
      ...UNTIL_STEP_7,
      success(paid),
      { type: "xstate.error.actor.STEP_7", error: failed },
      done("undo:preferencesMapping", UNDONE),
      { type: "xstate.error.actor.undo:paymentHydration", error: failed },
      done("undo:paymentRequest", { ...UNDONE, refunds: [refundOf(owedFor(paid, "ROLLBACK"))] }),
      success(further),
      ...["lineItems", "optIns", "order", "invoice", "preferences", "paymentGroups"].map((name) => done(`undo:${name}`, UNDONE)),
      done("undo:deferred", UNDONE),
      done("undo:deferred", { ...UNDONE, refunds: [refundOf(owedFor(further, "LATE"))] }),
    ];
    expect(ranTo(events)).toEqual({ path: "ROLLEDBACK.atRest", found: [] });
  });
});

function ranTo(events: readonly { readonly type: string }[]): { readonly path: string; readonly found: readonly string[] } {
  let snapshot = begin(checkoutMachine, newContext());
  let timers: Timers = {};
  let before = viewOf(snapshot, 1);
  const found: string[] = [];
  for (const event of events) {
    const decision = decide(checkoutMachine, snapshot, timers, { at: 1_000, ...event } as StampedEvent);
    ({ snapshot, timers } = decision);
    const after = viewOf(snapshot, before.seq + 1);
    found.push(...transitionBreaches(before, after, { events: decision.emitted, transfers: transfersBetween(before, after) }));
    before = after;
  }
  return { path: before.path, found };
}
