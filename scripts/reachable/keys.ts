/** The keys by which states and events are told apart. A state's holds what guards read and nothing else: that keeps the space small. */
import type { StateValue } from "xstate";
import type { CheckoutContext } from "../../machines/context.ts";
import { pathOf } from "../../machines/view.ts";
import { mismatched, paying, type ModelEvent } from "./alphabet.ts";

/** A state is what its guards can tell apart; that differs before and after the checkout's fate is decided. */
export function stateKey({ value, context }: { readonly value: unknown; readonly context: unknown }): string {
  const { payment, retry, deferred } = context as CheckoutContext;
  const path = pathOf(value as StateValue);
  const isUndone = path.includes("undoing") || path.startsWith("ROLLEDBACK");
  const isOwed = ({ pspReference }: Reference) => payment.owed.some((owed) => owed.pspReference === pspReference);
  const isKnown = (capture: Reference) =>
    isOwed(capture) || [payment.settledBy, ...payment.refunds].some((known) => known?.pspReference === capture.pspReference);
  const money = [isOwed(paying), isKnown(paying), isOwed(mismatched), !isUndone && isKnown(mismatched)];
  const refund = [...payment.owed, ...payment.refunds].find(({ pspReference }) => pspReference === paying.pspReference);
  const isByHand = payment.refunds.some(({ pspReference, byHand }) => pspReference === paying.pspReference && byHand === true);
  // Once it was refunded again, or by hand, no refund of it fails any more.
  const back = [payment.pcrId === null, isByHand || (refund !== undefined && refund.round > 1)];
  if (isUndone) return JSON.stringify([path, retry.failures, money, back, deferred.length, deferred.indexOf("paymentRequest")]);
  if (path.startsWith("COMPLETED")) return JSON.stringify([path, retry.failures, money, back]);
  return JSON.stringify([path, retry.failures, money, payment.status, payment.round, payment.attemptId === null]);
}

interface Reference {
  readonly pspReference: string;
}

/** Tells apart what a state's events can do: outcomes, kinds of errors, captures. */
export function eventKey(event: ModelEvent): string {
  const { output, error, data } = event as EventDetails;
  const detail =
    output?.note ?? output?.outcome?.kind ?? output?.payment?.outcome.kind ?? error?.class ?? data?.pspReference ?? null;
  return detail === null ? event.type : `${event.type}(${detail})`;
}

interface EventDetails {
  readonly output?: {
    readonly note?: string;
    readonly outcome?: { readonly kind: string };
    readonly payment?: { readonly outcome: { readonly kind: string } };
  };
  readonly error?: { readonly class: string };
  readonly data?: Reference;
}
