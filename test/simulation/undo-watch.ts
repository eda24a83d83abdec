/** When the journal says that something is undone, its participant must have been asked by then: later would be another order. */
import type { UndoName } from "../../machines/context.ts";
import type { TransitionNotice } from "../../runtime/transition-notice.ts";
import type { EffectBook } from "./effect-book.ts";

/** What each undo takes back. A payment request is in the provider's books, which are checked at rest. */
const OPERATIONS: Readonly<Partial<Record<UndoName, string>>> = {
  paymentGroups: "createPaymentGroup",
  preferences: "createPostSellingPreferences",
  invoice: "getLineItemSummary",
  order: "createCheckoutOrder",
  optIns: "handleOptinCreationAndModification",
  lineItems: "upsertLineItems",
  paymentHydration: "hydratePaymentAndUpdateLineItems",
  preferencesMapping: "createPreferencesToLineItemsMapping",
};

/** What is wrong, or null. Of deferred undos the event doesn't say which one it was. */
export function notAskedYet({ executionContextId, entry }: TransitionNotice, effects: EffectBook): string | null {
  const undo = /^xstate\.done\.actor\.undo:(\w+)$/.exec(entry.event.type)?.[1];
  const operation = OPERATIONS[undo as UndoName];
  if (operation === undefined) return null;
  const states = effects.of(executionContextId).filter((effect) => effect.operation === operation);
  if (states.length > 0 && states.every(({ state }) => state === "UNDONE")) return null;
  return `${executionContextId} I24: the undo of ${undo} is done, and nobody has asked for it`;
}
