/** News that concerns something else than it seems to: another attempt, another capture, another refund, nothing at all. */
import { describe, expect, it } from "vitest";
import type { OwedRefund, PaymentAttempt } from "../../machines/context.ts";
import type { RefundFailedEvent } from "../../machines/events.ts";
import {
  newRefunds,
  owedFor,
  paymentAfter,
  withAttempt,
  withFailedRefund,
  withFailedRequest,
  withFailedReversal,
  withLateCapture,
  withRefunds,
} from "../../machines/payment.ts";
import { captureOf, contextWith, failure, newContext, PAYABLE, refundOf, success } from "../support/checkout-context.ts";

const paid = captureOf("psr_1");
const NEXT_ACTION = { type: "UPI_COLLECT", expiresAt: 2_000_000 };
const PENDING = { kind: "pending", nextAction: NEXT_ACTION } as const;

function reply(outcome: PaymentAttempt["outcome"], attemptId = "att_1"): PaymentAttempt {
  return { pcrId: "pcr_1", attemptId, outcome };
}

function owedOf(pspReference: string): OwedRefund {
  return owedFor(captureOf(pspReference), "LATE");
}

function bounceOf(pspReference: string, providerRefundId = `re_${pspReference}`, amount = PAYABLE): RefundFailedEvent {
  const { data } = success(pspReference, { amount });
  return { type: "payment_refund_failed", data: { ...data, code: "CLOSED", providerRefundId } };
}

describe("the reply to an attempt", () => {
  it("asks the customer for nothing once another capture has paid", () => {
    const payment = withAttempt(contextWith({ status: "CAPTURED", settledBy: paid }), reply(PENDING, "att_2"));
    expect(payment).toMatchObject({ status: "CAPTURED", attemptId: "att_2", nextAction: null });
  });

  it("asks the customer for nothing when it tells of a capture that is known already", () => {
    const known = { ...owedOf("psr_1"), amount: 1 };
    const payment = withAttempt(contextWith({ owed: [known] }), reply({ kind: "captured", ...captureOf("psr_1", 1) }));
    expect(payment.nextAction).toBeNull();
    expect(payment.owed).toEqual([known]);
  });

  it("whose failure was heard of before is declined from the start, unless another capture has paid", () => {
    const open = withAttempt(contextWith({ failedAttemptIds: ["att_2"] }), reply(PENDING, "att_2"));
    expect(open).toMatchObject({ status: "DECLINED", declineCode: "FAILED", nextAction: null });
    const context = contextWith({ status: "CAPTURED", settledBy: paid, failedAttemptIds: ["att_2"] });
    expect(withAttempt(context, reply(PENDING, "att_2"))).toMatchObject({ status: "CAPTURED", declineCode: null });
  });

  it.each([PENDING, { kind: "declined", code: "NO_FUNDS" } as const])("of kind $kind tells of no money", (outcome) => {
    expect(withAttempt(contextWith(), reply(outcome))).toMatchObject({ owed: [], refunds: [], settledBy: null });
  });
});

describe("the provider's report", () => {
  it.each([
    [PENDING, "REQUIRES_ACTION"],
    [{ kind: "declined", code: "NO_FUNDS" }, "DECLINED"],
    [{ kind: "cancelled" }, "DECLINED"],
  ])("of %o tells of no money", (outcome, status) => {
    const payment = paymentAfter(contextWith(), { output: { attemptId: "att_1", outcome, captures: [] } });
    expect(payment).toMatchObject({ status, owed: [], settledBy: null });
  });

  it.each([{ output: null }, { output: "text" }, { output: {} }, {}])("that says nothing, %o, changes nothing", (event) => {
    const context = contextWith();
    expect(paymentAfter(context, event)).toBe(context.payment);
  });

  it("of a settlement is read without an outcome", () => {
    expect(paymentAfter(contextWith(), { output: { captures: [paid] } }).settledBy).toEqual(paid);
  });
});

describe("an attempt that the provider refused outright", () => {
  it("is declined with the provider's code", () => {
    const { payment } = contextWith({ nextAction: NEXT_ACTION });
    expect(withFailedRequest(payment, "REFUSED")).toEqual({
      ...payment,
      status: "DECLINED",
      declineCode: "REFUSED",
      nextAction: null,
    });
  });

  it("changes nothing once another capture has paid", () => {
    const { payment } = contextWith({ status: "CAPTURED", settledBy: paid });
    expect(withFailedRequest(payment, "REFUSED")).toBe(payment);
  });
});

describe("a capture", () => {
  it("of another amount for an earlier attempt leaves the open one open", () => {
    const context = contextWith({ round: 2, attemptId: "att_2" });
    const payment = paymentAfter(context, success("psr_1", { attemptId: "att_1", amount: 1 }));
    expect(payment).toMatchObject({ status: "REQUIRES_ACTION", declineCode: null });
    expect(payment.owed).toEqual([owedFor(captureOf("psr_1", 1), "AMOUNT_MISMATCH")]);
    const own = paymentAfter(context, success("psr_1", { attemptId: "att_2", amount: 1 }));
    expect(own.status).toBe("DECLINED");
  });

  it.each([0, -1])("of %i leaves nothing to give back", (amount) => {
    const { payment } = contextWith();
    expect(withLateCapture(payment, success("psr_1", { amount }))).toBe(payment);
  });
});

describe("a failure", () => {
  it("that names no attempt after there were several changes nothing", () => {
    const context = contextWith({ round: 2, attemptId: "att_2" });
    expect(paymentAfter(context, failure())).toBe(context.payment);
  });

  it("before any attempt has an id is not remembered under none", () => {
    const context = contextWith({ attemptId: null });
    expect(paymentAfter(context, failure())).toMatchObject({ status: "DECLINED", failedAttemptIds: [] });
    const early = newContext();
    expect(paymentAfter(early, failure("att_1"))).toMatchObject({ status: "NOT_REQUESTED", failedAttemptIds: ["att_1"] });
  });
});

describe("a refund that failed", () => {
  it("is taken back alone: other refunds and other debts stay as they are", () => {
    const { payment } = contextWith({ refunds: [refundOf(owedOf("psr_1")), refundOf(owedOf("psr_2"))] });
    const after = withFailedRefund(payment, bounceOf("psr_1"));
    expect(after.refunds).toEqual([refundOf(owedOf("psr_2"))]);
    expect(after.owed).toMatchObject([{ pspReference: "psr_1", round: 2 }]);
    const owing = contextWith({ owed: [owedOf("psr_1"), owedOf("psr_2")] }).payment;
    expect(withFailedRefund(owing, bounceOf("psr_2")).owed.map(({ round }) => round)).toEqual([1, 2]);
  });

  it("is told apart from another capture's under the same provider's id", () => {
    const refunds = [{ ...refundOf(owedOf("psr_1")), providerRefundId: "re_same" }];
    const { payment } = contextWith({ refunds, owed: [] });
    expect(withFailedRefund(payment, bounceOf("psr_2", "re_same"))).toBe(payment);
    const failed = { ...owedOf("psr_1"), failedRefundIds: ["re_same"] };
    const fresh = { ...refundOf(owedOf("psr_2")), providerRefundId: "re_same" };
    expect(newRefunds(contextWith({ owed: [failed, owedOf("psr_2")] }).payment, [fresh])).toEqual([fresh]);
  });

  it("without a provider's id can't have failed", () => {
    const byHand = { ...refundOf(owedOf("psr_1")), providerRefundId: null };
    expect(newRefunds(contextWith({ owed: [owedOf("psr_1")] }).payment, [byHand])).toEqual([byHand]);
  });

  it("leaves its own failures with the refund that follows, and no other capture's", () => {
    const owed = [
      { ...owedOf("psr_1"), round: 2, failedRefundIds: ["re_old"] },
      { ...owedOf("psr_2"), round: 2, failedRefundIds: ["re_other"] },
    ];
    const [given] = withRefunds(contextWith({ owed }).payment, [refundOf(owedOf("psr_1"))]).refunds;
    expect(given?.failedRefundIds).toEqual(["re_old"]);
  });
});

describe("a reversal's refund that failed", () => {
  it("of a capture that nobody heard of is owed as the provider says, and what pays stays", () => {
    const owed = [owedOf("psr_2")];
    const after = withFailedReversal(contextWith({ settledBy: paid, owed }).payment, bounceOf("psr_9", "re_9", 5));
    expect(after.settledBy).toEqual(paid);
    const unheard = { ...captureOf("psr_9", 5), reason: "ROLLBACK", round: 2, failedRefundIds: ["re_9"] };
    expect(after.owed).toEqual([...owed, unheard]);
  });

  it("of one among several that are known is that one's", () => {
    const owed = [owedOf("psr_1"), owedOf("psr_2")];
    const after = withFailedReversal(contextWith({ owed }).payment, bounceOf("psr_2"));
    expect(after.owed.map(({ pspReference, round }) => [pspReference, round])).toEqual([
      ["psr_1", 1],
      ["psr_2", 2],
    ]);
  });

  it.each([0, -1])("of %i, of which nobody heard, is no debt", (amount) => {
    const { payment } = contextWith();
    expect(withFailedReversal(payment, bounceOf("psr_9", "re_9", amount))).toBe(payment);
  });

  it("of what pays counts with the capture's own amount, whatever the news says", () => {
    const after = withFailedReversal(contextWith({ settledBy: paid }).payment, bounceOf("psr_1", "re_1", 0));
    expect(after.settledBy).toBeNull();
    expect(after.owed).toMatchObject([{ ...paid, round: 2, failedRefundIds: ["re_1"] }]);
  });
});
