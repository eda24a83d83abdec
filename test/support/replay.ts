/** Every checkout of a database, folded from its first entry: what differs from what is stored. */
import { VERSIONS, type MachineVersions } from "../../machines/released/registry.ts";
import type { Database } from "../../persistence/connect.ts";
import { replayBreaches } from "../../scripts/invariants/replay.ts";
import { evidenceOf } from "../../scripts/invariants/stored-evidence.ts";

/** One line for each breach of a replay, of every checkout that a store created. */
export async function differencesOnReplay(database: Database, versions: MachineVersions = VERSIONS): Promise<readonly string[]> {
  const ids = await database.rows<{ id: string }>("select context_id as id from checkoutd.snapshots order by 1");
  const differences: string[] = [];
  for (const { id } of ids) {
    const breaches = replayBreaches(await evidenceOf(database, id), versions);
    differences.push(...breaches.map((line) => `${id}: ${line}`));
  }
  return differences;
}
