import { describe, expect, it } from "vitest";
import type { OwedRefund, PaymentAttempt } from "../../machines/context.ts";
import type { RefundFailedEvent } from "../../machines/events.ts";
import {
  attemptsLeft,
  heldCaptures,
  owedFor,
  paymentAfter,
  withAttempt,
  withFailedRefund,
  withFailedReversal,
  withLateCapture,
  withRefunds,
  withRefundsByHand,
} from "../../machines/payment.ts";
import {
  captureOf,
  contextWith,
  CURRENCY,
  expiry,
  failure,
  newContext,
  PAYABLE,
  refundOf,
  success,
} from "../support/checkout-context.ts";

const paid = captureOf("psr_1");

function attempt(outcome: PaymentAttempt["outcome"], attemptId = "att_1"): PaymentAttempt {
  return { pcrId: "pcr_1", attemptId, outcome };
}

function owedOf(pspReference: string): OwedRefund {
  return owedFor(captureOf(pspReference), "LATE");
}

/** As it is owed after that refund of it failed. */
function owedAgain(pspReference: string, refundId = `re_${pspReference}`): OwedRefund {
  return { ...owedOf(pspReference), round: 2, failedRefundIds: [refundId] };
}

function refundFailed(pspReference: string, providerRefundId = `re_${pspReference}`): RefundFailedEvent {
  const { data } = success(pspReference);
  return { type: "payment_refund_failed", data: { ...data, code: "ACCOUNT_CLOSED", providerRefundId } };
}

describe("a success", () => {
  it("of the exact amount pays, and nothing else of the event is kept", () => {
    const payment = paymentAfter(contextWith(), success("psr_1"));
    expect(payment).toMatchObject({ status: "CAPTURED", settledBy: paid, owed: [] });
    expect(payment.settledBy).toEqual(paid);
  });

  it("that arrives again is a no-op", () => {
    const context = contextWith({ status: "CAPTURED", settledBy: paid });
    expect(paymentAfter(context, success("psr_1"))).toBe(context.payment);
  });

  it("that comes second with another capture is owed back: one capture pays", () => {
    const payment = paymentAfter(contextWith({ status: "CAPTURED", settledBy: paid }), success("psr_2"));
    expect(payment).toMatchObject({
      status: "CAPTURED",
      settledBy: paid,
      owed: [owedFor(captureOf("psr_2"), "DUPLICATE")],
    });
  });

  it.each([
    ["less", PAYABLE - 1, CURRENCY],
    ["more", PAYABLE + 1, CURRENCY],
    ["another currency", PAYABLE, "JPY"],
  ])("over %s never pays: it is owed back and the attempt is spent", (_, amount, currency) => {
    const payment = paymentAfter(contextWith(), success("psr_1", { amount, currency }));
    expect(payment).toMatchObject({ status: "DECLINED", declineCode: "AMOUNT_MISMATCH", settledBy: null });
    expect(payment.owed).toEqual([owedFor(captureOf("psr_1", amount, currency), "AMOUNT_MISMATCH")]);
  });

  it("over another amount doesn't undo a payment that stands", () => {
    const payment = paymentAfter(contextWith({ status: "CAPTURED", settledBy: paid }), success("psr_2", { amount: 1 }));
    expect(payment).toMatchObject({ status: "CAPTURED", settledBy: paid, owed: [{ reason: "AMOUNT_MISMATCH" }] });
  });

  it("never pays before there is a price", () => {
    expect(paymentAfter(newContext(), success("psr_1"))).toMatchObject({
      settledBy: null,
      owed: [{ reason: "AMOUNT_MISMATCH" }],
    });
  });

  it("after a failure pays: FAILED is not final", () => {
    const failed = contextWith(paymentAfter(contextWith(), failure("att_1")));
    expect(paymentAfter(failed, success("psr_1"))).toMatchObject({ status: "CAPTURED", settledBy: paid, declineCode: null });
  });

  it("of a capture that was given back is known", () => {
    const context = contextWith({ refunds: [refundOf(owedOf("psr_1"))] });
    expect(paymentAfter(context, success("psr_1"))).toBe(context.payment);
  });
});

describe("a failure", () => {
  it("of the open attempt declines it", () => {
    expect(paymentAfter(contextWith(), failure("att_1", "NO_FUNDS"))).toMatchObject({
      status: "DECLINED",
      declineCode: "NO_FUNDS",
      failedAttemptIds: ["att_1"],
      nextAction: null,
    });
  });

  it("without an attempt's id is the open attempt's", () => {
    expect(paymentAfter(contextWith(), failure())).toMatchObject({ status: "DECLINED", failedAttemptIds: ["att_1"] });
  });

  it("by expiry declines as EXPIRED", () => {
    expect(paymentAfter(contextWith(), expiry("att_1"))).toMatchObject({ status: "DECLINED", declineCode: "EXPIRED" });
  });

  it("of an older attempt says nothing about the open one", () => {
    const payment = paymentAfter(contextWith({ attemptId: "att_2", round: 2 }), failure("att_1"));
    expect(payment).toMatchObject({ status: "REQUIRES_ACTION", declineCode: null, failedAttemptIds: ["att_1"] });
  });

  it("that arrives again is a no-op", () => {
    const context = contextWith(paymentAfter(contextWith(), failure("att_1")));
    expect(paymentAfter(context, failure("att_1"))).toBe(context.payment);
  });

  it("after the capture changes nothing about it", () => {
    const payment = paymentAfter(contextWith({ status: "CAPTURED", settledBy: paid }), failure("att_1"));
    expect(payment).toMatchObject({ status: "CAPTURED", settledBy: paid });
  });

  it("that arrives before the reply that names its attempt is applied when the reply comes", () => {
    const requested = contextWith({ attemptId: null, round: 2 });
    const early = contextWith(paymentAfter(requested, failure("att_2")));
    expect(early.payment).toMatchObject({ status: "REQUIRES_ACTION", failedAttemptIds: ["att_2"] });
    const reply = attempt({ kind: "pending", nextAction: { type: "UPI_COLLECT", expiresAt: 9 } }, "att_2");
    expect(withAttempt(early, reply)).toMatchObject({ status: "DECLINED", attemptId: "att_2", nextAction: null });
  });
});

describe("the reply to an attempt", () => {
  const nextAction = { type: "UPI_COLLECT", expiresAt: 9 };

  it("that is pending leaves it open, with what to do next", () => {
    const payment = withAttempt(newContext(), attempt({ kind: "pending", nextAction }));
    expect(payment).toMatchObject({ status: "REQUIRES_ACTION", pcrId: "pcr_1", attemptId: "att_1", nextAction });
  });

  it("that is captured pays, as an event would", () => {
    const reply = { output: attempt({ kind: "captured", ...paid }) };
    expect(paymentAfter(contextWith(), reply)).toMatchObject({ status: "CAPTURED", settledBy: paid, nextAction: null });
  });

  it("and its event settle once", () => {
    const byReply = contextWith(withAttempt(contextWith(), attempt({ kind: "captured", ...paid })));
    expect(paymentAfter(byReply, success("psr_1"))).toBe(byReply.payment);
  });

  it("that is declined declines", () => {
    const payment = withAttempt(contextWith(), attempt({ kind: "declined", code: "NO_FUNDS" }));
    expect(payment).toMatchObject({ status: "DECLINED", declineCode: "NO_FUNDS" });
  });

  it("doesn't reopen what an early success paid", () => {
    const context = contextWith({ status: "CAPTURED", settledBy: paid });
    expect(withAttempt(context, attempt({ kind: "pending", nextAction }, "att_2"))).toMatchObject({
      status: "CAPTURED",
      settledBy: paid,
    });
  });

  it("captured twice over two attempts: the second is owed back", () => {
    const context = contextWith({ status: "CAPTURED", settledBy: paid });
    const payment = withAttempt(context, attempt({ kind: "captured", ...captureOf("psr_2") }, "att_2"));
    expect(payment).toMatchObject({ settledBy: paid, owed: [{ pspReference: "psr_2", reason: "DUPLICATE" }] });
  });
});

describe("the provider's report", () => {
  it("settles by the first capture that it lists, and owes the others", () => {
    const captures = [paid, captureOf("psr_2")];
    const output = { attemptId: "att_1", outcome: { kind: "captured", ...paid }, captures };
    expect(paymentAfter(contextWith(), { output })).toMatchObject({ settledBy: paid, owed: [{ pspReference: "psr_2" }] });
  });

  it("of a cancelled attempt declines it", () => {
    const output = { attemptId: "att_1", outcome: { kind: "cancelled" }, captures: [] };
    expect(paymentAfter(contextWith(), { output })).toMatchObject({ status: "DECLINED", declineCode: "CANCELLED" });
  });
});

it.each([{ type: "CANCEL" }, { output: null }, { output: { mapped: 2 } }, {}])("%j is no news about the payment", (event) => {
  const context = contextWith();
  expect(paymentAfter(context, event)).toBe(context.payment);
});

describe("money that comes too late", () => {
  it("is owed back once, however often it is announced", () => {
    const { payment } = contextWith({ status: "DECLINED" });
    const once = withLateCapture(payment, success("psr_9"));
    expect(once.owed).toEqual([owedOf("psr_9")]);
    expect(once.settledBy).toBeNull();
    expect(withLateCapture(once, success("psr_9"))).toEqual(once);
  });

  it("is not owed again after it was given back", () => {
    const { payment } = contextWith({ refunds: [refundOf(owedOf("psr_9"))] });
    expect(withLateCapture(payment, success("psr_9"))).toEqual(payment);
  });

  it("is not announced by a failure or by anything else", () => {
    const { payment } = contextWith();
    expect(withLateCapture(payment, failure("att_1"))).toEqual(payment);
    expect(withLateCapture(payment, { type: "CANCEL" })).toEqual(payment);
  });
});

describe("refunds", () => {
  const refund = refundOf(owedOf("psr_1"));

  it("take what was given back off what is owed, and keep what is not", () => {
    const payment = withRefunds(contextWith({ owed: [owedOf("psr_1"), owedOf("psr_2")] }).payment, [refund]);
    expect(payment.owed).toEqual([owedOf("psr_2")]);
    expect(payment.refunds).toEqual([refund]);
  });

  it("of the capture that paid leave nothing that pays", () => {
    const { payment } = contextWith({ status: "CAPTURED", settledBy: paid });
    expect(withRefunds(payment, [refund]).settledBy).toBeNull();
    expect(withRefunds(payment, [refundOf(owedOf("psr_2"))]).settledBy).toEqual(paid);
  });

  it("that the provider took back are owed again under the next round, and what an old round still answers is none", () => {
    const given = withRefunds(contextWith({ owed: [owedOf("psr_1")] }).payment, [refund]);
    const again = withFailedRefund(given, refundFailed("psr_1"));
    expect(again).toMatchObject({ owed: [owedAgain("psr_1")], refunds: [] });
    expect(withRefunds(again, [refund])).toEqual(again);
    const second = { ...refund, round: 2, refundId: "rfd_again", providerRefundId: "re_again" };
    const kept = withRefunds(again, [second]);
    expect(kept).toMatchObject({ owed: [], refunds: [{ ...second, failedRefundIds: ["re_psr_1"] }] });
    // Told of once more, under another event's id.
    expect(withFailedRefund(kept, refundFailed("psr_1"))).toBe(kept);
  });

  it("whose failure overtook their acceptance are made again", () => {
    const payment = withFailedRefund(contextWith({ owed: [owedOf("psr_1")] }).payment, refundFailed("psr_1"));
    expect(withRefunds(payment, [refund]).owed).toEqual([owedAgain("psr_1")]);
    expect(withFailedRefund(payment, refundFailed("psr_1"))).toBe(payment);
  });

  it("that took the place of one that failed unheard stand, when the news of that one comes late", () => {
    // The first one's answer was lost and it failed; the call made the second round by itself.
    const second = { ...refund, round: 2, failedRefundIds: ["re_unheard"] };
    const payment = withRefunds(contextWith({ owed: [owedOf("psr_1")] }).payment, [second]);
    expect(withFailedRefund(payment, refundFailed("psr_1", "re_unheard"))).toBe(payment);
    const again = withFailedRefund(payment, refundFailed("psr_1"));
    expect(again.owed).toEqual([{ ...owedOf("psr_1"), round: 3, failedRefundIds: ["re_unheard", "re_psr_1"] }]);
  });

  it("that failed while nobody had told of them yet are owed all the same, the one that settled included", () => {
    const { payment } = contextWith({ status: "CAPTURED", settledBy: paid, owed: [owedOf("psr_2")] });
    const settling = withFailedReversal(payment, refundFailed("psr_1"));
    expect(settling).toMatchObject({
      settledBy: null,
      owed: [owedOf("psr_2"), { ...owedAgain("psr_1"), reason: "ROLLBACK" }],
    });
    expect(withFailedReversal(payment, refundFailed("psr_9")).owed).toHaveLength(2);
    // Some providers don't repeat the amount.
    const unpriced = refundFailed("psr_1");
    expect(withFailedReversal(payment, { ...unpriced, data: { ...unpriced.data, amount: 0 } })).toEqual(settling);
    expect(withFailedReversal(payment, refundFailed("psr_2")).owed).toEqual([owedAgain("psr_2")]);
  });

  it("that were never made can't fail: a confirmed checkout keeps what paid for it", () => {
    const { payment } = contextWith({ status: "CAPTURED", settledBy: paid });
    expect(withFailedRefund(payment, refundFailed("psr_1"))).toBe(payment);
  });

  it("made by hand stand, whatever the provider says of another one", () => {
    const payment = withRefundsByHand(contextWith({ owed: [owedOf("psr_1")] }).payment, [owedOf("psr_1")], "rsl_1");
    expect(payment).toMatchObject({ owed: [], refunds: [{ refundId: "rsl_1-1", byHand: true }] });
    expect(withFailedRefund(payment, refundFailed("psr_1"))).toBe(payment);
  });

  it("cover what settled as well as what is owed, but not a settlement of nothing", () => {
    const settledBy = captureOf("psr_1");
    const { payment } = contextWith({ settledBy, owed: [owedOf("psr_2")] });
    expect(heldCaptures(payment).map(({ pspReference, reason }) => [pspReference, reason])).toEqual([
      ["psr_2", "LATE"],
      ["psr_1", "ROLLBACK"],
    ]);
    expect(heldCaptures({ ...payment, settledBy: { ...settledBy, amount: 0 }, owed: [] })).toEqual([]);
  });

  it("reported twice are kept once", () => {
    const once = withRefunds(contextWith().payment, [refund]);
    expect(withRefunds(once, [refund]).refunds).toHaveLength(1);
  });
});

it("attempts left count down to none and never below", () => {
  expect([1, 2, 3, 4].map((round) => attemptsLeft(contextWith({ round })))).toEqual([2, 1, 0, 0]);
});
