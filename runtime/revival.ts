/** From the store back to a state: the newest checkpoint and a fold of the journal after it. */
import type { CheckoutMachine } from "../machines/checkout.ts";
import type { CheckoutInput } from "../machines/context.ts";
import { InvariantError } from "../machines/errors.ts";
import type { JournalEntry, StoredCheckout } from "../persistence/store.ts";
import { begin, decide, hashContext, statePath, type CheckoutSnapshot, type StampedEvent, type Timers } from "./engine.ts";
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
  const checkpointed: RevivedState = {
    snapshot: hydrateFitting(machine, checkpoint),
    timers: checkpoint.timers,
    seq: checkpoint.seq,
  };
  const [own, ...later] = stored.entries;
  if (own?.seq !== checkpoint.seq)
    throw new InvariantError(`The journal of ${stored.id} lacks the entry of its checkpoint, ${checkpoint.seq}.`);
  assertAgrees(stored.id, own, checkpointed.snapshot);
  const state = fold(machine, stored.id, checkpointed, later);
  if (state.seq !== stored.seq) {
    throw new InvariantError(`The journal of ${stored.id} ends at ${state.seq}, its row at ${stored.seq}.`);
  }
  return state;
}

/** As it was after the last of these entries, which are its first ones. InvariantError as for `revive`. */
export function relive(machine: CheckoutMachine, id: string, entries: readonly FoldedEntry[]): RevivedState {
  const [first, ...later] = entries;
  if (first === undefined) throw new InvariantError(`The journal of ${id} lacks its first entry.`);
  const begun = { snapshot: begin(machine, first.event["input"] as CheckoutInput), timers: {}, seq: first.seq };
  assertAgrees(id, first, begun.snapshot);
  return fold(machine, id, begun, later);
}

function fold(machine: CheckoutMachine, id: string, from: RevivedState, entries: readonly FoldedEntry[]): RevivedState {
  let state = from;
  for (const entry of entries) {
    if (entry.seq !== state.seq + 1) throw new InvariantError(`The journal of ${id} has a gap after ${state.seq}.`);
    const { snapshot, timers } = decide(machine, state.snapshot, state.timers, entry.event as StampedEvent);
    assertAgrees(id, entry, snapshot);
    state = { snapshot, timers, seq: entry.seq };
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
