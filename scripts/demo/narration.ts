/** A checkout's journal as a story: one line for each transition, in the specification's words. */
import type { Transition } from "./client.ts";
import { amount, say, styled } from "../output.ts";

/** The operation of each state. */
const OPERATIONS: Readonly<Record<string, string>> = {
  INITIALIZED: "the key, the cart and the journal, in one transaction",
  pinningFlags: "feature flags pinned",
  creatingPaymentGroups: "createPaymentGroup",
  acquiringLocks: "distributed locks",
  STEP_1: "createPostSellingPreferences",
  STEP_2: "getLineItemSummary",
  STEP_3: "createCheckoutOrder",
  STEP_4: "handleOptinCreationAndModification",
  STEP_5: "upsertLineItems, createPaymentRequest",
  STEP_6: "hydratePaymentAndUpdateLineItems",
  STEP_7: "createPreferencesToLineItemsMapping",
  producing: "produceLineItemsUpdatedEvent",
  awaitingPayment: "wait for the PCR success event",
  requestingAttempt: "createPaymentRequest, another attempt",
  confirming: "executePCRSuccessSteps",
  producingConfirmed: "produceLineItemsConfirmedEvent",
  COMPLETED: "line items confirmed",
  ROLLEDBACK: "everything undone",
  refunding: "refundCapture",
};

/** Tells one checkout's transitions; keeps the times that the next line needs. */
export class Narrator {
  #begunAt: number | undefined;
  #lastAt = 0;

  tell(transition: Transition): void {
    const at = Date.parse(transition.at);
    this.#begunAt ??= at;
    const elapsed = `${((at - this.#begunAt) / 1000).toFixed(3)} s`;
    const sinceLast = at - this.#lastAt;
    this.#lastAt = at;
    for (const line of linesOf(transition, sinceLast)) say(`  ${styled("dim", elapsed.padStart(8))}  ${line}`);
  }
}

/** First what was heard, if that is a story of its own, then what the state that it led to does. */
function linesOf(transition: Transition, sinceLastMs: number): string[] {
  const { event, from, to } = transition;
  const heard = failureIn(transition) ?? newsIn(transition);
  const lines = heard === null ? [] : [`${colouredState(from ?? to)}${heard}`];
  // Backing off does nothing, and what changed no state led nowhere.
  if (to.endsWith(".backingOff") || to === from) return lines;
  const isRetry = event.startsWith("xstate.after.backoff");
  const suffix = isRetry ? styled("yellow", `  tried again after ${sinceLastMs} ms, under the same key`) : "";
  return [...lines, `${colouredState(to)}${refundIn(transition) ?? operationOf(transition)}${suffix}`];
}

function failureIn({ to, data }: Transition): string | null {
  const failure = data["error"] as { readonly class: string; readonly code: string } | undefined;
  if (failure === undefined) return null;
  if (to.endsWith(".backingOff")) return styled("yellow", `${failure.code}: backing off`);
  return styled("red", `${failure.code}: failed for good, so everything is undone, last first`);
}

/** What the customer or the payment provider said. */
function newsIn({ event, to }: Transition): string | null {
  if (event === "CANCEL") return styled("yellow", "the customer cancels, so everything is undone, last first");
  if (event !== "payment_collection_requirement_success") return null;
  if (to.includes(".confirming")) return `${event}: handlePCRSuccess`;
  const isTooLate = to.includes(".undoing") || to.startsWith("ROLLEDBACK");
  return isTooLate ? styled("yellow", `${event}: too late to pay, so it is owed back`) : `${event}: kept until STEP_8 is done`;
}

/** A refund that the provider accepted, as the outbox tells it. */
function refundIn({ from, data }: Transition): string | null {
  if (from?.includes(".refunding") !== true) return null;
  const refund = data["output"] as { readonly reason: string; readonly amount: number; readonly currency: string } | undefined;
  if (refund === undefined) return null;
  return styled("green", `payment_refunded ${refund.reason}: ${amount(refund.amount, refund.currency)} given back`);
}

function colouredState(path: string): string {
  const state = stateOf(path).padEnd(12);
  if (state.startsWith("COMPLETED")) return styled("green", state);
  return path.includes("undoing.") || state.startsWith("ROLLEDBACK") ? styled("yellow", state) : styled("cyan", state);
}

/** The documented state, or `undo` while PROCESSING undoes. */
function stateOf(path: string): string {
  if (path.includes("undoing.")) return "undo";
  const [root = "", child = ""] = path.split(".");
  return root === "PROCESSING" && child.startsWith("STEP_") ? child : root;
}

function operationOf({ to, data }: Transition): string {
  const parts = to.split(".");
  const undone = parts.indexOf("undoing");
  if (undone !== -1) return parts[undone + 1] ?? "";
  if (to.endsWith(".awaitingPayment") && isDeclined(data["output"])) {
    return styled("yellow", "payment_failed: wait for another attempt");
  }
  const known = parts.findLast((part) => OPERATIONS[part] !== undefined);
  return known === undefined ? "" : (OPERATIONS[known] ?? "");
}

function isDeclined(output: unknown): boolean {
  return (output as { readonly payment?: { readonly status?: unknown } } | undefined)?.payment?.status === "DECLINED";
}
