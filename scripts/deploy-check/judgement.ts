/** Whether what a version of the machine left behind can be gone on with, and by which of the three ways. */
import type { CheckoutMachine } from "../../machines/checkout.ts";
import { GOES_ON, type MachineVersions, type Migration } from "../../machines/released/registry.ts";
import { wayOf } from "../../runtime/machine-versions.ts";

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

/** As the runtime would take it up; `hash` is that of the version that left it behind. One that isn't registered is tried as it is. */
export function judge(versions: MachineVersions, hash: string, compare: Comparison): Judgement {
  const { kind, machine, migration } = wayOf(versions, hash) ?? { kind: "current", ...versions.current, migration: GOES_ON };
  const difference = compare(machine, migration);
  if (difference !== null) return { kind: "blocking", difference: { ...difference, message: PREFIX[kind] + difference.message } };
  if (kind === "pinned") return { kind };
  return { kind: migration === GOES_ON ? "goes on" : "migrated" };
}

const PREFIX = { current: "", migrated: "after its migration: ", pinned: "under its pinned machine: " } as const;

/** With what lies behind it: XState's own message is the cause of ours. */
export function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message} ${explain(error.cause)}`;
}
