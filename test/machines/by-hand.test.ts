/** From when on an operator may take care of something, and what is remembered of it. */
import { expect, test } from "vitest";
import type { UndoName } from "../../machines/context.ts";
import { InvariantError } from "../../machines/errors.ts";
import type { ResolveEvent } from "../../machines/events.ts";
import { owedFor } from "../../machines/payment.ts";
import { nextDeferred, resolvedBy } from "../../machines/rollback.ts";
import { captureOf, contextWith } from "../support/checkout-context.ts";

const owed = owedFor(captureOf("psr_1"), "LATE");

function contextAfter(failures: number, deferred: readonly UndoName[], undoneByHand: readonly UndoName[] = []) {
  const context = contextWith({ owed: [owed] });
  return { ...context, deferred, undoneByHand, retry: { failures, firstFailedAt: 0, delayMs: 200 } };
}

function resolve(target: Partial<ResolveEvent>): ResolveEvent {
  return { type: "RESOLVE", resolutionId: "rsl_1", undo: null, pspReference: null, operator: "ops", reference: "T-1", ...target };
}

test("money can be given back by hand once there were more failures than are tried in place, not at their number", () => {
  for (const event of [resolve({ pspReference: "psr_1" }), resolve({ undo: "paymentRequest" })]) {
    expect(resolvedBy(contextAfter(5, ["paymentRequest"]), event)).toBeNull();
    expect(resolvedBy(contextAfter(6, ["paymentRequest"]), event)).not.toBeNull();
  }
});

test("whatever else is put aside can be taken care of after its first failure", () => {
  expect(resolvedBy(contextAfter(0, ["order"]), resolve({ undo: "order" }))).toBeNull();
  expect(resolvedBy(contextAfter(1, ["order"]), resolve({ undo: "order" }))).toMatchObject({ undoneByHand: ["order"] });
});

test("what was taken care of by hand is remembered once, the last one last", () => {
  const after = resolvedBy(contextAfter(1, ["order"], ["order", "invoice"]), resolve({ undo: "order" }));
  expect(after?.undoneByHand).toEqual(["invoice", "order"]);
});

test("nobody has a turn where nothing is put aside", () => {
  expect(() => nextDeferred({ deferred: [] })).toThrow(InvariantError);
});
