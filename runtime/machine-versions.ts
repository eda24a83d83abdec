/** Which machine a checkout goes on under, by the hash of the version that it stands at. */
import type { CheckoutMachine } from "../machines/checkout.ts";
import { TransientError } from "../machines/errors.ts";
import { GOES_ON, type MachineVersions, type Migration } from "../machines/released/registry.ts";
import type { ActorLogics } from "../machines/vocabulary.ts";

export interface VersionWay {
  readonly kind: "current" | "migrated" | "pinned";
  readonly machine: CheckoutMachine;
  /** From that version's words to the machine's. */
  readonly migration: Migration;
}

/** Null = this build doesn't know that version. */
export function wayOf({ current, migrations, pinned }: MachineVersions, hash: string): VersionWay | null {
  if (hash === current.hash) return { kind: "current", machine: current.machine, migration: GOES_ON };
  const migration = migrations[hash];
  if (migration !== undefined) return { kind: "migrated", machine: current.machine, migration };
  const machine = pinned[hash];
  return machine === undefined ? null : { kind: "pinned", machine, migration: GOES_ON };
}

/** TransientError OTHER_VERSION where this build doesn't know it. */
export function knownWayOf(versions: MachineVersions, id: string, machineHash: string): VersionWay {
  const way = wayOf(versions, machineHash);
  if (way !== null) return way;
  throw new TransientError(
    "OTHER_VERSION",
    `${id} was run by version ${machineHash}, which this node doesn't know. Ask another node.`,
  );
}

/** The versions whose checkouts this build can run, its own first. */
export function knownHashes({ current, migrations, pinned }: MachineVersions): readonly string[] {
  return [...new Set([current.hash, ...Object.keys(migrations), ...Object.keys(pinned)])];
}

/** Every machine with these steps. A pinned one asks for a step that is gone: its checkouts in that step are parked. */
export function withActors({ current, migrations, pinned }: MachineVersions, actors: ActorLogics): MachineVersions {
  return {
    current: { ...current, machine: current.machine.provide({ actors }) },
    migrations,
    pinned: Object.fromEntries(Object.entries(pinned).map(([hash, machine]) => [hash, machine.provide({ actors })])),
  };
}
