/**
 * domain.md, "What each step leaves, and how it is undone", written down by hand: what the product does is
 * compared with this, never the other way round.
 */
export interface DocumentedUndo {
  /** The participant's operation; `line_items_reverted` is an event, which no participant makes. */
  readonly operation: string;
  /** What it takes back. */
  readonly original: string;
  /** A call without an undo of its own, which this one takes back as well. */
  readonly alsoUndoes?: string;
  /** The key of the original, behind `<contextId>:`. */
  readonly key: string;
  readonly journalName: string;
  /** What of support/tables.ts is left over while this undo alone is deferred. */
  readonly holds: readonly string[];
}

const CLAIMS = ["busy cart", "busy payment group"];

/** Strict reverse: the order of the first tries. */
export const UNDOS = [
  {
    operation: "line_items_reverted",
    original: "produceLineItemsUpdatedEvent",
    key: "STEP_8",
    journalName: "lineItemsUpdatedEvent",
    holds: CLAIMS,
  },
  {
    operation: "undoCreatePreferencesToLineItemsMapping",
    original: "createPreferencesToLineItemsMapping",
    key: "STEP_7",
    journalName: "preferencesMapping",
    holds: ["mapped preference", ...CLAIMS],
  },
  {
    operation: "undoHydratePaymentAndUpdateLineItems",
    original: "hydratePaymentAndUpdateLineItems",
    key: "STEP_6",
    journalName: "paymentHydration",
    holds: CLAIMS,
  },
  {
    operation: "reversePaymentRequest",
    original: "createPaymentRequest",
    key: "STEP_5:1",
    journalName: "paymentRequest",
    // "When only money is deferred the cart row is freed", and the groups' with it.
    holds: ["payment not reversed"],
  },
  {
    operation: "undoUpsertLineItems",
    original: "upsertLineItems",
    key: "STEP_5",
    journalName: "lineItems",
    holds: ["live line item", ...CLAIMS],
  },
  {
    operation: "undoHandleOptinCreationAndModification",
    original: "handleOptinCreationAndModification",
    key: "STEP_4",
    journalName: "optIns",
    holds: ["live opt-in", ...CLAIMS],
  },
  {
    operation: "undoCreateCheckoutOrder",
    original: "createCheckoutOrder",
    key: "STEP_3",
    journalName: "order",
    holds: ["live order", ...CLAIMS],
  },
  {
    operation: "undoGetLineItemSummary",
    original: "getLineItemSummary",
    key: "STEP_2",
    journalName: "invoice",
    holds: ["held coupon", ...CLAIMS],
  },
  {
    operation: "undoCreatePostSellingPreferences",
    original: "createPostSellingPreferences",
    key: "STEP_1",
    journalName: "preferences",
    holds: ["live preference", "held slot", ...CLAIMS],
  },
  {
    operation: "undoCreatePaymentGroup",
    original: "createPaymentGroup",
    alsoUndoes: "lockPaymentGroups",
    key: "createPaymentGroup",
    journalName: "paymentGroups",
    holds: ["live payment group", ...CLAIMS],
  },
] as const satisfies readonly DocumentedUndo[];

export type UndoOperation = (typeof UNDOS)[number]["operation"];

/** The undos that are calls, with a tombstone each. */
export const UNDO_CALLS = UNDOS.filter(({ operation }) => operation !== "line_items_reverted");

interface Failure {
  readonly step: string;
  readonly operation: string;
  /** The undo that its failure begins with; all below it in the table follow. Null: nothing was done yet. */
  readonly begins: UndoOperation | null;
}

/**
 * Every call of the forward path. One that failed counts as perhaps done, so its own undo comes first; the
 * three calls of STEP_5 are one step. The effect of STEP_8 is the outbox row that its commit writes: where it
 * failed there is no such row, and what was never published is not reverted.
 */
export const FAILURES: readonly Failure[] = [
  { step: "flags", operation: "resolve", begins: null },
  { step: "payment groups", operation: "createPaymentGroup", begins: "undoCreatePaymentGroup" },
  { step: "locks, the durable rows", operation: "claimPaymentGroups", begins: "undoCreatePaymentGroup" },
  { step: "locks, the DLM's", operation: "acquire", begins: "undoCreatePaymentGroup" },
  { step: "STEP_1", operation: "createPostSellingPreferences", begins: "undoCreatePostSellingPreferences" },
  { step: "STEP_2", operation: "getLineItemSummary", begins: "undoGetLineItemSummary" },
  { step: "STEP_3", operation: "createCheckoutOrder", begins: "undoCreateCheckoutOrder" },
  { step: "STEP_4", operation: "handleOptinCreationAndModification", begins: "undoHandleOptinCreationAndModification" },
  { step: "STEP_5", operation: "upsertLineItems", begins: "reversePaymentRequest" },
  { step: "STEP_5", operation: "lockPaymentGroups", begins: "reversePaymentRequest" },
  { step: "STEP_5", operation: "createPaymentRequest", begins: "reversePaymentRequest" },
  { step: "STEP_6", operation: "hydratePaymentAndUpdateLineItems", begins: "undoHydratePaymentAndUpdateLineItems" },
  { step: "STEP_7", operation: "createPreferencesToLineItemsMapping", begins: "undoCreatePreferencesToLineItemsMapping" },
  { step: "STEP_8", operation: "produceLineItemsUpdatedEvent", begins: "undoCreatePreferencesToLineItemsMapping" },
];

/** An undo and everything below it in the table. */
export function undosFrom(begins: UndoOperation | null): readonly DocumentedUndo[] {
  return begins === null ? [] : UNDOS.slice(UNDOS.findIndex(({ operation }) => operation === begins));
}
