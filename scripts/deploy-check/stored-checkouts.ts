/**
 * A live database's checkouts under the present code, finished ones too: money may come late, and a refund may fail.
 * Reads only, each checkout in one statement, so a running service may go on meanwhile.
 */
import type { CheckoutMachine } from "../../machines/checkout.ts";
import type { MachineVersions, Migration } from "../../machines/released/registry.ts";
import type { Database } from "../../persistence/connect.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import type { StoredCheckout } from "../../persistence/store.ts";
import { assertFits } from "../../runtime/fit.ts";
import { revive, translated } from "../../runtime/revival.ts";
import { explain, judge, type Difference, type Judgement } from "./judgement.ts";

/** Loaded at once; a checkpoint and its entries are some kilobytes. */
const BATCH = 100;

export interface JudgedCheckout {
  readonly id: string;
  readonly machineVersion: string;
  readonly machineHash: string;
  readonly judgement: Judgement;
}

/** In the order of their ids; what is created meanwhile may be missed. */
export async function* judgeStored(versions: MachineVersions, database: Database): AsyncGenerator<JudgedCheckout> {
  const store = new SqlStore(database);
  for (let after = ""; ;) {
    const ids = await idsAfter(database, after);
    for (const checkout of await Promise.all(ids.map((id) => store.load(id)))) {
      if (checkout === null) continue;
      const { id, machineVersion, machineHash } = checkout;
      const judgement = judge(versions, machineHash, (machine, migration) => differenceOf(machine, migration, checkout));
      yield { id, machineVersion, machineHash, judgement };
    }
    const last = ids.at(-1);
    if (last === undefined) return;
    after = last;
  }
}

/** Past the store: no other caller walks over all checkouts. */
async function idsAfter(database: Database, after: string): Promise<readonly string[]> {
  const rows = await database.rows<{ id: string }>("select id from checkoutd.contexts where id > $1 order by id limit $2", [
    after,
    BATCH,
  ]);
  return rows.map(({ id }) => id);
}

/** As a node that takes it over would: the checkpoint, and the entries after it folded. */
function differenceOf(machine: CheckoutMachine, migration: Migration, stored: StoredCheckout): Difference | null {
  try {
    const { snapshot, timers } = revive(machine, translated(stored, migration));
    assertFits(snapshot, timers);
    return null;
  } catch (error) {
    return { path: stored.entries.at(-1)?.to ?? stored.state, event: null, message: explain(error) };
  }
}
