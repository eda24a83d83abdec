/** What the fakes do beyond the participants' contract, which test/services/participants.test.ts holds them to. */
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

test("an undo after the confirmation is put on record: no correct orchestrator asks for it", async () => {
  const { services, effects } = setup();
  await services.orders.createCheckoutOrder({ ...call("STEP_3"), ...ORDER });
  await services.orders.confirmCheckoutOrder(call("STEP_9"));
  expect(effects.violations).toEqual([]);
  await services.orders.undoCreateCheckoutOrder({ ...call("STEP_3"), reason: "CANCELLED" });
  expect(effects.violations).toHaveLength(1);
  expect(effects.of(CONTEXT)).toMatchObject([{ operation: "createCheckoutOrder", state: "CONFIRMED" }]);
});

test("calls that find their own undo are counted", async () => {
  const { services, payments, effects, request } = setup();
  await services.orders.undoCreateCheckoutOrder({ ...call("STEP_3"), reason: "CANCELLED" });
  await services.orders.createCheckoutOrder({ ...call("STEP_3"), ...ORDER }).catch(() => undefined);
  await payments.reversePaymentRequest({ ...request, owed: [], byHand: [] });
  await payments.createPaymentRequest(request).catch(() => undefined);
  expect([effects.refusals, payments.refusals]).toEqual([1, 1]);
});

test("a refund under a new key moves money again: nobody but the caller keeps that from happening", async () => {
  const { payments, request } = setup();
  const { attemptId, pcrId } = await payments.createPaymentRequest(request);
  payments.capture(CONTEXT, capture(attemptId, "psr_1"));
  const owed = owedFor({ pspReference: "psr_1", amount: 500, currency: "INR" }, "LATE");
  for (const key of ["a", "a", "b"]) await payments.refundCapture({ executionContextId: CONTEXT, key, pcrId, owed });
  expect(payments.find(CONTEXT)?.givenBack).toHaveLength(2);
});

test("a reversal asks for refunds under the keys of their captures, whichever call it is", async () => {
  const { payments, request } = setup();
  const { attemptId } = await payments.createPaymentRequest(request);
  const reverse = () => payments.reversePaymentRequest({ ...request, owed: [], byHand: [] });
  for (const pspReference of ["psr_1", "psr_2"]) {
    payments.capture(CONTEXT, capture(attemptId, pspReference));
    await reverse();
  }
  expect(payments.find(CONTEXT)?.givenBack.map(({ key }) => key)).toEqual(["ctx_1:refund:psr_1", "ctx_1:refund:psr_2"]);
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
