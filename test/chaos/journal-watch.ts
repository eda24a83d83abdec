/** Every transition of every node, read from the journal: whoever commits may be gone before it could tell. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../../persistence/connect.ts";
import type { TransitionNotice } from "../../runtime/transition-notice.ts";

const LOOK_MS = 100;
/** A row is stamped when its transaction begins and seen when that ends. */
const OVERLAP_MS = 5_000;

const CHANGED = `
select c.id, c.seq, c.state, c.status, (extract(epoch from clock_timestamp()) * 1000)::float8 as now
from checkoutd.contexts c where c.updated_at > to_timestamp($1::float8 / 1000)`;

const ENTRIES = `
select j.context_id as "contextId", j.seq, (extract(epoch from j.at) * 1000)::float8 as at, j.event, j.from_state as "from",
  j.to_state as "to", j.context_hash as "contextHash"
from jsonb_to_recordset($1::text::jsonb) as k(id text, after int)
join checkoutd.journal j on j.context_id = k.id and j.seq > k.after order by j.context_id, j.seq`;

interface Changed {
  readonly id: string;
  readonly seq: number;
  readonly state: string;
  readonly status: string;
  readonly now: number;
}

/** Tells each entry once, in the order of its checkout; returns how to stop. */
export function watchJournal(database: Database, see: (notice: TransitionNotice) => void): () => void {
  const told = new Map<string, number>();
  let since = 0;
  let isStopped = false;
  const look = async () => {
    const rows = await database.rows<Changed>(CHANGED, [since]);
    since = (rows[0]?.now ?? since + OVERLAP_MS) - OVERLAP_MS;
    const changed = new Map(rows.filter(({ id, seq }) => seq > (told.get(id) ?? 0)).map((row) => [row.id, row]));
    if (changed.size === 0) return;
    const known = JSON.stringify([...changed.keys()].map((id) => ({ id, after: told.get(id) ?? 0 })));
    type Entry = TransitionNotice["entry"] & { readonly contextId: string };
    for (const { contextId, ...entry } of await database.rows<Entry>(ENTRIES, [known])) {
      const row = changed.get(contextId);
      // What has come since the row was read is told at the next look, with the row that it belongs to.
      if (row === undefined || entry.seq > row.seq) continue;
      told.set(contextId, entry.seq);
      see({ executionContextId: contextId, entry, state: row.state, status: row.status });
    }
  };
  const run = async () => {
    while (!isStopped) {
      await look();
      await sleep(LOOK_MS);
    }
  };
  void run();
  return () => (isStopped = true);
}
