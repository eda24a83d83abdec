import { expect, test } from "vitest";
import { owedFor } from "../../machines/payment.ts";
import type { Call, PaymentRequest } from "../../steps/services.ts";
import { FakeParticipants } from "./fake-participants.ts";
import { VirtualClock } from "./virtual-clock.ts";

const CONTEXT = "ctx_1";
const ORDER = { userId: "usr_1", cityId: "BLR", cartId: "cart_1", invoiceId: "inv_1", payable: 500, currency: "INR" };

function setup() {
  const participants = new FakeParticipants(new VirtualClock());
  const { services, payments, effects } = participants;
  const request: Call & PaymentRequest = {
    ...call("STEP_5:1"),
    payerId: "usr_1",
    checkoutOrderId: "co_1",
    method: "UPI",
    instrumentId: "ins_async",
    round: 1,
    amount: 500,
    currency: "INR",
    dueAt: 1_000,
  };
  return { participants, services, payments, effects, request };
}

const call = (step: string): Call => ({ executionContextId: CONTEXT, key: `${CONTEXT}:${step}` });
const capture = (attemptId: string, pspReference: string) => ({ attemptId, pspReference, amount: 500, currency: "INR" });

test("an effect happens once per key, and not at all after its undo", async () => {
  const { services, effects } = setup();
  const order = () => services.orders.createCheckoutOrder({ ...call("STEP_3"), ...ORDER });
  expect(await order()).toEqual(await order());
  expect(effects.of(CONTEXT)).toMatchObject([{ operation: "createCheckoutOrder", state: "LIVE" }]);
  const undo = { ...call("STEP_3"), reason: "CANCELLED" };
  expect(await services.orders.undoCreateCheckoutOrder(undo)).toEqual(await services.orders.undoCreateCheckoutOrder(undo));
  await expect(order()).rejects.toMatchObject({ code: "UNDONE" });
  await expect(services.orders.confirmCheckoutOrder(call("STEP_9"))).rejects.toMatchObject({ code: "UNDONE" });
});

test("an undo of what never happened keeps the delayed original from happening", async () => {
  const { services, payments, request } = setup();
  await services.preferences.undoCreatePostSellingPreferences(call("STEP_1"));
  const late = services.preferences.createPostSellingPreferences({ ...call("STEP_1"), preferences: [] });
  await expect(late).rejects.toMatchObject({ code: "UNDONE" });
  expect(await payments.reversePaymentRequest({ ...request, owed: [], byHand: [] })).toEqual({ pcrId: null, refunds: [] });
  await expect(payments.createPaymentRequest(request)).rejects.toMatchObject({ code: "UNDONE" });
});

test("a new attempt is made only when no earlier one has paid", async () => {
  const { payments, request } = setup();
  const { attemptId, pcrId } = await payments.createPaymentRequest(request);
  const next = { ...request, ...call("STEP_5:2"), pcrId, round: 2 };
  payments.capture(CONTEXT, capture(attemptId, "psr_1"));
  expect(await payments.createPaymentAttempt(next)).toMatchObject({ attemptId, outcome: { kind: "captured" } });
  expect(payments.find(CONTEXT)?.charges).toHaveLength(1);
});

test("a reversal gives everything back once, also what is captured after its cancellation", async () => {
  const { payments, request } = setup();
  const { attemptId } = await payments.createPaymentRequest(request);
  payments.capture(CONTEXT, capture(attemptId, "psr_1"));
  const reverse = () => payments.reversePaymentRequest({ ...request, owed: [], byHand: [] });
  expect((await reverse()).refunds).toMatchObject([{ pspReference: "psr_1", reason: "ROLLBACK", round: 1 }]);
  payments.capture(CONTEXT, capture(attemptId, "psr_2"));
  expect((await reverse()).refunds).toHaveLength(2);
  expect(payments.find(CONTEXT)?.givenBack.map(({ key }) => key)).toEqual(["ctx_1:refund:psr_1", "ctx_1:refund:psr_2"]);
});

test("a refund under a new key moves money again: nobody but the caller keeps that from happening", async () => {
  const { payments, request } = setup();
  const { attemptId } = await payments.createPaymentRequest(request);
  payments.capture(CONTEXT, capture(attemptId, "psr_1"));
  const owed = owedFor({ pspReference: "psr_1", amount: 500, currency: "INR" }, "LATE");
  for (const key of ["a", "a", "b"]) await payments.refundCapture({ executionContextId: CONTEXT, key, owed });
  expect(payments.find(CONTEXT)?.givenBack).toHaveLength(2);
});

test("a copy goes its own way", async () => {
  const { participants, payments, request } = setup();
  const { attemptId } = await payments.createPaymentRequest(request);
  const copy = participants.clone(new VirtualClock());
  copy.payments.capture(CONTEXT, capture(attemptId, "psr_1"));
  await copy.services.orders.createCheckoutOrder({ ...call("STEP_3"), ...ORDER });
  expect(payments.find(CONTEXT)?.captures).toEqual([]);
  expect(participants.effects.of(CONTEXT)).toEqual([]);
});
