/** Whether what a version of the machine left behind can be gone on with, and by which of the three ways. */
import type { CheckoutMachine } from "../../machines/checkout.ts";
import type { MachineVersions, Migration } from "../../machines/released/registry.ts";

export type Judgement =
  /** As it is, under the current machine. */
  | { readonly kind: "goes on" }
  /** Under the current machine, after the migration that is registered for its version. */
  | { readonly kind: "migrated" }
  /** Under its own version's machine, which is still registered. */
  | { readonly kind: "pinned" }
  | { readonly kind: "blocking"; readonly difference: Difference };

/** The first thing that would go another way. */
export interface Difference {
  /** The state in which it shows, dotted. */
  readonly path: string;
  /** The event that shows it; null = the state itself can't be taken up. */
  readonly event: string | null;
  readonly message: string;
}

/** Null = everything goes the way that it went. */
export type Comparison = (machine: CheckoutMachine, migration: Migration) => Difference | null;

/** `hash` is that of the version that left it behind. What is tried last is what a blocking judgement tells of. */
export function judge({ current, migrations, pinned }: MachineVersions, hash: string, compare: Comparison): Judgement {
  let difference = compare(current.machine, AS_IT_IS);
  if (difference === null) return { kind: "goes on" };
  const migration = migrations[hash];
  if (migration !== undefined) {
    const remaining = compare(current.machine, migration);
    if (remaining === null) return { kind: "migrated" };
    difference = { ...remaining, message: `after its migration: ${remaining.message}` };
  }
  const own = pinned[hash];
  if (own !== undefined) {
    const remaining = compare(own, AS_IT_IS);
    if (remaining === null) return { kind: "pinned" };
    difference = { ...remaining, message: `under its pinned machine: ${remaining.message}` };
  }
  return { kind: "blocking", difference };
}

const AS_IT_IS: Migration = { state: (stored) => stored, entry: (recorded) => recorded };

/** With what lies behind it: XState's own message is the cause of ours. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message} ${explain(error.cause)}`;
}
