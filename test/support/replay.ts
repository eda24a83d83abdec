/** The journal is the log, a checkpoint only a shortcut: whoever folds the log from its first entry must arrive at the same state. */
import { canonicalJson } from "../../machines/canonical-json.ts";
import { checkoutMachine } from "../../machines/checkout.ts";
import type { CheckoutInput } from "../../machines/context.ts";
import type { Database } from "../../persistence/connect.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
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

const ENTRIES_MAX = 10_000;

export interface Folded {
  readonly snapshot: CheckoutSnapshot;
  readonly timers: Timers;
}

/** The states after each entry, from the first on. Throws where an entry says otherwise. */
export function fold(entries: readonly JournalEntry[]): readonly Folded[] {
  const [first, ...later] = entries;
  if (first === undefined) throw new Error("A journal has at least one entry.");
  let state: Folded = { snapshot: begin(checkoutMachine, first.event["input"] as CheckoutInput), timers: {} };
  const states = [state];
  assertAgrees(first, state);
  for (const entry of later) {
    const { snapshot, timers } = decide(checkoutMachine, state.snapshot, state.timers, entry.event as StampedEvent);
    state = { snapshot, timers };
    assertAgrees(entry, state);
    states.push(state);
  }
  return states;
}

/** One line for each checkout of the database whose replay fails or ends elsewhere than its checkpoint. */
export async function differencesOnReplay(database: Database): Promise<readonly string[]> {
  const store = new SqlStore(database);
  const ids = await database.rows<{ id: string }>("select id from checkoutd.contexts order by id");
  const differences: string[] = [];
  for (const { id } of ids) {
    const stored = await store.load(id);
    if (stored === null) continue;
    try {
      const states = fold(await store.history(id, 0, ENTRIES_MAX));
      const { seq, snapshot, timers } = stored.checkpoint;
      const folded = states[seq - 1];
      if (folded === undefined) throw new Error(`there is no entry ${seq}`);
      const replayed = { snapshot: dehydrate(checkoutMachine, folded.snapshot), timers: folded.timers };
      if (canonicalJson(replayed) !== canonicalJson({ snapshot, timers })) throw new Error(`entry ${seq} is another state`);
    } catch (error) {
      differences.push(`${id}: ${String(error)}`);
    }
  }
  return differences;
}

function assertAgrees(entry: JournalEntry, { snapshot }: Folded): void {
  if (statePath(snapshot) === entry.to && hashContext(snapshot) === entry.contextHash) return;
  throw new Error(`entry ${entry.seq} says ${entry.to}, its replay ${statePath(snapshot)}`);
}
