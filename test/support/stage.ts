/** What nodes of a test stand on: a fresh database and a lock service, embedded or on real servers. */
import { createClient } from "redis";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { LockManager } from "../../locking/lock-manager.ts";
import { connectRedisLocks } from "../../locking/redis-locks.ts";
import { SqlLocks } from "../../locking/sql-locks.ts";
import type { Database } from "../../persistence/connect.ts";
import { migrate } from "../../persistence/migrate.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { openMemoryDatabase } from "./memory-database.ts";
import { differencesOnReplay } from "./replay.ts";
import { createTestDatabase, describeOn } from "./server.ts";

export interface Stage {
  readonly kind: Database["kind"];
  /** For looking at the tables. */
  readonly database: Database;
  /** A node's own connections; the node closes them. */
  openDatabase(): Promise<Database>;
  openLocks(): Promise<LockManager>;
  /** The lock service forgets everything, as a Redis without persistence does when it restarts. */
  flushLocks(): Promise<void>;
  close(): Promise<void>;
}

/** The same tests on PGlite with locks in the database, and on Postgres with locks in Redis. */
export function onEveryBackend(name: string, body: (stage: () => Stage, kind: Stage["kind"]) => void): void {
  describe(`${name}, embedded`, () => {
    onStage(openEmbeddedStage, (stage) => body(stage, "embedded"));
  });
  onServers(name, (stage) => body(stage, "postgres"));
}

/** For tests that are about neither: a plain run has them on Postgres and Redis alone, and says so; TEST_FULL=1 on both. */
export function onServersFirst(name: string, body: (stage: () => Stage, kind: Stage["kind"]) => void): void {
  if (process.env["TEST_FULL"] === "1") return onEveryBackend(name, body);
  process.stdout.write(`${name}: on Postgres and Redis alone (npm run test:full runs it embedded too)\n`);
  onServers(name, (stage) => body(stage, "postgres"));
}

export function onServers(name: string, body: (stage: () => Stage) => void): void {
  describeOn("postgres", `${name}, Postgres`, (postgresUrl) => {
    describeOn("redis", "and Redis", (redisUrl) => onStage(() => openServerStage(postgresUrl, redisUrl), body));
  });
}

function onStage(open: () => Promise<Stage>, body: (stage: () => Stage) => void): void {
  let opened: Stage | undefined;
  const stage = () => {
    if (opened === undefined) throw new Error("The stage is open inside tests and hooks only.");
    return opened;
  };
  beforeAll(async () => {
    opened = await open();
  });
  afterAll(() => opened?.close());
  body(stage);
  test("replaying each journal of this run from its first entry gives the stored checkpoint", async () => {
    expect(await differencesOnReplay(stage().database)).toEqual([]);
  });
}

/** Alone, without the replay of every journal that `onEveryBackend` ends with: for charts that are not the product's. */
export async function openEmbeddedStage(): Promise<Stage> {
  const database = await openMemoryDatabase();
  return {
    kind: "embedded",
    database,
    // There is one session; a node must not close it under the others.
    openDatabase: async () => ({ ...database, close: async () => undefined }),
    openLocks: async () => new SqlLocks(database),
    flushLocks: async () => void (await database.rows("delete from checkoutd.locks")),
    close: () => database.close(),
  };
}

/** Files that run at the same time share the Redis server, so each of vitest's workers has a database of its own. */
const REDIS_DATABASES = 15;

async function openServerStage(postgresUrl: string, redisAddress: string): Promise<Stage> {
  const created = await createTestDatabase(postgresUrl);
  const database = connectPostgres(created.url, { connectionsMax: 4 });
  await migrate(database);
  const redisUrl = new URL(redisAddress);
  redisUrl.pathname = `/${1 + (Number(process.env["VITEST_POOL_ID"] ?? 0) % REDIS_DATABASES)}`;
  return {
    kind: "postgres",
    database,
    openDatabase: async () => connectPostgres(created.url, { connectionsMax: 8 }),
    openLocks: () => connectRedisLocks(redisUrl.href),
    flushLocks: async () => {
      const client = await createClient({ url: redisUrl.href }).connect();
      await client.flushDb();
      client.destroy();
    },
    close: async () => {
      await database.close();
      await created.drop();
    },
  };
}
