/** Where a killed and restarted service keeps its data, and a look into it once the service is stopped. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Database } from "../../persistence/connect.ts";
import { openEmbedded } from "../../persistence/embedded-database.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { spawnService, type ServiceProcess, type SpawnOptions } from "../../scripts/service-process.ts";
import { compiled } from "./compiled.ts";
import { createTestDatabase } from "./server.ts";

export interface ServiceHome {
  /** Each process lives until it is killed, or until `remove`. */
  spawn(options?: Partial<SpawnOptions>): ServiceProcess;
  /** Embedded: only while no process has it. */
  inspect<Result>(look: (database: Database) => Promise<Result>): Promise<Result>;
  /** Kills what still runs and removes the data. */
  remove(): Promise<void>;
}

const MAIN = new URL("../../server/main.ts", import.meta.url);

export async function embeddedHome(): Promise<ServiceHome> {
  const directory = await mkdtemp(join(tmpdir(), "checkoutd-faults-"));
  const open = () => openEmbedded(directory);
  return home({ DATA_DIR: directory }, await compiled(MAIN), open, () => rm(directory, { recursive: true, force: true }));
}

/** Locks in the database unless Redis is named. */
export async function postgresHome(serverUrl: string, redisUrl = ""): Promise<ServiceHome> {
  const database = await createTestDatabase(serverUrl);
  const { url } = database;
  return home(
    { DATABASE_URL: url, REDIS_URL: redisUrl },
    await compiled(MAIN),
    async () => connectPostgres(url),
    () => database.drop(),
  );
}

function home(
  base: Readonly<Record<string, string>>,
  entry: URL,
  open: () => Promise<Database>,
  discard: () => Promise<void>,
): ServiceHome {
  const spawned: ServiceProcess[] = [];
  return {
    spawn: ({ env = {}, ...options } = {}) => {
      const process = spawnService({ entry, ...options, env: { ...base, ...env } });
      spawned.push(process);
      return process;
    },
    inspect: async (look) => {
      const database = await open();
      try {
        return await look(database);
      } finally {
        await database.close();
      }
    },
    remove: async () => {
      await Promise.all(spawned.map((process) => process.kill("SIGKILL")));
      await discard();
    },
  };
}
