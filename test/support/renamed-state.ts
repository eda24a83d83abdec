/** A later machine whose third step has another name, and the migration that its author would have to write. */
import type { CheckoutMachine } from "../../machines/checkout.ts";
import type { Migration } from "../../machines/released/registry.ts";
import { changedMachine, renameState } from "./machine-mutants.ts";

export function machineWithRenamedState(): CheckoutMachine {
  return changedMachine((root) => renameState(root, ["PROCESSING", "STEP_3"], "STEP_THREE"));
}

const renamed = (path: string) => path.replace("PROCESSING.STEP_3.", "PROCESSING.STEP_THREE.");

export const RENAMING: Migration = {
  state: ({ snapshot, timers }) => {
    const stored = snapshot as { readonly value: string | { readonly PROCESSING?: Readonly<Record<string, unknown>> } };
    return {
      snapshot: { ...stored, value: renamedValue(stored.value) },
      timers: Object.fromEntries(Object.entries(timers).map(([id, dueAt]) => [renamed(id), dueAt])),
    };
  },
  // A timer's event names the state that set it.
  entry: ({ event, to, contextHash }) => ({ event: { ...event, type: renamed(event.type) }, to: renamed(to), contextHash }),
};

function renamedValue(value: string | { readonly PROCESSING?: Readonly<Record<string, unknown>> }): unknown {
  if (typeof value === "string" || value.PROCESSING?.["STEP_3"] === undefined) return value;
  return { PROCESSING: { STEP_THREE: value.PROCESSING["STEP_3"] } };
}
