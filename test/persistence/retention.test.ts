import { expect, onTestFinished, test } from "vitest";
import { sql } from "drizzle-orm";
import { rowsOf, type Database } from "../../persistence/connect.ts";
import { readByIndex, removal } from "../../persistence/retention.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { commitAfter, commitOne, createdCheckout, randomId } from "../conformance/store-fixtures.ts";
import { copyCheckout } from "../support/copies.ts";
import { onEveryBackend } from "../support/stage.ts";

/** It fills tables, and a loaded machine takes its time. */
const TIMEOUT_MS = 180_000;
/** Removed at each look. */
const DUE = 50;

onEveryBackend("what retention reads", (stage) => {
  test("does not grow with what stays, with and without statistics", { timeout: TIMEOUT_MS }, async () => {
    const { database } = stage();
    // The stage would fold what is left.
    onTestFinished(async () => void (await database.rows("delete from checkoutd.snapshots")));
    const id = await finishedCheckout(database);
    await stay(database, id, "first", 100);
    const before = await blocksRead(database, id, "one");
    await stay(database, id, "then", 500);
    expect(await blocksRead(database, id, "two")).toBeLessThan(1.5 * before);
    await database.rows("analyze", []);
    expect(await blocksRead(database, id, "three")).toBeLessThan(1.5 * before);
  });
});

/** With events, a journal, a payment requirement and a payment event. */
async function finishedCheckout(database: Database): Promise<string> {
  const store = new SqlStore(database);
  const { id } = await createdCheckout(store);
  const pcrId = randomId("pcr");
  await commitOne(store, commitAfter(id, 1, { pcrId, events: [{ type: "note", data: {} }] }));
  await store.receivePayment("psp", randomId("evt"), pcrId, { type: "payment_collection_requirement_success" });
  const [arrived] = await store.unconsumed(id);
  if (arrived === undefined) throw new Error("A payment event waits.");
  await commitOne(
    store,
    commitAfter(id, 2, { consumes: [arrived], finished: true, passivate: true, release: { completed: true } }),
  );
  await database.rows("update checkoutd.outbox set acknowledged_at = now() where context_id = $1", [id]);
  return id;
}

/** So many each: young, not finished, and a tombstone already. The oldest come first, so that they lie in the way. */
async function stay(database: Database, id: string, name: string, count: number): Promise<void> {
  const set = async (kind: string, change: string) => {
    await copyCheckout(database, id, `${name}_${kind}`, count);
    await database.rows(`update checkoutd.contexts set ${change} where id like $1 || '%'`, [`${id}_${name}_${kind}`]);
  };
  await set("young", "finished_at = now()");
  await set("unfinished", "finished_at = null, wake_at = now(), created_at = now() - interval '60 days'");
  await set("tombstone", "finished_at = now() - interval '60 days', updated_at = finished_at, retained_signals = signals");
}

/** Of 8 KB each, to remove some that are due. */
async function blocksRead(database: Database, id: string, name: string): Promise<number> {
  await copyCheckout(database, id, name, DUE);
  await database.rows(
    "update checkoutd.contexts set finished_at = now() - interval '40 days', updated_at = now() - interval '40 days' where id like $1 || '%'",
    [`${id}_${name}_`],
  );
  const rows = await database.transaction(async (tx) => {
    await readByIndex(tx);
    const statement = sql`explain (analyze, buffers, format json) ${removal(30, null)}`;
    return rowsOf<{ "QUERY PLAN": [{ Plan: Record<string, number> }] }>(await tx.execute(statement));
  });
  const tombstones = await database.rows("select from checkoutd.contexts where type_seqs is not null and id like $1 || '%'", [
    `${id}_${name}_`,
  ]);
  expect(tombstones).toHaveLength(DUE);
  const plan = rows[0]?.["QUERY PLAN"][0].Plan ?? {};
  return (plan["Shared Hit Blocks"] ?? 0) + (plan["Shared Read Blocks"] ?? 0);
}
