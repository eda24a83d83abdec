/** Behind a pooler that gives each transaction another backend: everything works, or is refused with a word about what to do. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { migrate } from "../../persistence/migrate.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { exampleRequest, initiate } from "../../scripts/demo/client.ts";
import { databaseConformance } from "../conformance/database.ts";
import { storeConformance } from "../conformance/store.ts";
import { describeBehindPgBouncer, startPgBouncer } from "../support/pgbouncer.ts";
import { createTestDatabase } from "../support/server.ts";
import type { TestServer } from "../support/servers.ts";
import { postgresHome } from "../support/service-process.ts";

const IGNORES_SETTINGS = "ignore_startup_parameters = statement_timeout,idle_in_transaction_session_timeout";

describeBehindPgBouncer("Postgres behind PgBouncer", (postgres) => {
  const open: (() => Promise<unknown>)[] = [];
  afterAll(async () => {
    for (const close of open.toReversed()) await close();
  });

  async function pooler(settings: readonly string[] = []): Promise<TestServer> {
    const server = await startPgBouncer(new URL(postgres), settings);
    open.push(() => server.stop());
    return server;
  }

  /** A database of its own, by way of the pooler. */
  async function through({ port }: TestServer, parameters = ""): Promise<string> {
    const database = await createTestDatabase(postgres);
    open.push(() => database.drop());
    const url = new URL(database.url);
    url.port = String(port);
    return `${url.href}${parameters}`;
  }

  databaseConformance("in transaction mode", async () => connectPostgres(await through(await pooler(), "?pgbouncer=true")));

  storeConformance("SQL in transaction mode", async () => {
    const database = connectPostgres(await through(await pooler(), "?pgbouncer=true"));
    await migrate(database);
    return { store: new SqlStore(database), close: () => database.close() };
  });

  describe("the service", () => {
    let ordinary: TestServer;
    let silent: TestServer;
    beforeAll(async () => {
      ordinary = await pooler();
      silent = await pooler([IGNORES_SETTINGS]);
    });

    test.each([
      { what: "refuses its settings", server: () => ordinary },
      { what: "drops its settings in silence", server: () => silent },
    ])("ends with 78 and says what to do where a pooler $what", async ({ server }) => {
      const home = await postgresHome(postgres);
      open.push(() => home.remove());
      const { code, output } = await home.spawn({ env: { DATABASE_URL: await through(server()) } }).ended;
      expect(output).toContain("Add ?pgbouncer=true to the URL");
      expect(code).toBe(78);
    });

    test("runs checkouts where it is told of the pooler", async () => {
      const home = await postgresHome(postgres);
      open.push(() => home.remove());
      const url = await home.spawn({ env: { DATABASE_URL: await through(ordinary, "?pgbouncer=true") } }).url();
      const orders = Array.from({ length: 8 }, () => exampleRequest(`cart_${randomUUID()}`, "ins_sync_ok"));
      const answers = await Promise.all(orders.map((request) => initiate(url, randomUUID(), request, 20)));
      expect(answers.map(({ httpStatus }) => httpStatus)).toEqual(orders.map(() => 200));
    });
  });
});
