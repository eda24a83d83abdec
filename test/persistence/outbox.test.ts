import { expect, test } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import { UNPUBLISHED } from "../../persistence/queries.ts";
import { fillOutbox } from "../support/backlog.ts";
import { onEveryBackend } from "../support/stage.ts";

const SHARDS = Array.from({ length: 16 }, (_, shard) => shard).join();

onEveryBackend("the outbox", (stage) => {
  test("what is read of a backlog does not grow with it, with and without statistics", async () => {
    const { database } = stage();
    await fillOutbox(database, "ctx_first", 8_000);
    const before = await blocksRead(database);
    await fillOutbox(database, "ctx_then", 40_000);
    expect(await blocksRead(database)).toBeLessThan(1.5 * before);
    await database.rows("analyze checkoutd.outbox", []);
    expect(await blocksRead(database)).toBeLessThan(1.5 * before);
  });
});

/** Of 8 KB each, by the statement that reads the next 500 checkouts. */
async function blocksRead(database: Database): Promise<number> {
  const statement = UNPUBLISHED.replaceAll("$1", `'${SHARDS}'`).replaceAll("$2", "160").replaceAll("$3", "500");
  const rows = await database.rows<{ "QUERY PLAN": [{ Plan: Record<string, number> }] }>(
    `explain (analyze, buffers, format json) ${statement}`,
    [],
  );
  const plan = rows[0]?.["QUERY PLAN"][0].Plan ?? {};
  return (plan["Shared Hit Blocks"] ?? 0) + (plan["Shared Read Blocks"] ?? 0);
}
