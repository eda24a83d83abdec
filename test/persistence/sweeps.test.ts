/** What a node asks again and again reads what is to be done, however many checkouts wait. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { onEveryBackend } from "../support/stage.ts";

const NODE = "node_sweeping";
const HASH = "hash";
const WAITING = 20_000;
/** All that wait fill a thousand. */
const BLOCKS_MAX = 40;

interface Plan {
  readonly "Shared Hit Blocks": number;
  readonly "Shared Read Blocks": number;
}

const SWEEPS: Readonly<Record<string, (store: SqlStore) => Promise<unknown>>> = {
  "what can run": (store) => store.claimRunnable(NODE, 200),
  "what stands still": (store) => store.stuck(60_000, 1_000),
  "what it owns": (store) => store.owned(NODE, 10_000),
};

onEveryBackend("sweeps among many that wait", (stage) => {
  beforeAll(async () => {
    await new SqlStore(stage().database).heartbeat(NODE, 600_000, [HASH]);
    await fill(stage().database);
  });
  afterAll(() => stage().database.rows("truncate checkoutd.contexts"));

  describe.each(Object.entries(SWEEPS))("%s", (_name, sweep) => {
    test("is found by an index", async () => {
      expect(await blocksRead(stage().database, sweep)).toBeLessThan(BLOCKS_MAX);
    });
  });
});

async function fill(database: Database): Promise<void> {
  await database.rows(
    `insert into checkoutd.contexts (id, caller, user_id, cart_id, cart_version, idempotency_key, machine_version, machine_hash,
       seq, fence, state, status, last_commit, wake_at)
     select 'ctx_' || i, 'shop', 'usr_1', 'cart_' || i, 1, 'key_' || i, '1', $1, 10, 1, 'PROCESSING', 'AWAITING_PAYMENT', 'cmt',
       now() + interval '1 day' from generate_series(1, $2::integer) i`,
    [HASH, WAITING],
  );
  await database.rows("analyze checkoutd.contexts");
}

/** Of 8 KB each, by the one statement of this sweep, which is carried out. */
async function blocksRead(database: Database, sweep: (store: SqlStore) => Promise<unknown>): Promise<number> {
  let plan: Plan | undefined;
  const explained: Database = {
    ...database,
    rows: async <Row>(text: string, parameters?: readonly unknown[]) => {
      const statement = `explain (analyze, buffers, format json) ${text}`;
      const [row] = await database.rows<{ "QUERY PLAN": [{ Plan: Plan }] }>(statement, parameters);
      plan = row?.["QUERY PLAN"][0].Plan;
      return [] as Row[];
    },
  };
  await sweep(new SqlStore(explained));
  return (plan?.["Shared Hit Blocks"] ?? 0) + (plan?.["Shared Read Blocks"] ?? 0);
}
