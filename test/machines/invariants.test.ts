/** Each invariant is broken in some ways; test/removals takes out each check, and then something here must fail. */
import { describe, expect, test } from "vitest";
import type { CheckoutContext, UndoName } from "../../machines/context.ts";
import { owedFor } from "../../machines/payment.ts";
import { captureOf, contextWith, PAYABLE } from "../support/checkout-context.ts";
import {
  at,
  type BrokenTransition,
  breaches,
  COMPLETION,
  CONFIRMING,
  DEFERRED,
  further,
  LAST_STEP,
  numbersOf,
  owed,
  paid,
  paying,
  refund,
  telling,
  undoing,
  WAITING,
} from "./transitions.ts";

const undone = (names: number): UndoName[] =>
  (["paymentGroups", "preferences", "invoice", "order"] as const).slice(0, names).toReversed();

const BROKEN: readonly BrokenTransition[] = [
  { invariant: "I1", what: "an end is left for another step", before: at("ROLLEDBACK.atRest"), after: at(WAITING) },
  {
    invariant: "I1",
    what: "one end is left for the other",
    before: paying("COMPLETED.atRest", { settledBy: paid }),
    after: at("ROLLEDBACK.atRest"),
    also: ["I5", "I7", "I14"],
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
    also: ["I7"],
  },
  {
    invariant: "I5",
    what: "a capture is forgotten",
    before: paying(WAITING, { owed: [owed] }),
    after: paying(WAITING, {}),
    also: ["I7"],
  },
  {
    invariant: "I5",
    what: "a refund is not its capture's amount",
    before: paying("COMPLETED.refunding.running", { settledBy: paid, owed: [owed] }),
    after: paying("COMPLETED.atRest", { settledBy: paid, refunds: [{ ...refund, amount: 1 }] }),
    written: { events: telling("payment_refunded") },
    also: ["I7"],
  },
  {
    invariant: "I5",
    what: "an amount is below zero",
    before: paying(WAITING, {}),
    after: paying(WAITING, { owed: [{ ...owed, amount: -1 }] }),
    also: ["I7"],
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
    also: ["I14"],
  },
  {
    invariant: "I14",
    what: "its end is told too early",
    before: paying(CONFIRMING, { settledBy: paid }),
    after: paying(LAST_STEP, { settledBy: paid }),
    written: { events: COMPLETION },
    also: ["I14"],
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

describe("a transition that breaks an invariant is reported by its number, and by no other", () => {
  test.each(BROKEN)("$invariant: $what", ({ invariant, before, after, written, also = [] }) => {
    const found = breaches(before, after, written);
    expect(numbersOf(found)).toEqual([invariant, ...also]);
  });
});
