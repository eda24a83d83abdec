/** The finer points of who pays (I3), what is known of each capture (I5, I6) and where its money is (I7). */
import { describe, expect, test } from "vitest";
import { owedFor } from "../../machines/payment.ts";
import { captureOf, contextWith, PAYABLE, refundOf } from "../support/checkout-context.ts";
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
  type TransitionRow,
  WAITING,
} from "./transitions.ts";

const unpaid = contextWith();
const settled = contextWith({ settledBy: paid });
const free = { ...unpaid, invoice: unpaid.invoice && { ...unpaid.invoice, lines: [] } };
const REFUNDING = "ROLLEDBACK.refunding.running";
const nothing = captureOf("psr_0", 0);
const third = owedFor(captureOf("psr_3"), "LATE");
const bounced = { ...owed, round: 2, failedRefundIds: ["re_old", "re_psr_2"] };

const BROKEN: readonly BrokenTransition[] = [
  { invariant: "I3", what: "nothing changes, and nothing pays", before: at(WAITING, unpaid), after: at(CONFIRMING, unpaid) },
  {
    invariant: "I3",
    what: "there is no price",
    before: at(WAITING),
    after: at(CONFIRMING, { ...settled, invoice: null }),
    also: ["I8"],
  },
  {
    invariant: "I3",
    what: "what pays comes after the pivot",
    before: paying(CONFIRMING, {}),
    after: paying(LAST_STEP, { settledBy: paid }),
  },
  {
    invariant: "I3",
    what: "what paid is owed back",
    before: paying(CONFIRMING, { settledBy: paid }),
    after: paying(LAST_STEP, { owed: [owedFor(paid, "DUPLICATE")] }),
    also: ["I3"],
  },
  {
    invariant: "I5",
    what: "a capture both pays and is owed",
    before: paying(WAITING, {}),
    after: paying(WAITING, { settledBy: further, owed: [owed] }),
    also: ["I7"],
  },
  {
    invariant: "I5",
    what: "an amount is no whole number",
    before: paying(WAITING, {}),
    after: paying(WAITING, { owed: [{ ...owed, amount: 0.5 }] }),
  },
  {
    invariant: "I5",
    what: "a capture's currency changes",
    before: paying(WAITING, { owed: [owed] }),
    after: paying(WAITING, { owed: [{ ...owed, currency: "USD" }] }),
    also: ["I7"],
  },
  {
    invariant: "I5",
    what: "one of two captures is forgotten",
    before: paying(WAITING, { owed: [owed, third] }),
    after: paying(WAITING, { owed: [third] }),
    also: ["I7"],
  },
  {
    invariant: "I6",
    what: "a refund is owed again, and another one failed",
    before: paying("ROLLEDBACK.atRest", { refunds: [refund, refundOf(third)] }),
    after: paying("ROLLEDBACK.refunding.running", {
      owed: [{ ...owed, failedRefundIds: ["re_other"] }],
      refunds: [refundOf(third)],
    }),
  },
  {
    invariant: "I6",
    what: "a refund is owed again, and its id is among another capture's failures",
    before: paying("ROLLEDBACK.refunding.running", { refunds: [refund], owed: [third] }),
    after: paying("ROLLEDBACK.refunding.running", { owed: [owed, { ...third, failedRefundIds: ["re_psr_2"] }] }),
  },
  {
    invariant: "I7",
    what: "nothing changes, and the ledger is told of money",
    before: at(WAITING, unpaid),
    after: at(WAITING, unpaid),
    written: { transfers: [{ debit: "PROVIDER", credit: "SUSPENSE", ...further }] },
  },
  {
    invariant: "I7",
    what: "it completes, its payment as it was, and the ledger leaves it in suspense",
    before: at(LAST_STEP, settled),
    after: at("COMPLETED.atRest", settled),
    written: { events: COMPLETION, transfers: [] },
  },
  {
    invariant: "I7",
    what: "a refund by hand is told as the provider's",
    before: paying("ROLLEDBACK.refunding.backingOff", { owed: [owed] }),
    after: paying("ROLLEDBACK.atRest", { refunds: [{ ...refund, byHand: true }] }),
    written: { events: telling("payment_refunded"), transfers: [{ debit: "SUSPENSE", credit: "PROVIDER", ...further }] },
  },
];

describe("a transition that breaks an invariant is reported by its number, and by no other", () => {
  test.each(BROKEN)("$invariant: $what", ({ invariant, before, after, written, also = [] }) => {
    expect(numbersOf(breaches(before, after, written))).toEqual([invariant, ...also]);
  });
});

const refunded = { events: telling("payment_refunded") };

const SOUND: readonly TransitionRow[] = [
  ["a settlement of nothing, where nothing is due", at(WAITING, free), paidBy(nothing)],
  ["its payment untouched past the pivot", at(CONFIRMING, settled), at(LAST_STEP, settled)],
  [
    "a further capture past the pivot",
    paying(CONFIRMING, { settledBy: paid }),
    paying(LAST_STEP, { settledBy: paid, owed: [owed] }),
  ],
  ["a refund that failed", paying("ROLLEDBACK.atRest", { refunds: [refund] }), paying(REFUNDING, { owed: [bounced] })],
  [
    "a refund that failed while another capture is owed and a third was given back",
    paying(REFUNDING, { refunds: [refundOf(owedFor(paid, "LATE")), refund], owed: [third] }),
    paying(REFUNDING, { refunds: [refundOf(owedFor(paid, "LATE"))], owed: [third, bounced] }),
  ],
  [
    "one of two refunds",
    paying(REFUNDING, { owed: [owed, third] }),
    paying(REFUNDING, { refunds: [refund], owed: [third] }),
    refunded,
  ],
  [
    "a refund after another",
    paying(REFUNDING, { refunds: [refund], owed: [third] }),
    paying("ROLLEDBACK.atRest", { refunds: [refund, refundOf(third)] }),
    refunded,
  ],
  [
    "a refund by an operator's hand",
    paying(REFUNDING, { owed: [owed] }),
    paying("ROLLEDBACK.atRest", { refunds: [{ ...refund, byHand: true }] }),
    refunded,
  ],
  [
    "money that is owed between two tries",
    paying("COMPLETED.refunding.running", { settledBy: paid, owed: [owed] }),
    paying("COMPLETED.refunding.backingOff", { settledBy: paid, owed: [owed] }),
  ],
  [
    "a rollback that was settled by nothing",
    paying(DEFERRED, { settledBy: nothing }),
    paying("ROLLEDBACK.atRest", { settledBy: nothing }),
    { events: telling("checkout_rolled_back") },
  ],
];

test.each(SOUND.map(([what, ...row]) => [what, row] as const))("%s breaks nothing", (_, [before, after, written]) => {
  expect(breaches(before, after, written)).toEqual([]);
});

test("a capture of all that is due pays, and one unit more doesn't", () => {
  expect(breaches(at(WAITING), paying(CONFIRMING, { settledBy: captureOf("psr_1", PAYABLE) }))).toEqual([]);
  expect(breaches(at(WAITING), paying(CONFIRMING, { settledBy: captureOf("psr_1", PAYABLE + 1) }))).toHaveLength(1);
});

function paidBy(capture: typeof nothing) {
  return at(CONFIRMING, { ...free, payment: { ...free.payment, settledBy: capture } });
}
