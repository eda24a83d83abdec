/** `npm run erase` as an operator runs it: a process of its own, on a database that a service has left. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import { openEmbedded } from "../../persistence/embedded-database.ts";
import { migrate } from "../../persistence/migrate.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { readArguments } from "../../scripts/erase/arguments.ts";
import { commitAfter, commitOne, createdCheckout } from "../conformance/store-fixtures.ts";
import { runScriptProcess } from "../support/script-process.ts";

const TIMEOUT_MS = 180_000;

describe("what erase is told", () => {
  test.each([
    [["--user", "usr_42"], { userId: "usr_42", dataDir: null }],
    [["--user", "usr_42", "--data", "/srv/data"], { userId: "usr_42", dataDir: "/srv/data" }],
    [["--help"], null],
  ])("%j", (given, expected) => expect(readArguments(given)).toEqual(expected));

  test.each([
    [[], "--user must be a userId"],
    [["--user", "usr 42"], "--user must be a userId"],
    [["--user", "usr_42", "--data", ""], "--data must name the directory"],
    [["usr_42"], "Unexpected argument"],
  ])("%j is refused: %s", (given, message) => expect(() => readArguments(given)).toThrow(message));
});

test(
  "names what is not finished and exits with 1; when that has ended, erases it and exits with 0",
  { timeout: TIMEOUT_MS },
  async () => {
    const directory = await mkdtemp(join(tmpdir(), "checkoutd-erase-"));
    const using = async <Result>(use: (database: Database) => Promise<Result>) => {
      const database = await openEmbedded(directory);
      try {
        await migrate(database);
        return await use(database);
      } finally {
        await database.close();
      }
    };
    const run = (user: string) => runScriptProcess("erase", ["--user", user], { DATA_DIR: directory });
    try {
      const { id } = await using((database) => createdCheckout(new SqlStore(database), { userId: "usr_42" }));
      const first = await run("usr_42");
      expect([first.code, first.stdout]).toEqual([1, expect.stringContaining(`${id}  PROCESSING`)]);
      await using((database) => commitOne(new SqlStore(database), commitAfter(id, 1, { finished: true, passivate: true })));
      expect(await run("usr_42")).toMatchObject({ code: 0, stdout: expect.stringContaining("erased now 1 requests") as unknown });
      expect(await using((database) => database.rows("select from checkoutd.requests"))).toEqual([]);
      expect(await run("usr_nobody")).toMatchObject({
        code: 0,
        stdout: "There is no checkout of usr_nobody here: nothing to erase.\n",
      });
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
);
