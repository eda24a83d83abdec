/** What the nodes of a run stand on: private servers that can be struck, and one database. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "redis";
import type { Database } from "../../persistence/connect.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { startServer, type ServerKind, type TestServer } from "../support/servers.ts";
import { patient } from "./patient-database.ts";

export interface Ground {
  /** Of Postgres, for whoever looks at it after a run that ended wrong. */
  readonly dataDirectory: string;
  readonly postgresPort: number;
  readonly natsUrl: string;
  /** A node's settings; `databasePort` of whoever stands between it and Postgres. */
  environment(databasePort: number): Readonly<Record<string, string>>;
  /** Our own look at the tables. Waits while Postgres is away. */
  readonly database: Database;
  /** As `pg_ctl stop -m immediate` and a start on the same data and port. */
  restartPostgres(): Promise<void>;
  restartNats(): Promise<void>;
  flushRedis(): Promise<void>;
  /** Stops the servers; Postgres' data stays. Safe twice. */
  stop(): Promise<void>;
  /** Stops them, and removes that too. */
  discard(): Promise<void>;
}

export interface GroundOptions {
  readonly webhookSecret: string;
  /** Feature flags, in flagd's format. */
  readonly flags: object;
}

export async function openGround({ webhookSecret, flags }: GroundOptions): Promise<Ground> {
  const settings = await mkdtemp(join(tmpdir(), "checkoutd-chaos-"));
  const flagsFile = join(settings, "flags.json");
  await writeFile(flagsFile, JSON.stringify(flags));
  const redis = await started("redis");
  let postgres = await started("postgres");
  let nats = await started("nats");
  const database = patient(connectPostgres(postgres.url, { connectionsMax: 8, applicationName: "chaos" }));
  const stop = async () => {
    await database.close();
    await Promise.all([postgres.kill(), nats.stop(), redis.stop(), rm(settings, { recursive: true, force: true })]);
  };
  return {
    dataDirectory: postgres.directory,
    postgresPort: postgres.port,
    natsUrl: nats.url,
    database,
    environment: (databasePort) => ({
      DATABASE_URL: `postgres://postgres@127.0.0.1:${databasePort}/postgres`,
      REDIS_URL: redis.url,
      NATS_URL: nats.url,
      PAYMENT_WEBHOOK_SECRET: webhookSecret,
      FLAGS_FILE: flagsFile,
      PAYMENT_DEADLINE_MS: "60000",
      // Above five seconds a checkout that waits for its payment leaves memory.
      PAYMENT_POLL_MS: "6000",
    }),
    restartPostgres: async () => {
      await postgres.kill();
      postgres = await started("postgres", postgres);
    },
    restartNats: async () => {
      await nats.kill();
      nats = await started("nats", nats);
    },
    flushRedis: async () => {
      const client = await createClient({ url: redis.url }).connect();
      await client.flushAll();
      client.destroy();
    },
    stop,
    discard: async () => {
      await stop();
      await postgres.stop();
    },
  };
}

/** `known`: one that was killed, to come back with its data where its clients look for it. */
async function started(kind: ServerKind, known?: TestServer): Promise<TestServer> {
  const options = known === undefined ? {} : { port: known.port, directory: known.directory };
  const server = await startServer(kind, options);
  if (server === null) throw new Error(`Chaos kills its own servers, so it needs ${kind} here: npm run setup:servers`);
  return server;
}
