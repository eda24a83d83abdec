/** Compensation as the chart has it: strict reverse, what fails is put aside, and what stays too long goes to an operator. */
import { describe, expect, it, test } from "vitest";
import { UNDO_ORDER, type UndoName } from "../../machines/context.ts";
import { owedFor } from "../../machines/payment.ts";
import { captureOf, expiry, failure, refundOf, success } from "../support/checkout-context.ts";
import { DOWN, MachineRun, REFUSED } from "./machine-run.ts";

const DEFERRED = "PROCESSING.undoing.deferred";
const NOTHING = { pcrId: null, refunds: [], conflicts: [] };
const KEYS: Readonly<Record<UndoName, string>> = {
  paymentGroups: "ctx_1:createPaymentGroup",
  preferences: "ctx_1:STEP_1",
  invoice: "ctx_1:STEP_2",
  order: "ctx_1:STEP_3",
  optIns: "ctx_1:STEP_4",
  lineItems: "ctx_1:STEP_5",
  paymentRequest: "ctx_1:STEP_5:1",
  paymentHydration: "ctx_1:STEP_6",
  preferencesMapping: "ctx_1:STEP_7",
  lineItemsUpdatedEvent: "ctx_1:STEP_8",
};
const REVERSE = UNDO_ORDER.toReversed();
const late = captureOf("psr_late");
const owedLate = owedFor(late, "LATE");

function undoing(): MachineRun {
  return MachineRun.at("awaitingPayment").send({ type: "CANCEL" });
}

/** With all undone that comes before it. */
function undoingAt(name: UndoName): MachineRun {
  const run = undoing();
  while (!run.path.startsWith(`PROCESSING.undoing.${name}.`)) run.done(NOTHING);
  return run;
}

/** With this undo put aside and all others done: it has its turn. */
function deferredWith(...names: readonly UndoName[]): MachineRun {
  const run = undoing();
  for (const name of REVERSE) {
    if (names.includes(name)) run.fail(REFUSED);
    else run.done(NOTHING);
  }
  return run;
}

/** The one that has its turn fails until an operator is asked. */
function stuck(run: MachineRun): MachineRun {
  for (let failures = 1; failures <= 6; failures++) {
    run.fail(DOWN);
    if (failures < 6) run.ring("backoff");
  }
  return run;
}

function resolving(target: { readonly undo: UndoName } | { readonly pspReference: string }) {
  return { type: "RESOLVE", resolutionId: "rsl_1", undo: null, pspReference: null, operator: "ops", reference: "T-1", ...target };
}

test("everything is undone in strict reverse, each under the key of the call that it undoes; then that is told", () => {
  const run = undoing();
  for (const undo of REVERSE) {
    expect(run.path).toBe(`PROCESSING.undoing.${undo}.running`);
    expect(run.view).toMatchObject({ state: "PROCESSING", status: "ROLLING_BACK" });
    const input = { executionContextId: "ctx_1", key: KEYS[undo], undo, reason: "CANCELLED", owed: [], byHand: [] };
    expect(run.running).toEqual({ id: `undo:${undo}`, src: "handleRollback", input });
    run.done(NOTHING);
    const reverted = { lineItemIds: ["li_1", "li_2"], reason: "CANCELLED" };
    if (undo === "lineItemsUpdatedEvent") expect(run.told).toEqual([{ type: "line_items_reverted", data: reverted }]);
    else if (undo !== "paymentGroups") expect(run.told).toEqual([]);
  }
  expect(run.view).toMatchObject({ path: "ROLLEDBACK.atRest", state: "ROLLEDBACK", status: "ROLLED_BACK", finished: true });
  const data = { reason: "CANCELLED", undone: REVERSE, undoneByHand: [] };
  expect(run.told).toEqual([{ type: "checkout_rolled_back", data }]);
});

test("the reason of the rollback is what failed, and stays it whatever an undo meets", () => {
  const run = MachineRun.at("STEP_2").fail(REFUSED).fail(DOWN);
  expect(run.path).toBe("PROCESSING.undoing.invoice.backingOff");
  expect(run.context.lastError?.code).toBe("REFUSED");
  expect(run.ring("backoff").running.input).toMatchObject({ undo: "invoice", reason: "REFUSED" });
});

describe.each(REVERSE)("the undo of %s", (undo) => {
  const path = `PROCESSING.undoing.${undo}`;
  const next = undo === "paymentGroups" ? `${DEFERRED}.running` : `PROCESSING.undoing.${before(undo)}.running`;

  it("is tried again after a wait, while it may work later", () => {
    const run = undoingAt(undo).fail(DOWN);
    expect(run.path).toBe(`${path}.backingOff`);
    expect(run.context.retry).toMatchObject({ failures: 1, firstFailedAt: 1_000 });
    expect(run.context.deferred).toEqual([]);
    expect(run.told).toEqual([]);
    expect(run.ring("backoff").running.id).toBe(`undo:${undo}`);
  });

  it("is put aside when it never will, and an operator is asked; the others go on", () => {
    const run = undoingAt(undo).fail(REFUSED);
    expect(run.path).toBe(next);
    expect(run.context).toMatchObject({ deferred: [undo], retry: { failures: 0 } });
    expect(run.told).toEqual([{ type: "checkout_needs_attention", data: { step: `undo:${undo}`, code: "REFUSED" } }]);
  });

  it("is put aside after its last try, or when its time is used up", () => {
    const tried = undoingAt(undo);
    for (let tries = 0; tries < 5; tries++) tried.fail(DOWN).ring("backoff");
    expect(tried.fail(DOWN).path).toBe(next);
    const timed = undoingAt(undo).fail(DOWN).ring("backoff");
    timed.now = 31_000;
    expect(timed.fail(DOWN).path).toBe(next);
  });

  it("has its turn once more after all the others", () => {
    const run = deferredWith(undo);
    expect(run.path).toBe(`${DEFERRED}.running`);
    expect(run.running).toMatchObject({ id: "undo:deferred", src: "handleRollback", input: { undo, key: KEYS[undo] } });
    expect(run.done(NOTHING).path).toBe("ROLLEDBACK.atRest");
    expect(run.context).toMatchObject({ deferred: [], undone: [...REVERSE.filter((name) => name !== undo), undo] });
  });
});

describe("what was put aside", () => {
  it("takes turns, a failing one after the others", () => {
    const run = deferredWith("order", "invoice");
    expect(run.running.input).toMatchObject({ undo: "order" });
    run.fail(DOWN);
    expect(run.view).toMatchObject({ path: `${DEFERRED}.backingOff`, status: "NEEDS_ATTENTION" });
    expect(run.context.deferred).toEqual(["invoice", "order"]);
    expect(run.ring("backoff").running.input).toMatchObject({ undo: "invoice" });
    run.done(NOTHING);
    expect(run.view).toMatchObject({ path: `${DEFERRED}.running`, status: "ROLLING_BACK" });
    expect(run.running.input).toMatchObject({ undo: "order" });
    expect(run.done(NOTHING).path).toBe("ROLLEDBACK.atRest");
  });

  it("is tried for ever, and an operator is asked once", () => {
    const run = deferredWith("order");
    for (let failures = 1; failures <= 8; failures++) {
      run.fail(REFUSED);
      expect(run.path).toBe(`${DEFERRED}.backingOff`);
      const alarm = { type: "checkout_needs_attention", data: { step: "undo:deferred", code: "REFUSED" } };
      expect(run.told).toEqual(failures === 6 ? [alarm] : []);
      run.ring("backoff");
    }
  });

  it("may be taken care of by an operator between two tries, and by nobody while one is under way", () => {
    const run = deferredWith("order", "invoice");
    expect(run.send(resolving({ undo: "order" })).context.deferred).toEqual(["order", "invoice"]);
    run.fail(DOWN).send(resolving({ undo: "preferences" }));
    expect(run.path).toBe(`${DEFERRED}.backingOff`);
    run.send(resolving({ undo: "order" }));
    expect(run.path).toBe(`${DEFERRED}.running`);
    expect(run.context).toMatchObject({ deferred: ["invoice"], undoneByHand: ["order"], retry: { failures: 0 } });
    run.fail(DOWN).send(resolving({ undo: "invoice" }));
    expect(run.path).toBe("ROLLEDBACK.atRest");
    expect(run.told).toEqual([
      {
        type: "checkout_rolled_back",
        data: {
          reason: "CANCELLED",
          undone: [...REVERSE.filter((name) => name !== "order" && name !== "invoice"), "order", "invoice"],
          undoneByHand: ["order", "invoice"],
        },
      },
    ]);
  });

  it("of money is taken care of only after it was tried for long, and told as given back by hand", () => {
    const run = MachineRun.at("STEP_8")
      .send(success("psr_x", { amount: 1 }))
      .send({ type: "CANCEL" });
    while (!run.path.startsWith("PROCESSING.undoing.paymentRequest")) run.done(NOTHING);
    run.fail(REFUSED);
    while (!run.path.startsWith(DEFERRED)) run.done(NOTHING);
    run.fail(DOWN).send(resolving({ undo: "paymentRequest" }));
    expect(run.path).toBe(`${DEFERRED}.backingOff`);
    for (let failures = 2; failures <= 6; failures++) run.ring("backoff").fail(DOWN);
    run.send(resolving({ undo: "paymentRequest" }));
    expect(run.path).toBe("ROLLEDBACK.atRest");
    const refund = { pcrId: "pcr_1", refundId: "rsl_1-1", ...captureOf("psr_x", 1), reason: "AMOUNT_MISMATCH", round: 1 };
    expect(run.told).toContainEqual({ type: "payment_refunded", data: { ...refund, byHand: true } });
  });
});

describe("money that arrives while undoing", () => {
  it("before its reversal is given to it, and the refund that it reports is told", () => {
    const run = undoing().send(success("psr_late"));
    expect(run.path).toBe("PROCESSING.undoing.lineItemsUpdatedEvent.running");
    expect(run.context.payment.owed).toEqual([owedLate]);
    while (!run.path.startsWith("PROCESSING.undoing.paymentRequest")) run.done(NOTHING);
    expect(run.running.input).toMatchObject({ owed: [owedLate] });
    run.done({ ...NOTHING, pcrId: "pcr_1", refunds: [refundOf(owedLate)] });
    const data = { pcrId: "pcr_1", refundId: "rfd_psr_late", ...late, reason: "LATE", round: 1 };
    expect(run.told).toEqual([{ type: "payment_refunded", data }]);
    expect(run.context.payment).toMatchObject({ owed: [], refunds: [refundOf(owedLate)] });
  });

  it("after its reversal makes it run once more, in the end", () => {
    const run = undoingAt("lineItems").send(success("psr_late"));
    expect(run.context.deferred).toEqual(["paymentRequest"]);
    while (!run.path.startsWith(DEFERRED)) run.done(NOTHING);
    expect(run.running.input).toMatchObject({ undo: "paymentRequest", owed: [owedLate] });
  });

  it("news of failures changes nothing", () => {
    const run = undoing();
    const { context } = run;
    for (const event of [failure("att_1"), expiry("att_1")]) expect(run.send(event).context).toEqual(context);
  });

  it("a refund that the bank sent back is owed again, and an operator is told; once", () => {
    const run = undoingAt("paymentRequest").send(success("psr_late"));
    run.done({ ...NOTHING, pcrId: "pcr_1", refunds: [refundOf(owedLate)] });
    const { data } = success("psr_late");
    const bounce = { type: "payment_refund_failed", data: { ...data, code: "CLOSED", providerRefundId: "re_psr_late" } };
    run.send(bounce);
    const told = { step: "undo:paymentRequest", code: "CLOSED", pspReference: "psr_late" };
    expect(run.told).toEqual([{ type: "checkout_needs_attention", data: told }]);
    expect(run.context.payment.owed).toMatchObject([{ pspReference: "psr_late", round: 2, failedRefundIds: ["re_psr_late"] }]);
    expect(run.context.deferred).toEqual(["paymentRequest"]);
    expect(run.send(bounce).told).toEqual([]);
  });
});

describe("after a rollback", () => {
  const rolledBack = () => MachineRun.at("pinningFlags").fail(REFUSED);
  const refunded = {
    type: "payment_refunded",
    data: { refundId: "rfd_psr_late", ...late, reason: "LATE", round: 1, pcrId: "pcr_1" },
  };

  function atRest(): MachineRun {
    const run = undoing();
    while (run.path !== "ROLLEDBACK.atRest") run.done(NOTHING);
    return run;
  }

  it("nothing was done yet: nothing is undone", () => {
    const run = rolledBack();
    expect(run.view).toMatchObject({ path: "ROLLEDBACK.atRest", status: "ROLLED_BACK" });
    expect(run.told).toEqual([{ type: "checkout_rolled_back", data: { reason: "REFUSED", undone: [], undoneByHand: [] } }]);
  });

  it("late money is given back, each capture in its turn, and the checkout stays rolled back", () => {
    const run = atRest().send(success("psr_late"));
    expect(run.view).toMatchObject({ path: "ROLLEDBACK.refunding.running", status: "ROLLED_BACK", finished: true });
    run.send(success("psr_2"));
    expect(run.path).toBe("ROLLEDBACK.refunding.running");
    run.done(refundOf(owedLate));
    expect(run.told).toStrictEqual([refunded]);
    expect(run.running.input).toMatchObject({ key: "ctx_1:refund:psr_2", owed: { pspReference: "psr_2" } });
  });

  it("a refund that fails is tried for ever, in turns, and an operator is asked once", () => {
    const run = atRest().send(success("psr_late")).send(success("psr_2"));
    for (let failures = 1; failures <= 7; failures++) {
      run.fail(DOWN);
      expect(run.path).toBe("ROLLEDBACK.refunding.backingOff");
      const alarm = { type: "checkout_needs_attention", data: { step: "refunding", code: "DOWN" } };
      expect(run.told).toEqual(failures === 6 ? [alarm] : []);
      const turn = failures % 2 === 0 ? "psr_late" : "psr_2";
      expect(run.ring("backoff").running.input).toMatchObject({ owed: { pspReference: turn } });
    }
  });

  it("one that stays owed for long may be given back by hand, between two tries", () => {
    const run = stuck(atRest().send(success("psr_late")));
    expect(run.send(resolving({ pspReference: "psr_other" })).path).toBe("ROLLEDBACK.refunding.backingOff");
    run.send(resolving({ pspReference: "psr_late" }));
    expect(run.path).toBe("ROLLEDBACK.atRest");
    const byHand = { ...refunded.data, refundId: "rsl_1-1", byHand: true };
    expect(run.told).toEqual([{ type: "payment_refunded", data: byHand }]);
    expect(run.context.retry.failures).toBe(0);
  });

  it("a refund that the bank sent back is owed again, and made anew after a wait", () => {
    const run = atRest().send(success("psr_late")).done(refundOf(owedLate));
    const { data } = success("psr_late");
    const bounce = { type: "payment_refund_failed", data: { ...data, code: "CLOSED", providerRefundId: "re_psr_late" } };
    run.send(bounce);
    expect(run.path).toBe("ROLLEDBACK.refunding.backingOff");
    expect(run.told).toEqual([
      { type: "checkout_needs_attention", data: { step: "refunding", code: "CLOSED", pspReference: "psr_late" } },
    ]);
    expect(run.context.retry).toEqual({ failures: 6, firstFailedAt: run.now, delayMs: 1_000 });
    expect(run.ring("backoff").running.input).toMatchObject({ key: "ctx_1:refund-2:psr_late", owed: { round: 2 } });
  });

  it.each(["re_unknown", "re_1"])("news of a failed refund %s that it never made leaves it at rest", (providerRefundId) => {
    const { data } = success("psr_unknown");
    const run = atRest().send({ type: "payment_refund_failed", data: { ...data, code: "CLOSED", providerRefundId } });
    expect(run.path).toBe("ROLLEDBACK.atRest");
    expect(run.told).toEqual([]);
  });
});

function before(undo: UndoName): UndoName {
  const name = UNDO_ORDER[UNDO_ORDER.indexOf(undo) - 1];
  if (name === undefined) throw new Error(`Nothing is done before ${undo}`);
  return name;
}
