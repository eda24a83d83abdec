/** From the wait for the payment to a confirmation or to the undoing: every kind of news, in every place. */
import { describe, expect, it, test } from "vitest";
import type { CheckoutPolicy } from "../../machines/context.ts";
import { captureOf, expiry, failure, success } from "../support/checkout-context.ts";
import { DOWN, DUE, DUE_AT, INVOICE, ITEMS, MachineRun, NEXT_ACTION, OPEN, REFUSED } from "./machine-run.ts";

const SETTLING = "PROCESSING.STEP_8.settling";
const WAITING = `${SETTLING}.awaitingPayment`;
const CONFIRMING = "PROCESSING.STEP_8.confirming.running";
const UNDOING = "PROCESSING.undoing.lineItemsUpdatedEvent.running";
const paid = captureOf("psr_1", DUE);
const pays = success("psr_1", { amount: DUE });
const declinedForGood = {
  class: "TERMINAL",
  step: "STEP_8",
  code: "PAYMENT_DECLINED",
  message: "The last payment attempt was declined.",
};
const anotherAttempt = { type: "ATTEMPT_PAYMENT", method: "CARD", instrumentId: "ins_2" };

function waiting(policy: Partial<CheckoutPolicy> = {}): MachineRun {
  return MachineRun.at("awaitingPayment", policy);
}

function requesting(policy: Partial<CheckoutPolicy> = {}): MachineRun {
  return waiting(policy).send(failure("att_1")).send(anotherAttempt);
}

function failedFor(code: string, attemptId = "att_1", attempt = 1, attemptsLeft = 2) {
  return { type: "payment_failed", data: { pcrId: "pcr_1", attemptId, attempt, code, attemptsLeft } };
}

describe("while the payment is awaited", () => {
  it("the deadline is the payment's own, and the provider is asked now and then", () => {
    const run = waiting();
    expect(run.path).toBe(WAITING);
    expect(run.view).toMatchObject({ state: "STEP_8", status: "AWAITING_PAYMENT" });
    expect(run.timers).toEqual({
      [`xstate.after.paymentDeadline.checkout.${SETTLING}`]: DUE_AT,
      [`xstate.after.paymentPoll.checkout.${WAITING}`]: 31_000,
    });
  });

  it("a success of the due amount confirms: only what is due now counts", () => {
    const run = waiting().send(pays);
    expect(run.path).toBe(CONFIRMING);
    expect(run.context.payment).toMatchObject({ status: "CAPTURED", settledBy: paid, nextAction: null });
    expect(run.told).toEqual([]);
    expect(run.running).toEqual({
      id: "STEP_9",
      src: "executePCRSuccessSteps",
      input: { executionContextId: "ctx_1", key: "ctx_1:STEP_9", pcrId: "pcr_1", pspReference: "psr_1" },
    });
  });

  it.each([
    ["a decline", failure("att_1"), "DECLINED"],
    ["an expiry", expiry("att_1"), "EXPIRED"],
    ["a capture of another amount", success("psr_x", { amount: 1 }), "AMOUNT_MISMATCH"],
  ])("%s is told with the attempts that are left, and another attempt is waited for", (_, event, code) => {
    const run = waiting().send(event);
    expect(run.path).toBe(WAITING);
    expect(run.told).toEqual([failedFor(code)]);
    expect(run.context.payment).toMatchObject({ status: "DECLINED", declineCode: code, nextAction: null });
    // The same news is told once.
    expect(run.send(event).told).toEqual([]);
  });

  it.each([
    ["a decline", failure("att_1"), "DECLINED"],
    ["an expiry", expiry("att_1"), "EXPIRED"],
  ])("%s of the last attempt undoes everything", (_, event, code) => {
    const run = waiting({ paymentAttemptsMax: 1 }).send(event);
    expect(run.path).toBe(UNDOING);
    expect(run.told).toEqual([failedFor(code, "att_1", 1, 0)]);
    expect(run.context.lastError).toEqual(declinedForGood);
  });

  it("a failure that names no attempt is applied to the only one, and asked about when there were several", () => {
    expect(waiting().send(failure()).told).toEqual([failedFor("DECLINED")]);
    const second = requesting().done({ ...OPEN, attemptId: "att_2" });
    expect(second.path).toBe(WAITING);
    expect(second.send(failure()).path).toBe(`${SETTLING}.polling`);
    const named = requesting()
      .done({ ...OPEN, attemptId: "att_2" })
      .send(failure("att_2"));
    expect(named.path).toBe(WAITING);
    expect(named.told).toEqual([failedFor("DECLINED", "att_2", 2, 1)]);
    const unnamed = expiry("att_1");
    const { attemptId: _, ...data } = unnamed.data;
    const again = requesting().done({ ...OPEN, attemptId: "att_2" });
    expect(again.send({ ...unnamed, data }).path).toBe(`${SETTLING}.polling`);
  });

  it("a cancel undoes everything, the published event first", () => {
    for (const run of [waiting(), waiting().ring("paymentPoll"), requesting()]) {
      run.send({ type: "CANCEL" });
      expect(run.path).toBe(UNDOING);
      expect(run.context.lastError).toMatchObject({ class: "TERMINAL", step: "STEP_8", code: "CANCELLED" });
    }
  });

  it("another attempt is made under the next round's key, and none beyond the last", () => {
    const run = requesting();
    expect(run.path).toBe(`${SETTLING}.requestingAttempt.running`);
    expect(run.context.payment).toMatchObject({
      status: "REQUIRES_ACTION",
      round: 2,
      choice: { method: "CARD", instrumentId: "ins_2" },
      attemptId: null,
      nextAction: null,
      declineCode: null,
    });
    expect(run.running).toEqual({
      id: "requestingAttempt",
      src: "createPaymentAttempt",
      input: {
        executionContextId: "ctx_1",
        key: "ctx_1:STEP_5:2",
        pcrId: "pcr_1",
        checkoutOrderId: "co_1",
        amount: DUE,
        currency: "INR",
        dueAt: DUE_AT,
        round: 2,
        method: "CARD",
        instrumentId: "ins_2",
      },
    });
    const last = waiting({ paymentAttemptsMax: 2 })
      .send(anotherAttempt)
      .done({ ...OPEN, attemptId: "att_2" });
    expect(last.send(anotherAttempt).path).toBe(WAITING);
    expect(last.ring("paymentPoll").send(anotherAttempt).path).toBe(`${SETTLING}.polling`);
    expect(waiting().ring("paymentPoll").send(anotherAttempt).path).toBe(`${SETTLING}.requestingAttempt.running`);
  });
});

describe("while the provider is asked whether an event was lost", () => {
  const polling = (policy: Partial<CheckoutPolicy> = {}) => waiting(policy).ring("paymentPoll");
  const report = (outcome: object, captures: readonly object[] = []) => ({ attemptId: "att_1", outcome, captures });

  it("it is asked about the payment request", () => {
    const run = polling();
    expect(run.path).toBe(`${SETTLING}.polling`);
    expect(run.view.status).toBe("AWAITING_PAYMENT");
    expect(run.running).toEqual({
      id: "polling",
      src: "getPaymentStatus",
      input: { executionContextId: "ctx_1", key: "ctx_1:STEP_5", pcrId: "pcr_1" },
    });
  });

  it("what it says counts like an event", () => {
    expect(polling().done(report({ kind: "captured", ...paid }, [paid])).path).toBe(CONFIRMING);
    const declined = polling().done(report({ kind: "declined", code: "NO_FUNDS" }));
    expect(declined.path).toBe(WAITING);
    expect(declined.told).toEqual([failedFor("NO_FUNDS")]);
    expect(polling({ paymentAttemptsMax: 1 }).done(report({ kind: "declined", code: "NO_FUNDS" })).path).toBe(UNDOING);
    const pending = polling().done(report({ kind: "pending", nextAction: NEXT_ACTION }));
    expect(pending.path).toBe(WAITING);
    expect(pending.told).toEqual([]);
  });

  it("no answer leaves everything as it is, and the next one is asked for in its time", () => {
    const run = polling().fail(REFUSED);
    expect(run.path).toBe(WAITING);
    expect(run.context.lastError).toBeNull();
    expect(run.timers[`xstate.after.paymentPoll.checkout.${WAITING}`]).toBe(61_000);
  });

  it.each([
    ["a success", pays, CONFIRMING],
    ["a decline", failure("att_1"), WAITING],
    ["an expiry", expiry("att_1"), WAITING],
  ])("%s that arrives meanwhile counts at once", (_, event, path) => {
    expect(polling().send(event).path).toBe(path);
  });
});

describe("while another attempt is requested", () => {
  it("its reply says how it went on", () => {
    const open = requesting().done({ ...OPEN, attemptId: "att_2" });
    expect(open.path).toBe(WAITING);
    expect(open.context.payment).toMatchObject({ attemptId: "att_2", nextAction: NEXT_ACTION, status: "REQUIRES_ACTION" });
    const captured = requesting().done({ ...OPEN, attemptId: "att_2", outcome: { kind: "captured", ...paid } });
    expect(captured.path).toBe(CONFIRMING);
    const declined = { ...OPEN, attemptId: "att_2", outcome: { kind: "declined", code: "NO_FUNDS" } };
    expect(requesting().done(declined).told).toEqual([failedFor("NO_FUNDS", "att_2", 2, 1)]);
    expect(requesting({ paymentAttemptsMax: 2 }).done(declined).path).toBe(UNDOING);
  });

  it("a success of an earlier attempt waits for the reply, and pays then", () => {
    const run = requesting().send({ ...pays, data: { ...pays.data, attemptId: "att_1" } });
    expect(run.path).toBe(`${SETTLING}.requestingAttempt.running`);
    expect(run.context.payment.settledBy).toEqual(paid);
    expect(run.done({ ...OPEN, attemptId: "att_2" }).path).toBe(CONFIRMING);
  });

  it("its decline is told, although a capture of another amount had spent it before it had an id", () => {
    const run = requesting().send(success("psr_x", { amount: 1 }));
    expect(run.context.payment).toMatchObject({ status: "DECLINED", attemptId: null });
    const declined = run.done({ ...OPEN, attemptId: "att_2", outcome: { kind: "declined", code: "NO_FUNDS" } });
    expect(declined.told).toEqual([failedFor("NO_FUNDS", "att_2", 2, 1)]);
  });

  it("a failure that may pass is tried again, under the same key", () => {
    const run = requesting().fail(DOWN);
    expect(run.path).toBe(`${SETTLING}.requestingAttempt.backingOff`);
    expect(run.context.lastError).toEqual({ ...DOWN, step: "STEP_8" });
    expect(run.context.retry.failures).toBe(1);
    expect(run.send(pays).path).toBe(`${SETTLING}.requestingAttempt.backingOff`);
    expect(run.ring("backoff").running.input).toMatchObject({ key: "ctx_1:STEP_5:2" });
  });

  it("one that passed every limit asks the provider what it holds", () => {
    const run = requesting({ stepRetryMax: 0 }).fail(DOWN);
    expect(run.path).toBe("PROCESSING.STEP_8.asking.running");
    expect(run.context.lastError).toEqual({ ...DOWN, step: "STEP_8" });
    expect(run.context.retry.failures).toBe(0);
  });

  it("a refusal spends the attempt like a decline", () => {
    const run = requesting().fail(REFUSED);
    expect(run.path).toBe(WAITING);
    expect(run.told).toEqual([
      { type: "payment_failed", data: { pcrId: "pcr_1", attemptId: null, attempt: 2, code: "REFUSED", attemptsLeft: 1 } },
    ]);
    expect(run.context).toMatchObject({ lastError: null, payment: { status: "DECLINED", declineCode: "REFUSED" } });
    const last = requesting({ paymentAttemptsMax: 2 }).fail(REFUSED);
    expect(last.path).toBe(UNDOING);
    expect(last.told).toHaveLength(1);
    expect(last.context.lastError).toEqual(declinedForGood);
  });

  it("a refusal after an earlier attempt has paid confirms", () => {
    const run = requesting().fail(DOWN).send(pays).ring("backoff").fail(REFUSED);
    expect(run.path).toBe(CONFIRMING);
    expect(run.context.lastError).toBeNull();
    expect(run.told).toEqual([]);
  });
});

describe("at the deadline", () => {
  const asking = () => waiting().ring("paymentDeadline");
  const report = (outcome: object, captures: readonly object[] = []) => ({ attemptId: "att_1", outcome, captures });
  const EXPIRED = {
    class: "TERMINAL",
    step: "STEP_8",
    code: "PAYMENT_EXPIRED",
    message: "The payment was not completed in time.",
  };

  it("the provider cancels what is pending and says what it holds", () => {
    const run = asking();
    expect(run.view).toMatchObject({ path: "PROCESSING.STEP_8.asking.running", status: "AWAITING_PAYMENT" });
    expect(run.running).toEqual({
      id: "asking",
      src: "cancelIfPending",
      input: { executionContextId: "ctx_1", key: "ctx_1:STEP_5", pcrId: "pcr_1" },
    });
    expect(run.timers).toEqual({});
  });

  it("what it had captured confirms; what it cancelled, or had declined, undoes everything", () => {
    expect(asking().done(report({ kind: "captured", ...paid }, [paid])).path).toBe(CONFIRMING);
    const cancelled = asking().done(report({ kind: "cancelled" }));
    expect(cancelled.path).toBe(UNDOING);
    expect(cancelled.context).toMatchObject({ lastError: EXPIRED, payment: { declineCode: "CANCELLED" } });
  });

  it("an earlier failure stays the reason", () => {
    const run = requesting({ stepRetryMax: 0 })
      .fail(DOWN)
      .done(report({ kind: "cancelled" }));
    expect(run.context.lastError).toEqual({ ...DOWN, step: "STEP_8" });
  });

  it("a success that arrives meanwhile is the provider's own word; another amount is only noted", () => {
    expect(asking().send(pays).path).toBe(CONFIRMING);
    const other = asking().send(success("psr_x", { amount: 1 }));
    expect(other.path).toBe("PROCESSING.STEP_8.asking.running");
    expect(other.context.payment.owed).toHaveLength(1);
    expect(asking().send(failure("att_1")).context.payment.status).toBe("DECLINED");
    expect(asking().send(expiry("att_1")).context.payment.status).toBe("DECLINED");
  });

  it("a cancel no longer waits for the answer", () => {
    const run = asking().send({ type: "CANCEL" });
    expect(run.path).toBe(UNDOING);
    expect(run.context.lastError?.code).toBe("CANCELLED");
  });

  it("the deadline counts from the payment request, however late the wait began", () => {
    const run = MachineRun.at("STEP_8");
    run.now = DUE_AT + 5;
    run.done({});
    expect(run.timers[`xstate.after.paymentDeadline.checkout.${SETTLING}`]).toBe(DUE_AT + 5);
  });
});

describe.each([
  ["asking", () => waiting().ring("paymentDeadline"), "PROCESSING.STEP_8.asking"],
  ["STEP_9", () => waiting().send(pays), "PROCESSING.STEP_8.confirming"],
  [
    "STEP_10",
    () =>
      waiting()
        .send(pays)
        .done({ captures: [paid] }),
    "PROCESSING.STEP_8.producingConfirmed",
  ],
])("%s never gives up", (id, begin, path) => {
  it("and calls for an operator once, after some tries", () => {
    const run = begin();
    const status = run.view.status;
    for (let failures = 1; failures <= 8; failures++) {
      run.fail(failures % 2 === 0 ? DOWN : REFUSED);
      expect(run.path).toBe(`${path}.backingOff`);
      expect(run.context.retry.failures).toBe(Math.min(failures, 6));
      const alarm = { type: "checkout_needs_attention", data: { step: id, code: failures % 2 === 0 ? "DOWN" : "REFUSED" } };
      expect(run.told).toEqual(failures === 6 ? [alarm] : []);
      expect(run.view.status).toBe(failures < 6 ? status : "NEEDS_ATTENTION");
      expect(run.context.lastError).toBeNull();
      run.ring("backoff");
      expect(run.running.id).toBe(id);
    }
  });
});

describe("past the pivot", () => {
  const confirming = () => waiting().send(pays);
  const FACTS = { checkoutOrderId: "co_1", lineItems: ITEMS, invoice: INVOICE, paymentStatus: "CAPTURED" };

  it("a normal run ends confirmed, and says so", () => {
    const run = confirming().done({ captures: [paid] });
    expect(run.running).toEqual({
      id: "STEP_10",
      src: "produceLineItemsConfirmedEvent",
      input: { executionContextId: "ctx_1", key: "ctx_1:STEP_10", ...FACTS },
    });
    run.done({ lineItemIds: ["li_1", "li_2"] });
    expect(run.view).toMatchObject({ path: "COMPLETED.atRest", state: "COMPLETED", status: "CONFIRMED", finished: true });
    expect(run.told).toEqual([
      { type: "line_items_confirmed", data: { lineItemIds: ["li_1", "li_2"] } },
      { type: "checkout_completed", data: { checkoutOrderId: "co_1", payable: 100_000, currency: "INR" } },
    ]);
  });

  it("a cancel changes nothing", () => {
    expect(confirming().send({ type: "CANCEL" }).path).toBe(CONFIRMING);
    expect(
      confirming()
        .done({ captures: [paid] })
        .send({ type: "CANCEL" }).path,
    ).toMatch(/producingConfirmed\.running$/);
  });

  it("a further capture is given back after the end, whichever way it is heard of", () => {
    const further = captureOf("psr_2", DUE);
    const told = success("psr_2", { amount: DUE });
    const runs = [
      confirming()
        .done({ captures: [paid, further] })
        .done({}),
      confirming()
        .send(told)
        .done({ captures: [paid] })
        .done({}),
      confirming()
        .done({ captures: [paid] })
        .send(told)
        .done({}),
      confirming()
        .done({ captures: [paid] })
        .done({})
        .send(told),
    ];
    for (const run of runs) {
      expect(run.view).toMatchObject({ path: "COMPLETED.refunding.running", status: "CONFIRMED" });
      const owed = { ...further, reason: "DUPLICATE", round: 1, failedRefundIds: [] };
      expect(run.running).toEqual({
        id: "refunding",
        src: "refundCapture",
        input: { executionContextId: "ctx_1", key: "ctx_1:refund:psr_2", pcrId: "pcr_1", owed },
      });
      run.done({ ...owed, refundId: "rfd_1", providerRefundId: "re_1" });
      expect(run.path).toBe("COMPLETED.atRest");
      const refunded = { pcrId: "pcr_1", refundId: "rfd_1", ...further, reason: "DUPLICATE", round: 1 };
      expect(run.told).toEqual([{ type: "payment_refunded", data: refunded }]);
    }
  });

  it("news of failures and what is known already leave it at rest", () => {
    const run = confirming()
      .done({ captures: [paid] })
      .done({});
    for (const event of [failure("att_1"), expiry("att_1"), pays]) {
      expect(run.send(event).path).toBe("COMPLETED.atRest");
      expect(run.told).toEqual([]);
    }
  });
});

test("a payment that is known before anyone waits for it settles as soon as its turn comes", () => {
  for (const step of ["STEP_6", "STEP_7", "STEP_8"]) {
    const run = MachineRun.at(step).send(pays);
    expect(run.running.id).toBe(step);
    while (run.path.startsWith("PROCESSING.STEP_") && run.path !== CONFIRMING) run.done({ lineItemIds: [] });
    expect(run.path).toBe(CONFIRMING);
    expect(run.told).toEqual([{ type: "line_items_updated", data: { lineItemIds: [] } }]);
  }
});

test.each([
  ["a decline", failure("att_1"), "DECLINED"],
  ["an expiry", expiry("att_1"), "EXPIRED"],
])("%s that is known before anyone waits for it is told once its turn comes", (_, event, code) => {
  const run = MachineRun.at("STEP_8").send(event).done({});
  expect(run.path).toBe(WAITING);
  expect(run.told).toEqual([{ type: "line_items_updated", data: {} }, failedFor(code)]);
  const last = MachineRun.at("STEP_8", { paymentAttemptsMax: 1 }).send(event).done({});
  expect(last.path).toBe(UNDOING);
  expect(last.told.map(({ type }) => type)).toEqual(["line_items_updated", "payment_failed"]);
  expect(last.context.lastError).toEqual(declinedForGood);
});
