/** Whose turn it is among several captures that are owed after the end, and who waits. */
import { expect, test } from "vitest";
import { transition } from "xstate";
import { checkoutMachine } from "../../machines/checkout.ts";
import { NO_RETRY, type OwedRefund, type Retry } from "../../machines/context.ts";
import type { RefundFailedEvent } from "../../machines/events.ts";
import { owedFor } from "../../machines/payment.ts";
import { pathOf } from "../../machines/view.ts";
import { captureOf, contextWith, refundOf, success } from "../support/checkout-context.ts";

const HOURS = 8 * 3_600_000;
const bounced: OwedRefund = { ...owedFor(captureOf("psr_bounced"), "LATE"), round: 5, failedRefundIds: ["re_1"] };
const fresh = owedFor(captureOf("psr_fresh"), "LATE");

function refunding(state: "running" | "backingOff", owed: readonly OwedRefund[], retry: Retry = NO_RETRY) {
  const context = { ...contextWith({ owed }), retry };
  return checkoutMachine.resolveState({ value: { ROLLEDBACK: { refunding: state } }, context });
}

function after(snapshot: ReturnType<typeof refunding>, event: { readonly type: string }) {
  const [next] = transition(checkoutMachine, snapshot, { at: 1_000, jitter: 0, ...event } as Parameters<typeof transition>[2]);
  const { payment, retry } = next.context;
  return { path: pathOf(next.value), owed: payment.owed.map(({ pspReference }) => pspReference), retry };
}

function done(owed: OwedRefund) {
  return { type: "xstate.done.actor.refunding", output: refundOf(owed) };
}

test("late money that arrives while another refund waits for hours is given back at once, with tries of its own", () => {
  const waiting = refunding("backingOff", [bounced], { failures: 6, firstFailedAt: 0, delayMs: HOURS });
  expect(after(waiting, success("psr_fresh"))).toEqual({
    path: "ROLLEDBACK.refunding.running",
    owed: ["psr_fresh", "psr_bounced"],
    retry: NO_RETRY,
  });
  expect(after(waiting, success("psr_bounced"))).toMatchObject({
    path: "ROLLEDBACK.refunding.backingOff",
    retry: { failures: 6, delayMs: HOURS },
  });
});

test("what was sent back waits longer with each round, also after another refund had its turn", () => {
  const { path, retry, owed } = after(refunding("running", [fresh, bounced]), done(fresh));
  expect({ path, owed }).toEqual({ path: "ROLLEDBACK.refunding.backingOff", owed: ["psr_bounced"] });
  expect(retry.delayMs).toBeGreaterThan(HOURS / 2);
});

test("what was never sent back goes on without a wait", () => {
  const other = owedFor(captureOf("psr_other"), "LATE");
  const next = after(refunding("running", [fresh, bounced, other]), done(fresh));
  expect(next).toMatchObject({ path: "ROLLEDBACK.refunding.running", owed: ["psr_other", "psr_bounced"] });
  expect(after(refunding("running", [fresh]), done(fresh))).toMatchObject({ path: "ROLLEDBACK.atRest", owed: [] });
});

test("a refund that bounced before its reply came is made again after a wait, not at once", () => {
  const { data } = success("psr_fresh");
  const bounce: RefundFailedEvent = {
    type: "payment_refund_failed",
    data: { ...data, code: "CLOSED", providerRefundId: "re_psr_fresh" },
  };
  const [heard] = transition(checkoutMachine, refunding("running", [fresh]), { ...bounce, at: 0 });
  expect(after(heard, done(fresh))).toMatchObject({
    path: "ROLLEDBACK.refunding.backingOff",
    owed: ["psr_fresh"],
    retry: { delayMs: 1_000 },
  });
});

test("of several that were sent back, the one that came back most often says how long they wait", () => {
  const once: OwedRefund = { ...owedFor(captureOf("psr_once"), "LATE"), round: 2, failedRefundIds: ["re_2"] };
  const { retry } = after(refunding("running", [fresh, once, bounced]), done(fresh));
  expect(retry.delayMs).toBeGreaterThan(HOURS / 2);
});
