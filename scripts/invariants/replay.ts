/** The journal is the log, everything else follows from it: folded from its first entry, it must arrive at what is stored. */
import { canonicalJson } from "../../machines/canonical-json.ts";
import { checkoutMachine } from "../../machines/checkout.ts";
import type { CheckoutInput } from "../../machines/context.ts";
import type { OutboundEvent } from "../../machines/events.ts";
import { transitionBreaches } from "../../machines/invariants.ts";
import { viewOf } from "../../machines/view.ts";
import type { JournalEntry } from "../../persistence/store.ts";
import {
  begin,
  decide,
  dehydrate,
  hashContext,
  statePath,
  type CheckoutSnapshot,
  type StampedEvent,
  type Timers,
} from "../../runtime/engine.ts";
import { revive } from "../../runtime/revival.ts";
import { breach } from "./breach.ts";
import type { Evidence } from "./evidence.ts";

type Stored = Pick<Evidence, "id" | "row" | "checkpoint" | "journal" | "outbox" | "ledger" | "removed">;

/** One state of a fold, and what its transition told. */
export interface Folded {
  readonly snapshot: CheckoutSnapshot;
  readonly timers: Timers;
  readonly emitted: readonly OutboundEvent[];
}

/** The states after each entry, from the first on. Throws where an entry says otherwise. */
export function fold(journal: readonly JournalEntry[]): readonly Folded[] {
  const [first, ...later] = journal;
  if (first === undefined) throw new Error("a journal has at least one entry");
  let state: Folded = { snapshot: begin(checkoutMachine, first.event["input"] as CheckoutInput), timers: {}, emitted: [] };
  assertAgrees(first, state);
  const states = [state];
  for (const entry of later) {
    const { snapshot, timers, emitted } = decide(checkoutMachine, state.snapshot, state.timers, entry.event as StampedEvent);
    state = { snapshot, timers, emitted };
    assertAgrees(entry, state);
    states.push(state);
  }
  return states;
}

export function replayBreaches(stored: Stored): readonly string[] {
  try {
    if (stored.removed !== null) return tombstoneEnd(stored);
    const states = fold(stored.journal);
    return [...transitions(stored, states), ...tellings(stored, states), ...endings(stored, states)];
  } catch (error) {
    return [`I12: ${error instanceof Error ? error.message : String(error)}`];
  }
}

/** What was asserted before each commit, with the ledger's own lines. */
function transitions({ ledger }: Stored, states: readonly Folded[]): readonly string[] {
  const views = states.map(({ snapshot }, index) => viewOf(snapshot, index + 1));
  return views.flatMap((view, index) => {
    const transfers = ledger.filter(({ seq }) => seq === view.seq);
    return transitionBreaches(views[index - 1] ?? null, view, { events: states[index]?.emitted ?? [], transfers });
  });
}

/** Nothing is in the outbox that no transition decided, and nothing is missing. */
function tellings({ outbox }: Stored, states: readonly Folded[]): readonly string[] {
  const decided = states.flatMap(({ emitted }) => emitted).map(({ type, data }) => canonicalJson({ type, data }));
  const written = outbox.map(({ type, data }) => canonicalJson({ type, data }));
  const isSame = decided.length === written.length && decided.every((event, index) => event === written[index]);
  return breach(!isSame, `I15: the replay tells ${decided.join()}, the outbox ${written.join()}`);
}

function endings({ row, checkpoint }: Stored, states: readonly Folded[]): readonly string[] {
  const last = states[row.seq - 1];
  if (last === undefined) return [`I12: the row is at ${row.seq}, the replay at ${states.length}`];
  const { state, status, path } = viewOf(last.snapshot, row.seq);
  const isRow = state === row.state && status === row.status;
  return [
    ...breach(!isRow, `I12: the row says ${row.state} ${row.status}, the replay ${path} ${status}`),
    ...(checkpoint === null
      ? []
      : breach(!isAt(checkpoint, states), `I12: the checkpoint at ${checkpoint.seq} is another state`)),
  ];
}

/** Of a tombstone, as a node takes it up. Throws where the fold of what came after the checkpoint says otherwise. */
export function taken({ id, row, checkpoint, journal }: Pick<Stored, "id" | "row" | "checkpoint" | "journal">): CheckoutSnapshot {
  if (checkpoint === null) throw new Error("it has no checkpoint");
  const entries = journal.filter(({ seq }) => seq >= checkpoint.seq);
  return revive(checkoutMachine, { id, seq: row.seq, checkpoint, entries }).snapshot;
}

function tombstoneEnd(stored: Stored): readonly string[] {
  const { state, status, path } = viewOf(taken(stored), stored.row.seq);
  const isRow = state === stored.row.state && status === stored.row.status;
  return breach(!isRow, `I12: the row says ${stored.row.state} ${stored.row.status}, the checkpoint ${path} ${status}`);
}

function isAt({ seq, snapshot, timers }: NonNullable<Stored["checkpoint"]>, states: readonly Folded[]): boolean {
  const folded = states[seq - 1];
  if (folded === undefined) return false;
  const replayed = { snapshot: dehydrate(checkoutMachine, folded.snapshot), timers: folded.timers };
  return canonicalJson(replayed) === canonicalJson({ snapshot, timers });
}

function assertAgrees({ seq, to, contextHash }: JournalEntry, { snapshot }: Folded): void {
  if (statePath(snapshot) === to && hashContext(snapshot) === contextHash) return;
  throw new Error(`entry ${seq} says ${to}, its replay ${statePath(snapshot)}`);
}
