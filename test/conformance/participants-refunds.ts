/** A capture is given back once, however often and under whichever round it is asked for. */
import { expect } from "vitest";
import { AMOUNT, captureIn, PaymentCalls, TERMINAL } from "./payment-calls.ts";
import type { Open, State } from "./participants-under-test.ts";

export function refundConformance(open: Open, state: State): void {
  const paidCheckout = async () => {
    const checkout = new PaymentCalls(open());
    const paid = await checkout.request("pays");
    return { checkout, paid, capture: captureIn(paid) };
  };
  const GIVEN_BACK = { captured: AMOUNT, refunded: AMOUNT };

  state("a refund is made once per key", async () => {
    const { checkout, paid, capture } = await paidCheckout();
    const refund = await checkout.refund(paid, capture);
    expect(refund).toMatchObject({ ...capture, reason: "LATE", round: 1 });
    expect(await checkout.refund(paid, capture)).toEqual(refund);
    const [left, right] = await Promise.all([checkout.refund(paid, capture), checkout.refund(paid, capture)]);
    expect([left, right]).toEqual([refund, refund]);
    expect(await checkout.books()).toMatchObject(GIVEN_BACK);
  });

  state("two refunds that come at a time are one", async () => {
    const { checkout, paid, capture } = await paidCheckout();
    const [left, right] = await Promise.all([checkout.refund(paid, capture), checkout.refund(paid, capture)]);
    expect(left).toEqual(right);
    expect(await checkout.books()).toMatchObject(GIVEN_BACK);
  });

  state("what is given back already is a success under another round, and moves nothing", async () => {
    const { checkout, paid, capture } = await paidCheckout();
    await checkout.refund(paid, capture);
    await checkout.refund(paid, capture, 2);
    expect(await checkout.books()).toMatchObject(GIVEN_BACK);
  });

  state("a refund that failed later is made again under its next round, and an old round answers with that one", async () => {
    const { checkout, paid, capture } = await paidCheckout();
    const first = await checkout.refund(paid, capture);
    await checkout.sendBack(first);
    expect(await checkout.books()).toMatchObject({ captured: AMOUNT, refunded: 0 });
    const second = await checkout.refund(paid, capture, 2);
    expect(second).toMatchObject({ ...capture, round: 2 });
    expect(second.refundId).not.toBe(first.refundId);
    expect(second.providerRefundId).not.toBe(first.providerRefundId);
    expect(await checkout.refund(paid, capture, 2)).toEqual(second);
    expect(await checkout.refund(paid, capture)).toMatchObject({ round: 2, refundId: second.refundId });
    expect(await checkout.books()).toMatchObject(GIVEN_BACK);
  });

  state("a refund that failed unheard goes on under the next round by itself, and names the one that failed", async () => {
    const { checkout, paid, capture } = await paidCheckout();
    const first = await checkout.refund(paid, capture);
    await checkout.sendBack(first);
    const second = await checkout.refund(paid, capture);
    expect(second).toMatchObject({ round: 2, failedRefundIds: [first.providerRefundId] });
    expect(await checkout.books()).toMatchObject(GIVEN_BACK);
  });

  state("a refund that went on by itself is answered with the same again", async () => {
    const { checkout, paid, capture } = await paidCheckout();
    await checkout.sendBack(await checkout.refund(paid, capture));
    const second = await checkout.refund(paid, capture);
    expect(await checkout.refund(paid, capture)).toEqual(second);
  });

  state("refunds that fail one after the other are made again each time", async () => {
    const { checkout, paid, capture } = await paidCheckout();
    for (let round = 1; round <= 4; round++) {
      const refund = await checkout.refund(paid, capture, round);
      expect(refund.round).toBe(round);
      expect(await checkout.books()).toMatchObject(GIVEN_BACK);
      await checkout.sendBack(refund);
      expect(await checkout.books()).toMatchObject({ refunded: 0 });
    }
  });

  state("each capture is given back on its own, and no more than was captured", async () => {
    const { checkout, paid, capture } = await paidCheckout();
    const second = await checkout.captured(paid, 111);
    await checkout.refund(paid, second);
    expect(await checkout.books()).toMatchObject({ captured: AMOUNT + 111, refunded: 111 });
    await checkout.refund(paid, capture);
    await checkout.refund(paid, second);
    expect(await checkout.books()).toMatchObject({ captured: AMOUNT + 111, refunded: AMOUNT + 111 });
  });

  state("a refund of what was never captured is refused for good", async () => {
    const { checkout, paid, capture } = await paidCheckout();
    const invented = checkout.refund(paid, { ...capture, pspReference: "psr_invented" });
    await expect(invented).rejects.toMatchObject(TERMINAL);
    expect(await checkout.books()).toMatchObject({ captured: AMOUNT, refunded: 0 });
  });
}
