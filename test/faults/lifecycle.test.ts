/** How the process starts and ends: what a supervisor and an operator see of it. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { migrate } from "../../persistence/migrate.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { auditCheckout } from "../../scripts/checkout-audit.ts";
import { exampleRequest, initiate } from "../../scripts/demo/client.ts";
import type { Ending, ServiceProcess } from "../../scripts/service-process.ts";
import { createdCheckout } from "../conformance/store-fixtures.ts";
import { describeOn } from "../support/server.ts";
import { embeddedHome, postgresHome, type ServiceHome } from "../support/service-process.ts";

const CHECKOUTS = 6;
const CLIENT_WAIT_SECONDS = 25;
const TIMEOUT_MS = 90_000;

describe("a process that can't serve", () => {
  let home: ServiceHome;
  beforeAll(async () => (home = await embeddedHome()));
  afterAll(() => home.remove());

  test("ends with 78 and lists every mistake in its configuration", async () => {
    const env = { PORT: "eighty", LOG_LEVEL: "loud", DATABASE_URL: "mysql://user:secret@db/shop", STEP_RETRY_MAX: "-1" };
    const { code, output } = await home.spawn({ env }).ended;
    expect(code).toBe(78);
    expect(output).toContain("4 mistake(s)");
    for (const name of Object.keys(env)) expect(output).toContain(`${name} must be`);
    expect(output).not.toContain("secret");
  });

  test("ends with 69 when the database doesn't answer, without its password", async () => {
    // Port 1 on loopback refuses at once.
    const env = { DATABASE_URL: "postgres://user:secret@127.0.0.1:1/shop" };
    const { code, output } = await home.spawn({ env }).ended;
    expect(code).toBe(69);
    expect(output).toContain("checkoutd can't start");
    expect(output).not.toContain("secret");
  });

  test(
    "ends with 78 and the list where checkouts of an unknown version are live, and starts when told to leave them (hard case 25)",
    { timeout: TIMEOUT_MS },
    async () => {
      const machineHash = "0123456789abcdef";
      const id = await home.inspect(async (database) => {
        await migrate(database);
        const checkout = await createdCheckout(new SqlStore(database), { machineHash });
        await new SqlStore(database).endLease(checkout.owner);
        return checkout.id;
      });
      const { code, output } = await home.spawn().ended;
      expect(code).toBe(78);
      expect(output).toContain(`1 ${machineHash}: 1 (${id})`);
      expect(output).toContain("machines/released/registry.ts");
      const told = home.spawn({ env: { LEAVE_VERSIONS: machineHash } });
      expect((await fetch(await told.url())).status).toBe(200);
      await expect(told.kill("SIGTERM")).resolves.toMatchObject({ code: 0 });
      const [row] = await home.inspect((database) =>
        database.rows("select owner is not null as owned, fence::int as fence, parked_reason from checkoutd.contexts"),
      );
      expect(row).toEqual({ owned: true, fence: 1, parked_reason: null });
    },
  );
});

describe("SIGTERM, on the embedded database", () => {
  let rival: { readonly ending: Ending; readonly pid: number; readonly stillServes: boolean } | undefined;
  drains(
    () => embeddedHome(),
    async (home, second) => {
      const ending = await home.spawn().ended;
      rival = { pid: second.pid, ending, stillServes: (await fetch(`${await second.url()}/`)).status === 200 };
    },
  );

  test("a process that finds another one in its data directory ends with 75 and names that one, which goes on", () => {
    expect(rival).toMatchObject({ ending: { code: 75 }, stillServes: true });
    expect(rival?.ending.output).toContain(`Process ${rival?.pid} uses`);
  });
});

describeOn("postgres", "SIGTERM, on Postgres", (postgresUrl) =>
  describeOn("redis", "with locks in Redis", (redisUrl) => drains(() => postgresHome(postgresUrl, redisUrl))),
);

/** `beside`: what else happens while the second process serves; to start one more for it takes seconds. */
function drains(
  openHome: () => Promise<ServiceHome>,
  beside: (home: ServiceHome, second: ServiceProcess) => Promise<void> = async () => undefined,
): void {
  let home: ServiceHome;
  beforeAll(async () => (home = await openHome()));
  afterAll(() => home.remove());

  test(
    "drains with 0 while checkouts are in flight, and the next process goes on with them",
    { timeout: TIMEOUT_MS },
    async () => {
      // A flaky provider, so that each of them is somewhere between two steps for a while.
      const orders = Array.from({ length: CHECKOUTS }, () => ({
        key: randomUUID(),
        request: exampleRequest(`cart_${randomUUID()}`, "ins_flaky"),
      }));
      const first = home.spawn({ env: { LOG_LEVEL: "info" } });
      const url = await first.url();
      const begun = await Promise.all(orders.map(({ key, request }) => initiate(url, key, request, 0)));
      const ids = begun.map(({ body }) => body.executionContextId);
      const { output, ...ending } = await first.kill("SIGTERM");
      expect(ending).toEqual({ code: 0, signal: null });
      expect(output).toMatch(/Draining[^]*Drained; whatever is unfinished goes on after the next start/);
      const unfinished = await home.inspect((database) =>
        database.rows<{ left: number }>("select count(*)::int as left from checkoutd.contexts where finished_at is null"),
      );
      expect(unfinished[0]?.left).toBeGreaterThan(0);

      const second = home.spawn();
      const next = await second.url();
      const answers = await Promise.all(orders.map(({ key, request }) => initiate(next, key, request, CLIENT_WAIT_SECONDS)));
      expect(answers.map(({ httpStatus, body }) => [httpStatus, body.status])).toEqual(orders.map(() => [200, "CONFIRMED"]));
      expect(answers.map(({ body }) => body.executionContextId)).toEqual(ids);
      await beside(home, second);
      await expect(second.kill("SIGTERM")).resolves.toMatchObject({ code: 0 });
      await home.inspect(async (database) => {
        for (const id of ids) expect((await auditCheckout(database, id, "CONFIRMED")).violations).toEqual([]);
      });
    },
  );
}
