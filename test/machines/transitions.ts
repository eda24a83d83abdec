/** Transitions as the invariants see them: a view before, a view after, and what is written with them. */
import type { CheckoutContext, Payment, UndoName } from "../../machines/context.ts";
import type { OutboundEvent, OutboundEventType } from "../../machines/events.ts";
import { transitionBreaches, type Written } from "../../machines/invariants.ts";
import { transfersBetween } from "../../machines/ledger.ts";
import { owedFor } from "../../machines/payment.ts";
import { documentedStateOf, type CheckoutView } from "../../machines/view.ts";
import { captureOf, contextWith, refundOf } from "../support/checkout-context.ts";

export const paid = captureOf("psr_1");
export const further = captureOf("psr_2");
export const owed = owedFor(further, "DUPLICATE");
export const refund = refundOf(owed);

export const WAITING = "PROCESSING.STEP_8.settling.awaitingPayment";
export const CONFIRMING = "PROCESSING.STEP_8.confirming.running";
export const LAST_STEP = "PROCESSING.STEP_8.producingConfirmed.running";
export const DEFERRED = "PROCESSING.undoing.deferred.running";

export function at(path: string, context: CheckoutContext = contextWith(), seq = 7): CheckoutView {
  const state = documentedStateOf(path);
  const finished = state === "COMPLETED" || state === "ROLLEDBACK";
  return { executionContextId: "ctx_1", seq, path, state, status: "PROCESSING", finished, context };
}

export function paying(path: string, payment: Partial<Payment>, seq?: number): CheckoutView {
  return at(path, contextWith(payment), seq);
}

export function undoing(
  path: string,
  undone: readonly UndoName[],
  deferred: readonly UndoName[] = [],
  seq?: number,
): CheckoutView {
  return at(path, { ...contextWith(), undone, deferred }, seq);
}

export function telling(...types: readonly OutboundEventType[]): OutboundEvent[] {
  return types.map((type) => ({ type, data: {} }));
}

/** A transition that must be reported, by its number and, where one thing can't be broken alone, by those of `also`. */
export interface BrokenTransition {
  readonly invariant: string;
  readonly what: string;
  readonly before: CheckoutView;
  readonly after: CheckoutView;
  readonly written?: Partial<Written>;
  readonly also?: readonly string[];
}

/** For a table of transitions: what happens in words, and the two views. */
export type TransitionRow = readonly [what: string, before: CheckoutView, after: CheckoutView, written?: Partial<Written>];

/** With the transfers that belong to the two views, unless it says otherwise. */
export function breaches(before: CheckoutView, after: CheckoutView, written: Partial<Written> = {}): readonly string[] {
  const later = { ...after, seq: 8 };
  return transitionBreaches(before, later, { events: [], transfers: transfersBetween(before, later), ...written });
}

export const COMPLETION = telling("line_items_confirmed", "checkout_completed");

/** The numbers of what is broken, a line each. */
export function numbersOf(lines: readonly string[]): readonly (string | undefined)[] {
  return lines.map((line) => line.split(":")[0]);
}
