/** The finer points of one payment request and one price (I8), and of what is told when (I14). */
import { describe, expect, test } from "vitest";
import type { CheckoutContext } from "../../machines/context.ts";
import { captureOf, contextWith, refundOf } from "../support/checkout-context.ts";
import { owedFor } from "../../machines/payment.ts";
import {
  at,
  type BrokenTransition,
  breaches,
  COMPLETION,
  LAST_STEP,
  numbersOf,
  owed,
  paid,
  paying,
  refund,
  telling,
  type TransitionRow,
  undoing,
  WAITING,
} from "./transitions.ts";

const asked = contextWith();
const completed = contextWith({ settledBy: paid });
const third = owedFor(captureOf("psr_3"), "LATE");
const REFUNDING = "ROLLEDBACK.refunding.running";

function allowing(paymentAttemptsMax: number, round: number): CheckoutContext {
  const context = contextWith({ round });
  return { ...context, policy: { ...context.policy, paymentAttemptsMax } };
}

const BROKEN: readonly BrokenTransition[] = [
  { invariant: "I8", what: "the payment request is forgotten", before: at(WAITING), after: paying(WAITING, { pcrId: null }) },
  {
    invariant: "I8",
    what: "the price alone changes",
    before: at(WAITING, asked),
    after: at(WAITING, { ...asked, invoice: asked.invoice && { ...asked.invoice, hash: "another" } }),
  },
  {
    invariant: "I8",
    what: "the price is forgotten",
    before: at(WAITING, asked),
    after: at(WAITING, { ...asked, invoice: null }),
  },
  {
    invariant: "I8",
    what: "an attempt is taken back",
    before: paying(WAITING, { round: 2 }),
    after: paying(WAITING, { round: 1 }),
  },
  {
    invariant: "I8",
    what: "there is a second attempt of one",
    before: at(WAITING, allowing(1, 1)),
    after: at(WAITING, allowing(1, 2)),
  },
  {
    invariant: "I14",
    what: "it starts, and nobody is told",
    before: at("INITIALIZED"),
    after: at("PROCESSING.opening.pinningFlags.running"),
  },
  {
    invariant: "I14",
    what: "its start is told while it hasn't started",
    before: at("INITIALIZED", asked),
    after: at("INITIALIZED", asked),
    written: { events: telling("checkout_initiated") },
  },
  {
    invariant: "I14",
    what: "its start is told again",
    before: at(WAITING, asked),
    after: at(WAITING, asked),
    written: { events: telling("checkout_initiated") },
  },
  {
    invariant: "I14",
    what: "its end is told again",
    before: at("COMPLETED.refunding.running", completed),
    after: at("COMPLETED.atRest", completed),
    written: { events: COMPLETION },
    also: ["I14"],
  },
  {
    invariant: "I14",
    what: "its payment as it was, it completes, and nobody is told",
    before: at(LAST_STEP, completed),
    after: at("COMPLETED.atRest", completed),
    also: ["I14"],
  },
  {
    invariant: "I14",
    what: "a rollback is told to nobody",
    before: undoing("PROCESSING.undoing.paymentGroups.running", []),
    after: undoing("ROLLEDBACK.atRest", ["paymentGroups"]),
  },
  {
    invariant: "I14",
    what: "a refund is told to nobody",
    before: paying(REFUNDING, { owed: [owed] }),
    after: paying("ROLLEDBACK.atRest", { refunds: [refund] }),
  },
  {
    invariant: "I14",
    what: "a refund is told that was told before",
    before: paying(REFUNDING, { refunds: [refund], owed: [third] }),
    after: paying(REFUNDING, { refunds: [refund], owed: [third] }),
    written: { events: telling("payment_refunded") },
  },
  {
    invariant: "I14",
    what: "one of two refunds is told",
    before: paying(REFUNDING, { owed: [owed, third] }),
    after: paying("ROLLEDBACK.atRest", { refunds: [refund, refundOf(third)] }),
    written: { events: telling("payment_refunded") },
  },
];

describe("a transition that breaks an invariant is reported by its number, and by no other", () => {
  test.each(BROKEN)("$invariant: $what", ({ invariant, before, after, written, also = [] }) => {
    expect(numbersOf(breaches(before, after, written))).toEqual([invariant, ...also]);
  });
});

const SOUND: readonly TransitionRow[] = [
  ["the last attempt that is allowed", paying(WAITING, { round: 2 }), paying(WAITING, { round: 3 })],
  ["a first attempt where none is allowed", at(WAITING, allowing(0, 1)), at(WAITING, allowing(0, 1))],
  ["a payment request that is asked for", paying(WAITING, { pcrId: null }), at(WAITING)],
  ["a price that is pinned", at(WAITING, { ...asked, invoice: null }), at(WAITING, asked)],
  [
    "a start that is told",
    at("INITIALIZED"),
    at("PROCESSING.opening.pinningFlags.running"),
    { events: telling("checkout_initiated") },
  ],
  ["a completion that is told", at(LAST_STEP, completed), at("COMPLETED.atRest", completed), { events: COMPLETION }],
  ["what else is told", at(WAITING), at(WAITING), { events: telling("payment_failed", "checkout_needs_attention") }],
];

test.each(SOUND.map(([what, ...row]) => [what, row] as const))("%s breaks nothing", (_, [before, after, written]) => {
  expect(breaches(before, after, written)).toEqual([]);
});
