/** Checkouts that ended long ago, without the wait. */
import { expect } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import { removeFinished, type RemovedBatch, type RetentionCursor } from "../../persistence/retention.ts";
import { eventually } from "./client.ts";

/** As if they had ended, and come to rest, so many days ago. They must have told their events first. */
export async function age(database: Database, ids: readonly string[], days = 40): Promise<void> {
  await eventually(async () => {
    const owing = await database.rows(
      `select o.context_id from checkoutd.outbox o where o.acknowledged_at is null and o.context_id = any(string_to_array($1, ','))
       union select id from checkoutd.contexts where owner is not null and id = any(string_to_array($1, ','))`,
      [ids.join()],
    );
    expect(owing).toEqual([]);
  });
  await database.rows(
    `update checkoutd.contexts set finished_at = now() - $2::int * interval '1 day', updated_at = now() - $2::int * interval '1 day'
      where id = any(string_to_array($1, ',')) and finished_at is not null`,
    [ids.join(), days],
  );
}

/** All of it, as the script does. */
export async function retain(database: Database, days = 30): Promise<Omit<RemovedBatch, "last">> {
  const total = { checkouts: 0, tombstones: 0, rows: 0 };
  for (let after: RetentionCursor | null = null; ;) {
    const { last, ...batch } = await removeFinished(database, days, after);
    if (last === null) return total;
    after = last;
    total.checkouts += batch.checkouts;
    total.tombstones += batch.tombstones;
    total.rows += batch.rows;
  }
}
