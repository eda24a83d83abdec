/** From the store back to a state: the newest checkpoint and a fold of the journal after it. */
import type { CheckoutMachine } from "../machines/checkout.ts";
import { InvariantError } from "../machines/errors.ts";
import type { JournalEntry, StoredCheckout } from "../persistence/store.ts";
import { decide, hashContext, statePath, type CheckoutSnapshot, type StampedEvent, type Timers } from "./engine.ts";
import { hydrateFitting } from "./fit.ts";

export interface RevivedState {
  readonly snapshot: CheckoutSnapshot;
  readonly timers: Timers;
  readonly seq: number;
}

/** A stored checkout, as far as its state goes. */
export interface StoredHistory extends Pick<StoredCheckout, "id" | "seq" | "checkpoint"> {
  readonly entries: readonly FoldedEntry[];
}

interface FoldedEntry extends Pick<JournalEntry, "seq" | "event" | "to"> {
  /** Null = the entry was migrated, and with it the context: the hash of the old one says nothing. */
  readonly contextHash: string | null;
}

/** InvariantError when the checkpoint is not of this machine, or the fold does not arrive where the journal says it did: then nobody may go on from it. */
export function revive(machine: CheckoutMachine, stored: StoredHistory): RevivedState {
  const { checkpoint } = stored;
  let state: RevivedState = { snapshot: hydrateFitting(machine, checkpoint), timers: checkpoint.timers, seq: checkpoint.seq };
  const [own, ...later] = stored.entries;
  if (own?.seq !== checkpoint.seq)
    throw new InvariantError(`The journal of ${stored.id} lacks the entry of its checkpoint, ${checkpoint.seq}.`);
  assertAgrees(stored.id, own, state.snapshot);
  for (const entry of later) {
    if (entry.seq !== state.seq + 1) throw new InvariantError(`The journal of ${stored.id} has a gap after ${state.seq}.`);
    const { snapshot, timers } = decide(machine, state.snapshot, state.timers, entry.event as StampedEvent);
    assertAgrees(stored.id, entry, snapshot);
    state = { snapshot, timers, seq: entry.seq };
  }
  if (state.seq !== stored.seq) {
    throw new InvariantError(`The journal of ${stored.id} ends at ${state.seq}, its row at ${stored.seq}.`);
  }
  return state;
}

function assertAgrees(id: string, entry: FoldedEntry, snapshot: CheckoutSnapshot): void {
  const { seq, event, to, contextHash } = entry;
  const path = statePath(snapshot);
  const difference = `Replaying ${id} differs from its journal at entry ${seq} (${event.type})`;
  if (path !== to) throw new InvariantError(`${difference}: it leads to ${path}, not to ${to}.`);
  if (contextHash !== null && hashContext(snapshot) !== contextHash) {
    throw new InvariantError(`${difference}: in ${to}, with another context.`);
  }
}
