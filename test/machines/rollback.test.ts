import { expect, it } from "vitest";
import type { CheckoutContext, OwedRefund, Refund, UndoName } from "../../machines/context.ts";
import { isAllUndone, nextDeferred, rollbackAfter } from "../../machines/rollback.ts";
import { captureOf, contextWith } from "../support/checkout-context.ts";

const NOTHING = { refunds: [] };
const owed: OwedRefund = { ...captureOf("psr_1"), reason: "LATE" };
const refund: Refund = { ...owed, refundId: "rfd_1" };

function undoingWith(
  undone: readonly UndoName[],
  deferred: readonly UndoName[],
  owing: readonly OwedRefund[] = [],
): CheckoutContext {
  return { ...contextWith({ owed: owing }), undone, deferred };
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
  const after = rollbackAfter(undoingWith([], ["paymentRequest"], [owed]), "paymentRequest", { refunds: [refund] });
  expect(after.deferred).toEqual([]);
  expect(after.payment).toMatchObject({ owed: [], refunds: [refund] });
});

it("a capture that arrived while the reversal ran makes it run once more", () => {
  const late: OwedRefund = { ...captureOf("psr_2"), reason: "LATE" };
  const context = undoingWith([], ["paymentRequest"], [owed, late]);
  const after = rollbackAfter(context, "paymentRequest", { refunds: [refund] });
  expect(after).toMatchObject({ deferred: [], payment: { owed: [late] } });
  expect(isAllUndone(after)).toBe(false);
  expect(nextDeferred({ ...context, ...after })).toBe("paymentRequest");
});

it("money that is owed doesn't hold up the undo of anything else", () => {
  const after = rollbackAfter(undoingWith([], ["paymentRequest"], [owed]), "order", NOTHING);
  expect(after).toMatchObject({ undone: ["order"], deferred: ["paymentRequest"] });
});

it("all is undone once nothing is deferred and nothing is owed", () => {
  expect(isAllUndone(undoingWith([], []))).toBe(true);
  expect(isAllUndone(undoingWith([], ["order"]))).toBe(false);
  expect(isAllUndone(undoingWith([], [], [owed]))).toBe(false);
});

it("the deferred undos have their turns in order", () => {
  expect(nextDeferred(undoingWith([], ["order", "optIns"]))).toBe("order");
});
