/** The undo of a payment request: until nothing is held, whatever was captured meanwhile. */
import { expect } from "vitest";
import { owedFor } from "../../machines/payment.ts";
import { AMOUNT, captureIn, PaymentCalls, UNDONE } from "./payment-calls.ts";
import type { Open, State } from "./participants-under-test.ts";

const NOTHING = { pcrId: null, refunds: [] };

export function reversalConformance(open: Open, state: State): void {
  const newCheckout = () => new PaymentCalls(open());

  state("a reversal gives back what was captured, and says and moves nothing else when it is repeated", async () => {
    const checkout = newCheckout();
    const paid = await checkout.request("pays");
    const reversal = await checkout.reverse();
    const refund = { ...captureIn(paid), reason: "ROLLBACK", round: 1 };
    expect(reversal).toMatchObject({ pcrId: paid.pcrId, refunds: [refund] });
    expect(await checkout.reverse()).toEqual(reversal);
    expect(await checkout.books()).toMatchObject({ captured: AMOUNT, refunded: AMOUNT });
  });

  state("a reversal cancels what waits for the customer", async () => {
    const checkout = newCheckout();
    const { pcrId } = await checkout.request("waits");
    expect(await checkout.reverse()).toEqual({ pcrId, refunds: [] });
    expect(await checkout.books()).toEqual({ charges: 1, open: 0, captured: 0, refunded: 0 });
  });

  state("a reversal of what was never requested keeps the delayed request from being charged", async () => {
    const checkout = newCheckout();
    expect(await checkout.reverse()).toEqual(NOTHING);
    expect(await checkout.reverse()).toEqual(NOTHING);
    await expect(checkout.request("pays")).rejects.toMatchObject(UNDONE);
    expect(await checkout.reverse()).toEqual(NOTHING);
    expect(await checkout.books()).toEqual({ charges: 0, open: 0, captured: 0, refunded: 0 });
  });

  state("after a reversal the request is refused under its key, and so is every further attempt", async () => {
    const checkout = newCheckout();
    const opened = await checkout.request("waits");
    await checkout.attempt(opened, 2, "waits");
    await checkout.reverse();
    await expect(checkout.request("waits")).rejects.toMatchObject(UNDONE);
    await expect(checkout.attempt(opened, 2, "waits")).rejects.toMatchObject(UNDONE);
    await expect(checkout.attempt(opened, 3, "pays")).rejects.toMatchObject(UNDONE);
    expect(await checkout.books()).toMatchObject({ charges: 2, open: 0, captured: 0 });
  });

  state("a request and its reversal that come at a time leave nothing held or open", async () => {
    const checkout = newCheckout();
    const [request] = await Promise.allSettled([checkout.request("pays"), checkout.reverse()]);
    if (request.status === "rejected") expect(request.reason).toMatchObject(UNDONE);
    await checkout.reverse();
    const { captured, refunded, open: pending } = await checkout.books();
    expect({ held: captured - refunded, pending }).toEqual({ held: 0, pending: 0 });
  });

  state("a reversal gives back every capture of every attempt, each for the reason that it is owed for", async () => {
    const checkout = newCheckout();
    const first = await checkout.request("waits");
    await checkout.attempt(first, 2, "pays");
    const second = await checkout.captured(first);
    const { refunds } = await checkout.reverse([owedFor(second, "DUPLICATE")]);
    expect(refunds.map(({ reason }) => reason).toSorted()).toEqual(["DUPLICATE", "ROLLBACK"]);
    expect(await checkout.books()).toMatchObject({ captured: 2 * AMOUNT, refunded: 2 * AMOUNT });
  });

  state("what is captured after a reversal is given back by the next one, and by it alone", async () => {
    const checkout = newCheckout();
    const opened = await checkout.request("waits");
    const paid = await checkout.captured(opened);
    await checkout.reverse();
    const late = await checkout.captured(opened);
    const { refunds } = await checkout.reverse();
    expect(refunds.map(({ pspReference }) => pspReference)).toEqual([paid.pspReference, late.pspReference]);
    expect(await checkout.books()).toMatchObject({ captured: 2 * AMOUNT, refunded: 2 * AMOUNT });
  });

  state("a reversal leaves what an operator gave back by hand", async () => {
    const checkout = newCheckout();
    const paid = await checkout.request("pays");
    const byHand = await checkout.captured(paid, 111);
    const { refunds } = await checkout.reverse([], [byHand.pspReference]);
    expect(refunds).toMatchObject([captureIn(paid)]);
    expect(refunds).toHaveLength(1);
    expect(await checkout.books()).toMatchObject({ captured: AMOUNT + 111, refunded: AMOUNT });
  });

  state("a reversal reports a refund that was made before, and doesn't make it again", async () => {
    const checkout = newCheckout();
    const paid = await checkout.request("pays");
    const refund = await checkout.refund(paid, captureIn(paid));
    expect(await checkout.reverse()).toEqual({ pcrId: paid.pcrId, refunds: [refund] });
    expect(await checkout.books()).toMatchObject({ refunded: AMOUNT });
  });

  state(
    "a reversal gives back anew, under the next round, what the bank sent back; the failed refund it leaves out",
    async () => {
      const checkout = newCheckout();
      await checkout.request("pays");
      const [first] = (await checkout.reverse()).refunds;
      if (first === undefined) throw new Error("expected a refund");
      await checkout.sendBack(first);
      expect(await checkout.books()).toMatchObject({ refunded: 0 });
      const again = await checkout.reverse();
      expect(again.refunds).toMatchObject([{ pspReference: first.pspReference, round: 2 }]);
      expect(again.refunds).toHaveLength(1);
      expect(again.refunds[0]?.refundId).not.toBe(first.refundId);
      expect(await checkout.reverse()).toEqual(again);
      expect(await checkout.books()).toMatchObject({ captured: AMOUNT, refunded: AMOUNT });
    },
  );

  state("a reversal goes on under the round that is owed", async () => {
    const checkout = newCheckout();
    const paid = await checkout.request("pays");
    const first = await checkout.refund(paid, captureIn(paid));
    await checkout.sendBack(first);
    const { refunds } = await checkout.reverse([{ ...owedFor(captureIn(paid), "LATE"), round: 2 }]);
    expect(refunds).toMatchObject([{ round: 2, reason: "LATE" }]);
    expect(await checkout.books()).toMatchObject({ captured: AMOUNT, refunded: AMOUNT });
  });

  state("a reversal leaves another checkout's payment alone", async () => {
    const [mine, theirs] = [newCheckout(), newCheckout()];
    const [waiting, paid] = [await mine.request("waits"), await theirs.request("pays")];
    await newCheckout().reverse();
    await theirs.reverse();
    expect((await mine.status(waiting)).outcome.kind).toBe("pending");
    await mine.reverse();
    expect((await theirs.status(paid)).captures).toHaveLength(1);
    expect(await mine.books()).toMatchObject({ captured: 0, refunded: 0 });
  });
}
