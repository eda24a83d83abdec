/** Commits of nodes that stood still, which reached Postgres when their checkouts were another node's. (I16) */
import { setTimeout as sleep } from "node:timers/promises";
import type { Database } from "../../persistence/connect.ts";
import type { HeldCommit, HeldStatement } from "./database-proxy.ts";

const LOOK_MS = 5;

export interface LateWrites {
  /** Commits whose checkout had a newer fence when they arrived. */
  readonly late: number;
  /** Of those, the ones that are in a journal all the same. */
  readonly applied: readonly string[];
}

/**
 * Delivers it as soon as one of its checkouts was taken over, so that the taker has perhaps not written yet and the fence
 * alone can refuse; or after `patienceMs`.
 */
export async function deliverLate(database: Database, held: HeldStatement, patienceMs: number): Promise<LateWrites> {
  const until = performance.now() + patienceMs;
  let superseded: readonly HeldCommit[] = [];
  while (superseded.length === 0 && performance.now() < until) {
    superseded = await supersededOf(database, held.commits);
    if (superseded.length === 0) await sleep(LOOK_MS);
  }
  if (!(await held.deliver())) return { late: 0, applied: [] };
  const applied = await database.rows<{ id: string }>(APPLIED, [JSON.stringify(superseded)]);
  return { late: superseded.length, applied: applied.map(({ id }) => id) };
}

async function supersededOf(database: Database, commits: readonly HeldCommit[]): Promise<readonly HeldCommit[]> {
  const ids = commits.map(({ executionContextId }) => executionContextId);
  const rows = await database.rows<{ id: string; fence: number }>(
    "select id, fence from checkoutd.contexts where id in (select jsonb_array_elements_text($1::text::jsonb))",
    [JSON.stringify(ids)],
  );
  const fences = new Map(rows.map(({ id, fence }) => [id, fence]));
  return commits.filter(({ executionContextId, fence }) => (fences.get(executionContextId) ?? 0) > fence);
}

/** Its entry says when it was decided, to the millisecond: the taker's own was decided seconds later. */
const APPLIED = `
select j.context_id as id from jsonb_to_recordset($1::text::jsonb) as h("executionContextId" text, "expectedSeq" int, at float8)
join checkoutd.journal j on j.context_id = h."executionContextId" and j.seq = h."expectedSeq" + 1
where abs(extract(epoch from j.at) * 1000 - h.at) < 0.5`;
