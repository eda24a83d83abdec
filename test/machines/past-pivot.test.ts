/** Past the pivot there is only forward: to the confirmation, and giving back what was captured besides. */
import { expect, test } from "vitest";
import { captureOf, expiry, failure, success } from "../support/checkout-context.ts";
import { DUE, INVOICE, ITEMS } from "./machine-run.ts";
import { CONFIRMING, PAID, PAYS, waiting } from "./settlement-run.ts";

const confirming = () => waiting().send(PAYS);
const FACTS = { checkoutOrderId: "co_1", lineItems: ITEMS, invoice: INVOICE, paymentStatus: "CAPTURED" };

test("a normal run ends confirmed, and says so", () => {
  const run = confirming().done({ captures: [PAID] });
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

test("a cancel past the pivot changes nothing", () => {
  expect(confirming().send({ type: "CANCEL" }).path).toBe(CONFIRMING);
  expect(
    confirming()
      .done({ captures: [PAID] })
      .send({ type: "CANCEL" }).path,
  ).toMatch(/producingConfirmed\.running$/);
});

test("a further capture is given back after the end, whichever way it is heard of", () => {
  const further = captureOf("psr_2", DUE);
  const told = success("psr_2", { amount: DUE });
  const runs = [
    confirming()
      .done({ captures: [PAID, further] })
      .done({}),
    confirming()
      .send(told)
      .done({ captures: [PAID] })
      .done({}),
    confirming()
      .done({ captures: [PAID] })
      .send(told)
      .done({}),
    confirming()
      .done({ captures: [PAID] })
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

test("news of failures, and what is known already, leave a confirmed checkout at rest", () => {
  const run = confirming()
    .done({ captures: [PAID] })
    .done({});
  for (const event of [failure("att_1"), expiry("att_1"), PAYS]) {
    expect(run.send(event).path).toBe("COMPLETED.atRest");
    expect(run.told).toEqual([]);
  }
});

test("a failed refund that nobody made is told to nobody, also while another one is under way", () => {
  const run = confirming()
    .done({ captures: [PAID, captureOf("psr_2", DUE)] })
    .done({});
  const { data } = success("psr_2");
  run.send({ type: "payment_refund_failed", data: { ...data, pspReference: "psr_3", code: "CLOSED", providerRefundId: "re_3" } });
  expect(run.path).toBe("COMPLETED.refunding.running");
  expect(run.told).toEqual([]);
});
