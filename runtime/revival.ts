/** From the store back to a state: the newest checkpoint and a fold of the journal after it. */
import type { CheckoutMachine } from "../machines/checkout.ts";
import { InvariantError } from "../machines/errors.ts";
import type { OutboundEvent } from "../machines/events.ts";
import type { Migration } from "../machines/released/registry.ts";
import type { JournalEntry, StoredCheckout } from "../persistence/store.ts";
import { decide, hashContext, statePath, type CheckoutSnapshot, type StampedEvent, type Timers } from "./engine.ts";
import { hydrateFitting } from "./fit.ts";

export interface RevivedState {
  readonly snapshot: CheckoutSnapshot;
  readonly timers: Timers;
  readonly seq: number;
}

/** One state of a fold, and what its transition told. */
export interface FoldedState extends RevivedState {
  readonly machine: CheckoutMachine;
  readonly emitted: readonly OutboundEvent[];
}

/** A stored checkout, as far as its state goes. */
export interface StoredHistory extends Pick<StoredCheckout, "id" | "seq" | "checkpoint"> {
  readonly entries: readonly FoldedEntry[];
}

export interface FoldedEntry extends Pick<JournalEntry, "seq" | "event" | "to"> {
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
  let state = checkpointed;
  for (const next of fold(machine, stored.id, checkpointed, later)) state = next;
  if (state.seq !== stored.seq) {
    throw new InvariantError(`The journal of ${stored.id} ends at ${state.seq}, its row at ${stored.seq}.`);
  }
  return state;
}

/** What a version left behind, in the words of the machine that goes on with it. InvariantError: its migration doesn't know it. */
export function translated(stored: StoredHistory, { state, entry }: Migration): StoredHistory {
  const { id, checkpoint, entries } = stored;
  try {
    return {
      ...stored,
      checkpoint: { ...state(checkpoint), seq: checkpoint.seq },
      entries: entries.map((recorded) => ({ ...recorded, ...entry(recorded) })),
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new InvariantError(`The migration of the version of ${id} failed: ${reason}`, { cause: error });
  }
}

/** State by state, after each of these entries. InvariantError as for `revive`. */
export function* fold(
  machine: CheckoutMachine,
  id: string,
  from: RevivedState,
  entries: readonly FoldedEntry[],
): Generator<FoldedState> {
  let seq = from.seq;
  let { snapshot, timers } = from;
  for (const entry of entries) {
    if (entry.seq !== seq + 1) throw new InvariantError(`The journal of ${id} has a gap after ${seq}.`);
    const decision = decide(machine, snapshot, timers, entry.event as StampedEvent);
    ({ snapshot, timers } = decision);
    assertAgrees(id, entry, snapshot);
    ({ seq } = entry);
    yield { machine, snapshot, timers, seq, emitted: decision.emitted };
  }
}

export function assertAgrees(id: string, entry: FoldedEntry, snapshot: CheckoutSnapshot): void {
  const { seq, event, to, contextHash } = entry;
  const path = statePath(snapshot);
  const difference = `Replaying ${id} differs from its journal at entry ${seq} (${event.type})`;
  if (path !== to) throw new InvariantError(`${difference}: it leads to ${path}, not to ${to}.`);
  if (contextHash !== null && hashContext(snapshot) !== contextHash) {
    throw new InvariantError(`${difference}: in ${to}, with another context.`);
  }
}
