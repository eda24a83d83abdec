/** `npm run reconcile` as an operator runs it: a process of its own, on a database that a service has left. */
import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SqlLocks } from "../../locking/sql-locks.ts";
import type { Database } from "../../persistence/connect.ts";
import { openEmbedded } from "../../persistence/embedded-database.ts";
import { migrate } from "../../persistence/migrate.ts";
import { systemClock, systemIds } from "../../server/system-ports.ts";
import { SimulatedProvider } from "../../services/provider-simulator.ts";
import { documentedRequest } from "../services/checkouts.ts";
import { readArguments } from "../../scripts/reconcile/arguments.ts";
import { successEvent } from "../support/payment-desk.ts";
import { runScriptProcess } from "../support/script-process.ts";
import { startService, type Service } from "../support/service.ts";

/** Each run is a process of its own; a loaded machine takes seconds to start one. */
const TIMEOUT_MS = 180_000;

let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "checkoutd-reconcile-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function run(args: readonly string[], environment: Readonly<Record<string, string>> = { DATA_DIR: directory }) {
  return runScriptProcess("reconcile", args, environment);
}

/** The report for machines, of whatever moved until now. */
async function report(...args: readonly string[]) {
  const { code, stdout, stderr } = await run(["--json", "--settle", "0", ...args]);
  if (stdout === "") throw new Error(`reconcile printed nothing but:\n${stderr}`);
  return { code, ...(JSON.parse(stdout) as { readonly differences: readonly unknown[]; readonly [field: string]: unknown }) };
}

/** A node on the directory's database, stopped before the directory is given back. */
async function withService<Result>(use: (service: Service, database: Database) => Promise<Result>): Promise<Result> {
  const database = await openEmbedded(directory);
  await migrate(database);
  const service = await startService({
    kind: "embedded",
    database,
    openDatabase: async () => ({ ...database, close: async () => undefined }),
    openLocks: async () => new SqlLocks(database),
    flushLocks: async () => undefined,
    close: () => database.close(),
  });
  try {
    return await use(service, database);
  } finally {
    await service.stop();
    await database.close();
  }
}

const cart = (cartId: string, instrumentId: string) =>
  documentedRequest({ cart: { cartId, version: 1 }, payment: { method: "UPI", instrumentId } });

describe("before it compares anything", () => {
  test("ends with 64 and its usage when it is given something else", { timeout: TIMEOUT_MS }, async () => {
    const { code, stdout, stderr } = await run(["--settle=soon"]);
    expect({ code, stdout }).toEqual({ code: 64, stdout: "" });
    expect(stderr).toContain("--settle must be a whole number of seconds");
    expect(stderr).toContain("Usage: npm run reconcile");
  });

  test.each([
    ["--settle", "argument missing"],
    ["--settle=-1", "whole number of seconds"],
    ["--settle=86401", "from 0 to 86400"],
    ["--unheard-of", "Unknown option"],
    ["a word", "Unexpected argument"],
  ])("refuses %s", (argument, why) => {
    expect(() => readArguments([argument])).toThrow(why);
  });

  test("takes a minute for the time that money needs to settle", () => {
    expect(readArguments([])).toEqual({ isJson: false, isDelivering: false, settleMs: 60_000 });
    expect(readArguments(["--settle", "86400", "--json", "--deliver"])).toEqual({
      isJson: true,
      isDelivering: true,
      settleMs: 86_400_000,
    });
    expect(readArguments(["--help"])).toBeNull();
  });

  test("ends with 66 where there is no database, and makes none", { timeout: TIMEOUT_MS }, async () => {
    const DATA_DIR = join(directory, "elsewhere");
    const { code, stderr } = await run([], { DATA_DIR });
    expect(code).toBe(66);
    expect(stderr).toContain(`There is no database in ${DATA_DIR}`);
    expect(existsSync(DATA_DIR)).toBe(false);
  });

  test(
    "ends with 78 for a wrong configuration, and with 69 when the database doesn't answer",
    { timeout: TIMEOUT_MS },
    async () => {
      expect(await run([], { DATABASE_URL: "mysql://user:secret@db/shop" })).toMatchObject({ code: 78 });
      const { code, stderr } = await run([], { DATABASE_URL: "postgres://user:secret@127.0.0.1:1/shop" });
      expect(code).toBe(69);
      expect(stderr).not.toContain("secret");
    },
  );
});

test(
  "finds the payment that its checkout never heard of, delivers it, and agrees once a service has settled it",
  { timeout: TIMEOUT_MS },
  async () => {
    const unheard = await withService(async (service, database) => {
      const paid = await service.initiate(cart("cart_paid", "ins_sync_ok"));
      await service.reaches(paid.checkout().executionContextId, "CONFIRMED");
      expect(await run([])).toMatchObject({
        code: 75,
        stderr: expect.stringContaining(`Process ${process.pid} uses`) as unknown,
      });
      const { executionContextId, payment } = (await service.initiate(cart("cart_unheard", "ins_async"))).checkout();
      const pcrId = payment.pcrId ?? "";
      const provider = new SimulatedProvider({ database, ids: systemIds, clock: systemClock });
      // The provider has it; its event is lost.
      await provider.recordAuthenticatedSuccess(successEvent(pcrId, "psp_unheard", payment.amount ?? 0));
      return { executionContextId, pcrId };
    });

    const difference = { code: "CAPTURE_UNKNOWN", ...unheard, pspReference: "psp_unheard", isDeliverable: true };
    expect(await report()).toMatchObject({ code: 1, isEqual: false, charges: 2, captures: 2, differences: [difference] });
    expect(await run(["--json", "--settle", "3600"])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('"stillMoving":1') as unknown,
    });
    const delivery = await run(["--settle", "0", "--deliver"]);
    expect(delivery.code).toBe(1);
    expect(delivery.stdout).toMatch(/CAPTURE_UNKNOWN.*psp_unheard/);
    expect(delivery.stdout).toContain("1 payment delivered");
    expect(await report("--deliver")).toMatchObject({ code: 1, delivered: { fresh: 0, repeated: 1 } });
    await withService((service) => service.reaches(unheard.executionContextId, "CONFIRMED"));
    expect(await report()).toMatchObject({ code: 0, isEqual: true, captures: 2, stillMoving: 0, differences: [] });
    expect(await run(["--settle", "0"])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("Both say the same.") as unknown,
    });
  },
);

test(
  "finds what the ledger has and the provider doesn't list, and money that stays in suspense",
  { timeout: TIMEOUT_MS },
  async () => {
    const id = await withService(async (service, database) => {
      const paid = await service.initiate(cart("cart_missing", "ins_sync_ok"));
      const { executionContextId } = paid.checkout();
      await service.reaches(executionContextId, "CONFIRMED");
      await database.rows("delete from checkoutd.provider_captures where context_id = $1", [executionContextId]);
      await database.rows("insert into checkoutd.suspense values ($1, 'INR', -5, now() - interval '1 hour')", ["ctx_suspended"]);
      return executionContextId;
    });
    const { code, differences } = await report();
    expect(code).toBe(1);
    expect(differences).toMatchObject([
      { code: "CAPTURE_MISSING", executionContextId: id, isDeliverable: false },
      { code: "IN_SUSPENSE", executionContextId: "ctx_suspended", ledger: 5 },
    ]);
  },
);
