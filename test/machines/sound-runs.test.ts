/** The runtime asserts the invariants before each commit: whole runs of the chart break none of them. */
import { describe, expect, it } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import { transitionBreaches } from "../../machines/invariants.ts";
import { transfersBetween } from "../../machines/ledger.ts";
import { owedFor } from "../../machines/payment.ts";
import { viewOf } from "../../machines/view.ts";
import { begin, decide, type StampedEvent, type Timers } from "../../runtime/engine.ts";
import { contextWith, newContext, refundOf } from "../support/checkout-context.ts";
import { further, numbersOf, paid, refund, telling } from "./transitions.ts";

describe("a checkout that begins", () => {
  const first = viewOf(begin(checkoutMachine, newContext()), 1);
  const written = { events: [], transfers: [] };

  it("breaks nothing at its first entry", () => {
    expect(transitionBreaches(null, first, written)).toEqual([]);
  });

  it.each([
    ["no other number", { ...first, seq: 2 }, "I11"],
    ["no money", { ...first, context: contextWith({ settledBy: paid }) }, "I7"],
    ["no earlier attempt", { ...first, context: contextWith({ round: 3 }) }, "I8"],
    ["nothing undone", { ...first, context: { ...contextWith(), undone: ["order" as const] } }, "I9"],
  ])("has no past: %s", (_, view, invariant) => {
    expect(numbersOf(transitionBreaches(null, view, written))).toEqual([invariant]);
  });

  it("tells nothing, and is not at its end", () => {
    const told = { events: telling("checkout_initiated"), transfers: [] };
    expect(numbersOf(transitionBreaches(null, first, told))).toEqual(["I14"]);
    const ended = { ...first, path: "COMPLETED.atRest", state: "COMPLETED" as const, finished: true };
    expect(numbersOf(transitionBreaches(null, ended, written))).toEqual(["I2", "I3"]);
  });
});

const failed = { class: "TERMINAL", code: "OUT_OF_STOCK", message: "The last one was sold meanwhile." };
const done = (actorId: string, output: unknown) => ({ type: `xstate.done.actor.${actorId}`, output });
const pending = { kind: "pending", nextAction: { type: "UPI_COLLECT", expiresAt: 2_000_000 } };
const success = (capture: object) => ({ type: "payment_collection_requirement_success", data: { ...capture, pcrId: "pcr_1" } });

const UNTIL_STEP_5 = [
  { type: "START" },
  done("pinningFlags", { flags: {} }),
  done("creatingPaymentGroups", { paymentGroups: [] }),
  done("acquiringLocks", {}),
  done("STEP_1", { preferences: [] }),
  done("STEP_2", contextWith().invoice),
  done("STEP_3", { checkoutOrderId: "co_1", orderNumber: "BLR-1" }),
  done("STEP_4", { optIns: [] }),
];
const UNTIL_STEP_7 = [
  ...UNTIL_STEP_5,
  done("STEP_5", { lineItems: [], dueAt: 2_000_000, payment: { pcrId: "pcr_1", attemptId: "att_1", outcome: pending } }),
  done("STEP_6", {}),
];
const UNDONE = { pcrId: "pcr_1", refunds: [], conflicts: [] };

describe("a normal run breaks nothing", () => {
  it("to a confirmation, with a further capture that goes back and comes again", () => {
    const failure = { ...further, pcrId: "pcr_1", code: "CLOSED", providerRefundId: refund.providerRefundId };
    const again = { ...refund, round: 2, refundId: "rfd_2", providerRefundId: "re_2" };
    const events = [
      ...UNTIL_STEP_7,
      done("STEP_7", {}),
      done("STEP_8", { lineItemIds: [] }),
      success(paid),
      done("STEP_9", { captures: [paid, further] }),
      done("STEP_10", { lineItemIds: [] }),
      done("refunding", refund),
      { type: "payment_refund_failed", data: failure },
      { type: "xstate.after.backoff.checkout.COMPLETED.refunding.backingOff" },
      done("refunding", again),
    ];
    expect(ranTo(events)).toEqual({ path: "COMPLETED.atRest", found: [] });
  });

  it("to a rollback, with an undo that is put aside and money that arrives too late", () => {
    const events = [
      ...UNTIL_STEP_7,
      success(paid),
      { type: "xstate.error.actor.STEP_7", error: failed },
      done("undo:preferencesMapping", UNDONE),
      { type: "xstate.error.actor.undo:paymentHydration", error: failed },
      done("undo:paymentRequest", { ...UNDONE, refunds: [refundOf(owedFor(paid, "ROLLBACK"))] }),
      success(further),
      ...["lineItems", "optIns", "order", "invoice", "preferences", "paymentGroups"].map((name) => done(`undo:${name}`, UNDONE)),
      done("undo:deferred", UNDONE),
      done("undo:deferred", { ...UNDONE, refunds: [refundOf(owedFor(further, "LATE"))] }),
    ];
    expect(ranTo(events)).toEqual({ path: "ROLLEDBACK.atRest", found: [] });
  });
});

function ranTo(events: readonly { readonly type: string }[]): { readonly path: string; readonly found: readonly string[] } {
  let snapshot = begin(checkoutMachine, newContext());
  let timers: Timers = {};
  let before = viewOf(snapshot, 1);
  const found: string[] = [];
  for (const event of events) {
    const decision = decide(checkoutMachine, snapshot, timers, { at: 1_000, ...event } as StampedEvent);
    ({ snapshot, timers } = decision);
    const after = viewOf(snapshot, before.seq + 1);
    found.push(...transitionBreaches(before, after, { events: decision.emitted, transfers: transfersBetween(before, after) }));
    before = after;
  }
  return { path: before.path, found };
}
