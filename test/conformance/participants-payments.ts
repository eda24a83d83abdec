/** A payment request, its attempts, and what is said of them. */
import { expect } from "vitest";
import { AMOUNT, captureIn, DUE_AT, PaymentCalls, TERMINAL } from "./payment-calls.ts";
import { STORIES } from "./payment-stories.ts";
import type { Open, State } from "./participants-under-test.ts";

export function paymentConformance(open: Open, state: State): void {
  const newCheckout = () => new PaymentCalls(open());

  state("a payment request is made once per key, with the first call's deadline", async () => {
    const checkout = newCheckout();
    const first = await checkout.request("waits");
    expect(first).toMatchObject({ outcome: { kind: "pending" }, dueAt: DUE_AT });
    expect(await checkout.request("waits", { dueAt: DUE_AT + 1 })).toEqual(first);
    expect(await checkout.books()).toMatchObject({ charges: 1, open: 1 });
  });

  state("a payment request that comes twice at a time is charged once", async () => {
    const checkout = newCheckout();
    const [first, second] = await Promise.all([checkout.request("pays"), checkout.request("pays")]);
    expect(second).toEqual(first);
    expect(await checkout.books()).toMatchObject({ charges: 1, captured: AMOUNT });
  });

  state("a repeated payment request answers as at first, whatever became of the charge since", async () => {
    const checkout = newCheckout();
    const first = await checkout.request("waits");
    await checkout.captured(first);
    expect(await checkout.request("waits")).toEqual(first);
    expect(await checkout.books()).toMatchObject({ charges: 1, captured: AMOUNT });
  });

  state("a capture and a decline are answers, no errors", async () => {
    const paid = await newCheckout().request("pays");
    expect(paid.outcome).toMatchObject({ kind: "captured", amount: AMOUNT, currency: "INR" });
    const declined = newCheckout();
    const { outcome } = await declined.request("declines");
    expect(outcome).toMatchObject({ kind: "declined", code: expect.any(String) });
    expect(await declined.books()).toMatchObject({ charges: 1, open: 0, captured: 0 });
  });

  state("nothing to pay is captured without the provider", async () => {
    const checkout = newCheckout();
    const free = await checkout.request("waits", { amount: 0 });
    expect(free.outcome).toMatchObject({ kind: "captured", amount: 0 });
    expect(await checkout.request("waits", { amount: 0 })).toEqual(free);
    expect((await checkout.status(free)).outcome).toEqual(free.outcome);
    expect((await checkout.settle(free)).captures).toEqual([]);
    expect((await checkout.reverse()).refunds).toEqual([]);
    expect(await checkout.books()).toEqual({ charges: 0, open: 0, captured: 0, refunded: 0 });
  });

  state("a checkout has one payment request: another key is refused", async () => {
    const checkout = newCheckout();
    await checkout.request("waits");
    const another = checkout.request("waits", checkout.call("STEP_5", 2));
    await expect(another).rejects.toMatchObject(TERMINAL);
    expect(await checkout.books()).toMatchObject({ charges: 1 });
  });

  state("another attempt is another charge, made once per key, and the open one is cancelled first", async () => {
    const checkout = newCheckout();
    const first = await checkout.request("waits");
    const second = await checkout.attempt(first, 2, "waits");
    expect(second).toMatchObject({ pcrId: first.pcrId, outcome: { kind: "pending" } });
    expect(second.attemptId).not.toBe(first.attemptId);
    expect(await checkout.attempt(first, 2, "waits")).toEqual(second);
    expect(await checkout.books()).toMatchObject({ charges: 2, open: 1 });
    const third = await checkout.attempt(first, 3, "pays");
    expect(third.outcome).toMatchObject({ kind: "captured", amount: AMOUNT });
    expect(await checkout.books()).toMatchObject({ charges: 3, open: 0, captured: AMOUNT });
  });

  state("no further attempt is made once an earlier one has paid: that one is the answer, again and again", async () => {
    const checkout = newCheckout();
    const first = await checkout.request("waits");
    const capture = await checkout.captured(first);
    const second = await checkout.attempt(first, 2, "pays");
    expect(second).toMatchObject({ attemptId: first.attemptId, outcome: { kind: "captured", ...capture }, isEarlier: true });
    expect(await checkout.attempt(first, 2, "pays")).toEqual(second);
    expect(await checkout.books()).toMatchObject({ charges: 1, captured: AMOUNT });
  });

  for (const { what, kind, afterCancelling, happen } of STORIES) {
    state(`${what}: that is what the provider says, however often it is asked`, async () => {
      const checkout = newCheckout();
      const { pcrId } = await happen(checkout);
      const before = await checkout.books();
      const report = await checkout.status({ pcrId });
      expect(report.outcome.kind).toBe(kind);
      expect(await checkout.status({ pcrId })).toEqual(report);
      expect(await checkout.books()).toEqual(before);
    });

    state(`${what}: that is what a cancellation finds, again and again, and nothing stays open`, async () => {
      const checkout = newCheckout();
      const { pcrId } = await happen(checkout);
      const { captured } = await checkout.books();
      const report = await checkout.cancel({ pcrId });
      expect(report.outcome.kind).toBe(afterCancelling);
      expect(await checkout.cancel({ pcrId })).toEqual(report);
      expect(await checkout.status({ pcrId })).toEqual(report);
      expect(await checkout.books()).toMatchObject({ open: 0, captured });
    });
  }

  state("a report names the attempt that paid, and lists all that was ever taken, refunds or not", async () => {
    const checkout = newCheckout();
    const first = await checkout.request("waits");
    const wrong = await checkout.captured(first, AMOUNT - 1);
    const second = await checkout.attempt(first, 2, "waits");
    const paying = await checkout.captured(second);
    await checkout.refund(first, wrong);
    const report = await checkout.status(first);
    expect(report).toMatchObject({ attemptId: second.attemptId, outcome: { kind: "captured", ...paying } });
    expect(report.captures).toHaveLength(2);
    expect(report.captures).toEqual(expect.arrayContaining([wrong, paying]));
  });

  state("a settlement cancels what another attempt has pending", async () => {
    const checkout = newCheckout();
    const first = await checkout.request("waits");
    await checkout.attempt(first, 2, "waits");
    await checkout.captured(first);
    await checkout.settle(first);
    expect(await checkout.books()).toMatchObject({ open: 0, captured: AMOUNT });
    expect((await checkout.status(first)).outcome.kind).toBe("captured");
  });

  state("a settlement says what a cancelled attempt captured all the same", async () => {
    const { checkout, first, late } = await paidTwice(newCheckout());
    expect((await checkout.settle(first)).captures).toEqual(expect.arrayContaining([late]));
  });

  state("a settlement says the same when it is repeated", async () => {
    const { checkout, first } = await paidTwice(newCheckout());
    const settlement = await checkout.settle(first);
    expect(await checkout.settle(first)).toEqual(settlement);
  });

  for (const [name, ask] of Object.entries(CALLS_WITH_A_REQUEST)) {
    state(`${name} is refused for another checkout's payment request, and for none`, async () => {
      const [mine, theirs] = [newCheckout(), newCheckout()];
      const [own, other] = [await mine.request("waits"), await theirs.request("pays")];
      await expect(ask(mine, other.pcrId, captureIn(other).pspReference)).rejects.toMatchObject(TERMINAL);
      await expect(ask(newCheckout(), own.pcrId, "psr_none")).rejects.toMatchObject(TERMINAL);
      expect(await mine.books()).toMatchObject({ charges: 1, open: 1 });
      expect(await theirs.books()).toMatchObject({ charges: 1, captured: AMOUNT, refunded: 0 });
    });
  }
}

const CALLS_WITH_A_REQUEST: Readonly<
  Record<string, (checkout: PaymentCalls, pcrId: string, pspReference: string) => Promise<unknown>>
> = {
  createPaymentAttempt: (checkout, pcrId) => checkout.attempt({ pcrId }, 2, "pays"),
  getPaymentStatus: (checkout, pcrId) => checkout.status({ pcrId }),
  recordSettlement: (checkout, pcrId) => checkout.settle({ pcrId }),
  cancelIfPending: (checkout, pcrId) => checkout.cancel({ pcrId }),
  refundCapture: (checkout, pcrId, pspReference) => checkout.refund({ pcrId }, { pspReference, amount: AMOUNT, currency: "INR" }),
};

/** The second attempt paid; then the bank settled the first one as well, although it was cancelled. */
async function paidTwice(checkout: PaymentCalls) {
  const first = await checkout.request("waits");
  await checkout.attempt(first, 2, "pays");
  return { checkout, first, late: await checkout.captured(first) };
}
