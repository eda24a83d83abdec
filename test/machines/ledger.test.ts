import { describe, expect, it } from "vitest";
import type { Payment } from "../../machines/context.ts";
import { transfersBetween, type Transfer } from "../../machines/ledger.ts";
import { owedFor } from "../../machines/payment.ts";
import type { CheckoutView, DocumentedState } from "../../machines/view.ts";
import { captureOf, contextWith, refundOf } from "../support/checkout-context.ts";

const paid = captureOf("psr_1");
const owed = owedFor(captureOf("psr_2"), "DUPLICATE");
const refund = refundOf(owed);

function viewWith(payment: Partial<Payment>, state: DocumentedState = "STEP_8"): CheckoutView {
  const finished = state === "COMPLETED" || state === "ROLLEDBACK";
  return {
    executionContextId: "ctx_1",
    seq: 1,
    path: state,
    state,
    status: "PROCESSING",
    finished,
    context: contextWith(payment),
  };
}

/** `debit<credit amount reference`: where the money arrives, where it leaves. */
function told(transfers: readonly Transfer[]): string[] {
  return transfers.map(({ debit, credit, amount, pspReference }) => `${debit}<${credit} ${amount} ${pspReference}`);
}

describe("a transition's transfers", () => {
  it("book a capture into suspense, whichever way it is taken, and once", () => {
    const settled = viewWith({ settledBy: paid });
    expect(told(transfersBetween(viewWith({}), settled))).toEqual([`PROVIDER<SUSPENSE ${paid.amount} psr_1`]);
    expect(told(transfersBetween(settled, viewWith({ settledBy: paid, owed: [owed] })))).toEqual([
      `PROVIDER<SUSPENSE ${owed.amount} psr_2`,
    ]);
    expect(transfersBetween(settled, settled)).toEqual([]);
  });

  it("move it to the order when the checkout completes, and not before", () => {
    const [confirming, completed] = [viewWith({ settledBy: paid }), viewWith({ settledBy: paid }, "COMPLETED")];
    expect(told(transfersBetween(confirming, completed))).toEqual([`SUSPENSE<ORDER ${paid.amount} psr_1`]);
    expect(transfersBetween(completed, completed)).toEqual([]);
  });

  it("give a refund back out of suspense, also one that a reversal is the first to tell of", () => {
    const before = viewWith({ owed: [owed] });
    expect(told(transfersBetween(before, viewWith({ refunds: [refund] })))).toEqual([`SUSPENSE<PROVIDER ${owed.amount} psr_2`]);
    expect(told(transfersBetween(viewWith({}), viewWith({ refunds: [refund] })))).toEqual([
      `PROVIDER<SUSPENSE ${owed.amount} psr_2`,
      `SUSPENSE<PROVIDER ${owed.amount} psr_2`,
    ]);
  });

  it("take it back into suspense when the refund failed, and name the operator's hand", () => {
    const refunded = viewWith({ refunds: [refund] }, "ROLLEDBACK");
    const again = viewWith({ owed: [{ ...owed, round: 2 }] }, "ROLLEDBACK");
    expect(told(transfersBetween(refunded, again))).toEqual([`PROVIDER<SUSPENSE ${owed.amount} psr_2`]);
    const byHand = viewWith({ refunds: [{ ...refund, round: 2, refundId: "rsl_1-1", byHand: true }] }, "ROLLEDBACK");
    expect(told(transfersBetween(again, byHand))).toEqual([`SUSPENSE<BY_HAND ${owed.amount} psr_2`]);
  });

  it("take back the one refund that failed, and leave the others given", () => {
    const other = refundOf(owedFor(captureOf("psr_3"), "LATE"));
    const refunded = viewWith({ refunds: [refund, other] }, "ROLLEDBACK");
    const again = viewWith({ owed: [{ ...owed, round: 2 }], refunds: [other] }, "ROLLEDBACK");
    expect(told(transfersBetween(refunded, again))).toEqual([`PROVIDER<SUSPENSE ${owed.amount} psr_2`]);
  });

  it("pay no order that nobody paid for: that checkout is refused elsewhere", () => {
    expect(transfersBetween(viewWith({}), viewWith({}, "COMPLETED"))).toEqual([]);
  });

  it("have nothing to say of a settlement of nothing", () => {
    const free = { ...paid, amount: 0 };
    expect(transfersBetween(viewWith({}), viewWith({ settledBy: free }))).toEqual([]);
    expect(transfersBetween(viewWith({ settledBy: free }), viewWith({ settledBy: free }, "COMPLETED"))).toEqual([]);
  });
});
