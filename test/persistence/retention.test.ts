import { expect, onTestFinished, test } from "vitest";
import { sql } from "drizzle-orm";
import { rowsOf, type Database } from "../../persistence/connect.ts";
import { countRemovable, readByIndex, removal, removeFinished } from "../../persistence/retention.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { checkpointAt, commitAfter, commitOne, createdCheckout, randomId } from "../conformance/store-fixtures.ts";
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

onEveryBackend("what retention removes", (stage) => {
  const NOTHING = { checkouts: 0, tombstones: 0, rows: 0 };

  async function due(): Promise<string> {
    const { database } = stage();
    onTestFinished(async () => void (await database.rows("delete from checkoutd.snapshots")));
    await database.rows("delete from checkoutd.contexts");
    const id = await finishedCheckout(database);
    await database.rows(
      "update checkoutd.contexts set finished_at = now() - interval '31 days', updated_at = now() - interval '31 days' where id = $1",
      [id],
    );
    return id;
  }

  test("a dry run counts it and leaves it, and it is removed once", async () => {
    const { database } = stage();
    await due();
    expect(await countRemovable(database, 30)).toEqual({ checkouts: 1, tombstones: 1 });
    const batch = await removeFinished(database, 30, null);
    // Two entries of three, an event, what was heard, the request and the key.
    expect(batch).toMatchObject({ checkouts: 1, tombstones: 1, rows: 6 });
    expect(await removeFinished(database, 30, batch.last)).toEqual({ ...NOTHING, last: null });
    expect(await removeFinished(database, 30, null)).toEqual({ ...NOTHING, last: null });
  });

  const change = (set: string) => `update checkoutd.contexts set ${set} where id = $1`;
  test.each([
    ["is not finished", change("finished_at = null, wake_at = now() + interval '1 day'")],
    ["finished since then", change("finished_at = now() - interval '29 days'")],
    ["was touched since then", change("updated_at = now() - interval '29 days'")],
    ["has something unread", change("signals = signals + 1")],
    ["has an owner", change("owner = 'node_1'")],
    ["has a timer", change("wake_at = now() + interval '1 day'")],
    ["is parked", change("parked_reason = 'a test says so'")],
    ["has an event that was not acknowledged", "update checkoutd.outbox set acknowledged_at = null where context_id = $1"],
    ["holds money in suspense", "insert into checkoutd.suspense values ($1, 'INR', -5, now())"],
  ])("nothing of a checkout that %s", async (_what, statement) => {
    const { database } = stage();
    const id = await due();
    await database.rows(statement, [id]);
    expect(await countRemovable(database, 30)).toEqual({ checkouts: 0, tombstones: 0 });
    expect(await removeFinished(database, 30, null)).toMatchObject(NOTHING);
  });

  test("with a ledger and no payment requirement, a tombstone stays all the same", async () => {
    const { database } = stage();
    const id = await due();
    await database.rows("delete from checkoutd.pcr_contexts where context_id = $1", [id]);
    await database.rows("insert into checkoutd.ledger values ($1, 2, 1, now(), 'PROVIDER', 'SUSPENSE', 5, 'INR', 'psr_1')", [id]);
    expect(await removeFinished(database, 30, null)).toMatchObject({ checkouts: 1, tombstones: 1 });
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
    commitAfter(id, 2, {
      checkpoint: checkpointAt(3),
      consumes: [arrived],
      finished: true,
      passivate: true,
      release: { completed: true },
    }),
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
