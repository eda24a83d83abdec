/**
 * A checkout of an older version is migrated once: by an entry of its journal that says so, with the version of its row
 * and a checkpoint of the migrated state, in one commit. Whoever folds what follows begins there.
 */
import type { CheckoutMachine } from "../machines/checkout.ts";
import { viewOf } from "../machines/view.ts";
import type { Commit, JournalEntry, StoredCheckout } from "../persistence/store.ts";
import { dehydrate, hashContext } from "./engine.ts";
import type { RevivedState } from "./revival.ts";
import { earliest } from "./transition-commit.ts";

const MIGRATED = "MIGRATED";

/** Its own entry and all that follow, up to the next one, are in the words of the version that it names. */
export function isMigration({ event }: Pick<JournalEntry, "event">): boolean {
  return event.type === MIGRATED;
}

export interface MigrationStamp {
  readonly commitId: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly machine: CheckoutMachine;
  readonly machineHash: string;
}

/** `revived`: the stored checkout in the words of the machine that goes on with it. Pure. */
export function migrationCommit(
  stored: StoredCheckout,
  { snapshot, timers }: RevivedState,
  { commitId, at, machine, machineHash }: MigrationStamp,
): Commit {
  const seq = stored.seq + 1;
  const view = viewOf(snapshot, seq);
  const checkpoint = { snapshot: dehydrate(machine, snapshot), timers };
  const wakeAt = earliest(timers);
  return {
    id: stored.id,
    expectedSeq: stored.seq,
    fence: stored.fence,
    commitId,
    state: view.state,
    status: view.status,
    entry: {
      seq,
      at,
      // The state as well: the past can be told after the older version is gone.
      event: { type: MIGRATED, at, machineHash, migratedFrom: stored.machineHash, state: checkpoint },
      from: stored.entries.at(-1)?.to ?? null,
      to: view.path,
      contextHash: hashContext(snapshot),
    },
    events: [],
    checkpoint,
    machine: { machineVersion: machine.version ?? "", machineHash },
    ...(wakeAt === stored.wakeAt ? {} : { wakeAt }),
  };
}
