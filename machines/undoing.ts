/**
 * Compensation: "rollback" in the specification's error handling flow. Strict reverse is the order of first
 * tries; an undo that keeps failing is deferred and retried at the end, until nothing is left over.
 */
import { nextDeferred } from "./rollback.ts";
import { rollbackInput } from "./step-inputs.ts";
import { insisted, toUndo, undo } from "./shapes.ts";
import { checkoutSetup } from "./vocabulary.ts";
import type { UndoName } from "./context.ts";

const DEFERRED = "#checkout.PROCESSING.undoing.deferred";
const ROLLEDBACK = "#checkout.ROLLEDBACK";

function undoThen(name: UndoName, next: UndoName) {
  return undo(name, {
    id: `undo:${name}`,
    src: "handleRollback",
    input: ({ context }) => rollbackInput(context, name),
    onDone: { target: toUndo(next), actions: { type: "keepUndo", params: { undo: name } } },
    onDeferred: toUndo(next),
  });
}

export const undoing = checkoutSetup.createStateConfig({
  meta: { refines: "PROCESSING" },
  tags: ["undoing"],
  initial: "lineItemsUpdatedEvent",
  on: {
    payment_collection_requirement_success: { actions: "deferLateCapture" },
    payment_collection_requirement_failed: {},
    payment_collection_requirement_expired: {},
    payment_refund_failed: { actions: "takeBackReversal" },
  },
  states: {
    lineItemsUpdatedEvent: undoThen("lineItemsUpdatedEvent", "preferencesMapping"),
    preferencesMapping: undoThen("preferencesMapping", "paymentHydration"),
    paymentHydration: undoThen("paymentHydration", "paymentRequest"),
    paymentRequest: undoThen("paymentRequest", "lineItems"),
    lineItems: undoThen("lineItems", "optIns"),
    optIns: undoThen("optIns", "order"),
    order: undoThen("order", "invoice"),
    invoice: undoThen("invoice", "preferences"),
    preferences: undoThen("preferences", "paymentGroups"),
    paymentGroups: undo("paymentGroups", {
      id: "undo:paymentGroups",
      src: "handleRollback",
      input: ({ context }) => rollbackInput(context, "paymentGroups"),
      onDone: [
        {
          guard: { type: "allUndone", params: { undo: "paymentGroups" } },
          target: ROLLEDBACK,
          actions: { type: "keepUndo", params: { undo: "paymentGroups" } },
          description: "Terminal error",
        },
        { target: DEFERRED, actions: { type: "keepUndo", params: { undo: "paymentGroups" } } },
      ],
      onDeferred: DEFERRED,
    }),
    deferred: insisted(
      "PROCESSING",
      {
        id: "undo:deferred",
        src: "handleRollback",
        input: ({ context }) => rollbackInput(context, nextDeferred(context)),
        onDone: [
          {
            guard: { type: "allUndone", params: { undo: null } },
            target: ROLLEDBACK,
            actions: { type: "keepUndo", params: { undo: null } },
            description: "Terminal error",
          },
          { target: DEFERRED, reenter: true, actions: { type: "keepUndo", params: { undo: null } } },
        ],
        whileBackingOff: {
          RESOLVE: [
            { guard: "resolvesAll", target: ROLLEDBACK, actions: "keepResolution", description: "Terminal error" },
            { guard: "resolves", target: DEFERRED, reenter: true, actions: "keepResolution" },
          ],
        },
      },
      ["deferred"],
    ),
  },
});
