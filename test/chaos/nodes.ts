/** Several processes of the service on one fresh database, without faults. */
import type { Database } from "../../persistence/connect.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { spawnService, type ServiceProcess } from "../../scripts/service-process.ts";
import { compiled } from "../support/compiled.ts";
import { createTestDatabase } from "../support/server.ts";

const MAIN = new URL("../../server/main.ts", import.meta.url);

export interface Nodes {
  readonly all: readonly { readonly process: ServiceProcess; readonly url: string }[];
  readonly database: Database;
  /** Kills what still runs and removes the database. */
  close(): Promise<void>;
}

export async function openNodes(serverUrl: string, count: number): Promise<Nodes> {
  const created = await createTestDatabase(serverUrl);
  const entry = await compiled(MAIN);
  const database = connectPostgres(created.url, { connectionsMax: 4 });
  const processes = Array.from({ length: count }, () => spawnService({ entry, env: { DATABASE_URL: created.url } }));
  const close = async () => {
    await Promise.all(processes.map((process) => process.kill("SIGKILL")));
    await database.close();
    await created.drop();
  };
  try {
    return { all: await Promise.all(processes.map(async (process) => ({ process, url: await process.url() }))), database, close };
  } catch (error) {
    await close();
    throw error;
  }
}
