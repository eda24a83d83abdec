import { expect, it } from "vitest";
import { NO_RETRY, type CheckoutContext, type OwedRefund, type UndoName } from "../../machines/context.ts";
import type { ResolveEvent } from "../../machines/events.ts";
import { owedFor } from "../../machines/payment.ts";
import { afterPayment, isAllUndone, nextDeferred, resolvedBy, rollbackAfter } from "../../machines/rollback.ts";
import { captureOf, contextWith, refundOf } from "../support/checkout-context.ts";

const NOTHING = { pcrId: null, refunds: [] };
const owed = owedFor(captureOf("psr_1"), "LATE");
const refund = refundOf(owed);

function undoingWith(
  undone: readonly UndoName[],
  deferred: readonly UndoName[],
  owing: readonly OwedRefund[] = [],
): CheckoutContext {
  const retry = { failures: 1, firstFailedAt: 0, delayMs: 200 };
  return { ...contextWith({ owed: owing }), retry, undone, deferred };
}

it("an undo that is done is noted, in order of completion", () => {
  const after = rollbackAfter(undoingWith(["preferencesMapping"], []), "paymentHydration", NOTHING);
  expect(after).toMatchObject({ undone: ["preferencesMapping", "paymentHydration"], deferred: [] });
});

it("an undo that was deferred is off the list once it is done, the others stay", () => {
  const after = rollbackAfter(undoingWith(["order"], ["optIns", "invoice"]), "optIns", NOTHING);
  expect(after).toMatchObject({ undone: ["order", "optIns"], deferred: ["invoice"] });
});

it("an undo that ran twice is noted once", () => {
  expect(rollbackAfter(undoingWith(["order"], []), "order", NOTHING).undone).toEqual(["order"]);
});

it("a reversal gives back what is owed", () => {
  const after = rollbackAfter(undoingWith([], ["paymentRequest"], [owed]), "paymentRequest", {
    pcrId: "pcr_1",
    refunds: [refund],
  });
  expect(after.deferred).toEqual([]);
  expect(after.payment).toMatchObject({ owed: [], refunds: [refund] });
});

it("a capture that arrived while the reversal ran makes it run once more", () => {
  const late = owedFor(captureOf("psr_2"), "LATE");
  const context = undoingWith([], ["paymentRequest"], [owed, late]);
  const after = rollbackAfter(context, "paymentRequest", { pcrId: "pcr_1", refunds: [refund] });
  expect(after).toMatchObject({ deferred: ["paymentRequest"], payment: { owed: [late] } });
  expect(isAllUndone(after)).toBe(false);
  expect(nextDeferred({ ...context, ...after })).toBe("paymentRequest");
});

it("money that is owed after its reversal has its turn among the other deferred undos, once", () => {
  const context = undoingWith(["paymentRequest"], ["optIns"]);
  const { payment } = contextWith({ owed: [owed] });
  const after = afterPayment(context, payment);
  expect(after.deferred).toEqual(["optIns", "paymentRequest"]);
  expect(afterPayment({ ...context, ...after }, payment).deferred).toEqual(["optIns", "paymentRequest"]);
  expect(afterPayment(undoingWith([], ["optIns"]), payment).deferred).toEqual(["optIns"]);
});

it("money that is owed doesn't hold up the undo of anything else", () => {
  const after = rollbackAfter(undoingWith([], ["paymentRequest"], [owed]), "order", NOTHING);
  expect(after).toMatchObject({ undone: ["order"], deferred: ["paymentRequest"] });
});

it("a reversal is the first to name a payment request whose outcome stayed unknown", () => {
  const unknown = { ...undoingWith([], []), payment: { ...contextWith().payment, pcrId: null } };
  expect(rollbackAfter(unknown, "paymentRequest", { pcrId: "pcr_7", refunds: [] }).payment.pcrId).toBe("pcr_7");
  expect(rollbackAfter(unknown, "order", NOTHING).payment.pcrId).toBeNull();
});

it("an operator takes care of a deferred undo, and of nothing that isn't deferred", () => {
  const context = undoingWith(["order"], ["optIns", "invoice"]);
  expect(resolvedBy(context, resolution({ undo: "optIns" }))).toMatchObject({
    undone: ["order", "optIns"],
    deferred: ["invoice"],
    undoneByHand: ["optIns"],
  });
  expect(resolvedBy(context, resolution({ undo: "order" }))).toBeNull();
  expect(resolvedBy(context, resolution({ undo: "paymentRequest" }))).toBeNull();
  expect(resolvedBy({ ...context, retry: NO_RETRY }, resolution({ undo: "optIns" }))).toBeNull();
});

it("an operator gives back by hand all that a payment request still holds", () => {
  const settledBy = captureOf("psr_2");
  const { payment, policy } = contextWith({ settledBy, owed: [owed] });
  const early = { ...undoingWith([], ["paymentRequest"], [owed]), payment };
  expect(resolvedBy(early, resolution({ undo: "paymentRequest" }))).toBeNull();
  const context = { ...early, retry: { ...early.retry, failures: policy.undoRetryMax + 1 } };
  const unnamed = { ...context, payment: { ...payment, pcrId: null } };
  expect(resolvedBy(unnamed, resolution({ undo: "paymentRequest" }))).toBeNull();
  const after = resolvedBy(context, resolution({ undo: "paymentRequest" }));
  expect(after?.payment).toMatchObject({ settledBy: null, owed: [], refunds: [{ byHand: true }, { byHand: true }] });
});

it("an operator gives back one capture by hand, of those that are owed, once it was tried for long", () => {
  const { policy, ...early } = undoingWith([], [], [owed]);
  const context = { ...early, policy, retry: { failures: policy.undoRetryMax + 1, firstFailedAt: 0, delayMs: 0 } };
  expect(resolvedBy({ ...early, policy }, resolution({ pspReference: owed.pspReference }))).toBeNull();
  const after = resolvedBy(context, resolution({ pspReference: owed.pspReference }));
  expect(after?.payment).toMatchObject({ owed: [], refunds: [{ ...owed, byHand: true }] });
  expect(resolvedBy(context, resolution({ pspReference: "psr_other" }))).toBeNull();
});

function resolution(target: { readonly undo: UndoName } | { readonly pspReference: string }): ResolveEvent {
  return { type: "RESOLVE", resolutionId: "rsl_1", undo: null, pspReference: null, operator: "ops", reference: "T-1", ...target };
}

it("all is undone once nothing is deferred and nothing is owed", () => {
  expect(isAllUndone(undoingWith([], []))).toBe(true);
  expect(isAllUndone(undoingWith([], ["order"]))).toBe(false);
  expect(isAllUndone(undoingWith([], [], [owed]))).toBe(false);
});

it("the deferred undos have their turns in order", () => {
  expect(nextDeferred(undoingWith([], ["order", "optIns"]))).toBe("order");
});
