/** Rollbacks that leave something out, give something up, or go the wrong way. All in the machine. */
import { assign } from "xstate";
import { checkoutMachine } from "../../../machines/checkout.ts";
import { UNDO_ORDER, type UndoName } from "../../../machines/context.ts";
import { toUndo } from "../../../machines/shapes.ts";
import { changedMachine, configAt, type NodeConfig } from "../../support/machine-mutants.ts";
import { machinePlant, type PlantedBug } from "./planted-bug.ts";

const ROLLEDBACK = "#checkout.ROLLEDBACK";
const DEFERRED = "#checkout.PROCESSING.undoing.deferred";

const forwards: PlantedBug = {
  name: "undos go forwards",
  breaks: "a rollback begins with what was done first",
  plant: machinePlant(() =>
    changedMachine((root) => {
      retarget(root, (target) => (target.startsWith(toUndo("" as UndoName)) ? toUndo("paymentGroups") : target));
      for (const [index, name] of UNDO_ORDER.entries()) {
        const { invoke } = configAt(root, ["PROCESSING", "undoing", name, "running"]);
        const next = UNDO_ORDER[index + 1];
        const done = { type: "keepUndo", params: { undo: name } };
        const end = { guard: { type: "allUndone", params: { undo: name } }, target: ROLLEDBACK, actions: done };
        const after = { target: next === undefined ? DEFERRED : toUndo(next), actions: done };
        if (invoke !== undefined) invoke.onDone = next === undefined ? [end, after] : after;
        const [again, put] = (invoke?.onError ?? []) as readonly object[];
        if (invoke !== undefined) invoke.onError = [again, { ...put, target: after.target }];
      }
    }),
  ),
};

const leavesTheStepInFlight: PlantedBug = {
  name: "the step in flight is not undone",
  breaks: "a step that failed counts as not done, so the rollback begins with the one before it",
  plant: machinePlant(() =>
    changedMachine((root) => {
      for (const [name, state] of Object.entries(configAt(root, ["PROCESSING"]).states ?? {})) {
        if (name === "undoing" || name === "STEP_8") continue;
        retarget(state, (target) => {
          const index = UNDO_ORDER.findIndex((undo) => toUndo(undo) === target);
          const before = UNDO_ORDER[index - 1];
          return index < 0 ? target : before === undefined ? ROLLEDBACK : toUndo(before);
        });
      }
    }),
  ),
};

const givesUp: PlantedBug = {
  name: "an undo is given up",
  breaks: "an undo that failed past its budget counts as done",
  plant: machinePlant(() =>
    checkoutMachine.provide({
      actions: { defer: assign(({ context }, { undo }) => ({ undone: [...context.undone, undo] })) },
    }),
  ),
};

const endsEarly: PlantedBug = {
  name: "a rollback ends with undos put aside",
  breaks: "the guard allUndone is always true",
  plant: machinePlant(() => checkoutMachine.provide({ guards: { allUndone: () => true } })),
};

const cancelsTooLate: PlantedBug = {
  name: "a cancellation after the pivot",
  breaks: "what is being confirmed can still be cancelled",
  plant: machinePlant(() =>
    changedMachine((root) => {
      const confirming = configAt(root, ["PROCESSING", "STEP_8", "confirming"]);
      const giveUp = { type: "giveUp", params: { step: "STEP_8", code: "CANCELLED", message: "The checkout was cancelled." } };
      confirming.on = { ...confirming.on, CANCEL: { target: toUndo("lineItemsUpdatedEvent"), actions: giveUp } };
    }),
  ),
};

export const UNDOING_BUGS: readonly PlantedBug[] = [forwards, leavesTheStepInFlight, givesUp, endsEarly, cancelsTooLate];

/** Every target in a configuration, wherever it stands. */
function retarget(config: NodeConfig, change: (target: string) => string): void {
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const [key, inner] of Object.entries(value)) {
      if (key === "target" && typeof inner === "string") Reflect.set(value, key, change(inner));
      else visit(inner);
    }
  };
  visit(config);
}
