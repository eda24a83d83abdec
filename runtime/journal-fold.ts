/** The past of a checkout by its journal alone, whichever versions of the machine wrote it. */
import type { CheckoutInput } from "../machines/context.ts";
import { InvariantError } from "../machines/errors.ts";
import type { MachineVersions, StoredState } from "../machines/released/registry.ts";
import type { JournalEntry } from "../persistence/store.ts";
import { begin } from "./engine.ts";
import { hydrateFitting } from "./fit.ts";
import { knownWayOf, type VersionWay } from "./machine-versions.ts";
import { isMigration } from "./migration.ts";
import { assertAgrees, fold, type FoldedEntry, type FoldedState } from "./revival.ts";

/**
 * State by state, after each entry from the first on. TransientError OTHER_VERSION where one was written by a version that
 * this build doesn't know; InvariantError where the fold does not arrive where the journal says it did.
 */
export function* refold(versions: MachineVersions, id: string, entries: readonly JournalEntry[]): Generator<FoldedState> {
  let seq = 0;
  for (const chapter of chaptersOf(id, entries)) {
    if (chapter[0].seq !== seq + 1) throw new InvariantError(`The journal of ${id} has a gap after ${seq}.`);
    for (const state of foldChapter(versions, id, chapter)) {
      ({ seq } = state);
      yield state;
    }
  }
}

/** As it was after the last of these entries, which are its first ones. Reads no older version than needed. Errors as for `refold`. */
export function relive(versions: MachineVersions, id: string, entries: readonly JournalEntry[]): FoldedState {
  const chapter = chaptersOf(id, entries).at(-1);
  if (chapter === undefined) throw new InvariantError(`The journal of ${id} lacks its first entry.`);
  return [...foldChapter(versions, id, chapter)].at(-1) as FoldedState;
}

/** Entries of one version, the first of which says whose and where they begin. */
type Chapter = [JournalEntry, ...JournalEntry[]];

function chaptersOf(id: string, entries: readonly JournalEntry[]): readonly Chapter[] {
  const chapters: Chapter[] = [];
  for (const entry of entries) {
    const current = chapters.at(-1);
    if (current === undefined || isMigration(entry)) chapters.push([entry]);
    else current.push(entry);
  }
  const [first] = chapters.flat();
  if (first !== undefined && first.from !== null) throw new InvariantError(`The journal of ${id} lacks its first entry.`);
  return chapters;
}

function* foldChapter(versions: MachineVersions, id: string, [first, ...later]: Chapter): Generator<FoldedState> {
  const way = knownWayOf(versions, id, String(first.event["machineHash"]));
  const translate = (entry: JournalEntry): FoldedEntry => ({ ...entry, ...way.migration.entry(entry) });
  const begun = { machine: way.machine, seq: first.seq, emitted: [], ...beginningOf(first, way) };
  assertAgrees(id, translate(first), begun.snapshot);
  yield begun;
  yield* fold(way.machine, id, begun, later.map(translate));
}

function beginningOf(first: JournalEntry, { machine, migration }: VersionWay): Pick<FoldedState, "snapshot" | "timers"> {
  if (!isMigration(first)) {
    return { snapshot: begin(machine, migration.entry(first).event["input"] as CheckoutInput), timers: {} };
  }
  const stored = migration.state(first.event["state"] as StoredState);
  return { snapshot: hydrateFitting(machine, stored), timers: stored.timers };
}
