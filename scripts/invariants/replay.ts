/** The journal is the log, everything else follows from it: folded from its first entry, it must arrive at what is stored. */
import { canonicalJson } from "../../machines/canonical-json.ts";
import { transitionBreaches } from "../../machines/invariants.ts";
import { VERSIONS, type MachineVersions } from "../../machines/released/registry.ts";
import { viewOf } from "../../machines/view.ts";
import { dehydrate, type CheckoutSnapshot } from "../../runtime/engine.ts";
import { refold } from "../../runtime/journal-fold.ts";
import { knownWayOf } from "../../runtime/machine-versions.ts";
import { revive, translated, type FoldedState } from "../../runtime/revival.ts";
import { breach } from "./breach.ts";
import type { Evidence } from "./evidence.ts";

type Stored = Pick<Evidence, "id" | "row" | "checkpoint" | "journal" | "outbox" | "ledger" | "removed">;

export function replayBreaches(stored: Stored, versions: MachineVersions = VERSIONS): readonly string[] {
  try {
    if (stored.removed !== null) return tombstoneEnd(stored, versions);
    const states = [...refold(versions, stored.id, stored.journal)];
    if (states.length === 0) return ["I12: a journal has at least one entry"];
    return [...transitions(stored, states), ...tellings(stored, states), ...endings(stored, states)];
  } catch (error) {
    return [`I12: ${error instanceof Error ? error.message : String(error)}`];
  }
}

/** What was asserted before each commit, with the ledger's own lines. */
function transitions({ ledger }: Stored, states: readonly FoldedState[]): readonly string[] {
  const views = states.map(({ snapshot }, index) => viewOf(snapshot, index + 1));
  return views.flatMap((view, index) => {
    const transfers = ledger.filter(({ seq }) => seq === view.seq);
    return transitionBreaches(views[index - 1] ?? null, view, { events: states[index]?.emitted ?? [], transfers });
  });
}

/** Nothing is in the outbox that no transition decided, and nothing is missing. */
function tellings({ outbox }: Stored, states: readonly FoldedState[]): readonly string[] {
  const decided = states.flatMap(({ emitted }) => emitted).map(({ type, data }) => canonicalJson({ type, data }));
  const written = outbox.map(({ type, data }) => canonicalJson({ type, data }));
  const isSame = decided.length === written.length && decided.every((event, index) => event === written[index]);
  return breach(!isSame, `I15: the replay tells ${decided.join()}, the outbox ${written.join()}`);
}

function endings({ row, checkpoint }: Stored, states: readonly FoldedState[]): readonly string[] {
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
export function taken(
  { id, row, checkpoint, journal }: Pick<Stored, "id" | "row" | "checkpoint" | "journal">,
  versions: MachineVersions = VERSIONS,
): CheckoutSnapshot {
  if (checkpoint === null) throw new Error("it has no checkpoint");
  const entries = journal.filter(({ seq }) => seq >= checkpoint.seq);
  const { machine, migration } = knownWayOf(versions, id, row.machineHash);
  return revive(machine, translated({ id, seq: row.seq, checkpoint, entries }, migration)).snapshot;
}

function tombstoneEnd(stored: Stored, versions: MachineVersions): readonly string[] {
  const { state, status, path } = viewOf(taken(stored, versions), stored.row.seq);
  const isRow = state === stored.row.state && status === stored.row.status;
  return breach(!isRow, `I12: the row says ${stored.row.state} ${stored.row.status}, the checkpoint ${path} ${status}`);
}

function isAt({ seq, snapshot, timers }: NonNullable<Stored["checkpoint"]>, states: readonly FoldedState[]): boolean {
  const folded = states[seq - 1];
  if (folded === undefined) return false;
  const replayed = { snapshot: dehydrate(folded.machine, folded.snapshot), timers: folded.timers };
  return canonicalJson(replayed) === canonicalJson({ snapshot, timers });
}
