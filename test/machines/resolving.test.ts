/** What an operator gives back by hand after a rollback, while other late captures are owed as well. */
import { expect, test } from "vitest";
import { transition } from "xstate";
import { checkoutMachine } from "../../machines/checkout.ts";
import { UNDO_ORDER } from "../../machines/context.ts";
import { owedFor } from "../../machines/payment.ts";
import { pathOf } from "../../machines/view.ts";
import { captureOf, contextWith } from "../support/checkout-context.ts";

function resolvedOne(pspReferences: readonly string[]) {
  const owed = pspReferences.map((pspReference) => owedFor(captureOf(pspReference), "LATE"));
  const retry = { failures: 6, firstFailedAt: 0, delayMs: 1_000 };
  const context = { ...contextWith({ owed }), undone: UNDO_ORDER.toReversed(), retry };
  const waiting = checkoutMachine.resolveState({ value: { ROLLEDBACK: { refunding: "backingOff" } }, context });
  const by = { resolutionId: "rsl_1", operator: "ops", reference: "T-1", undo: null, pspReference: "psr_1" };
  const [next] = transition(checkoutMachine, waiting, { type: "RESOLVE", ...by, at: 1_000 });
  const { payment, deferred } = next.context;
  return { path: pathOf(next.value), owed: payment.owed.map(({ pspReference }) => pspReference), deferred };
}

test("the only late capture, given back by hand, leaves nothing to do", () => {
  expect(resolvedOne(["psr_1"])).toEqual({ path: "ROLLEDBACK.atRest", owed: [], deferred: [] });
});

test("one of two late captures, given back by hand, leaves the other to be given back, and nothing to undo", () => {
  expect(resolvedOne(["psr_1", "psr_2"])).toEqual({ path: "ROLLEDBACK.refunding.running", owed: ["psr_2"], deferred: [] });
});
