import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { DataDirectoryLockedError, lockDataDirectory } from "../../persistence/data-directory-lock.ts";
import { openEmbedded } from "../../persistence/embedded-database.ts";

const root = await mkdtemp(join(tmpdir(), "checkoutd-embedded-"));
afterAll(() => rm(root, { recursive: true, force: true }));

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(root, "data-"));
});

const LOCK_MODULE = new URL("../../persistence/data-directory-lock.ts", import.meta.url).href;

/** Another process that takes the lock, says so, and lives until it is killed. */
async function lockElsewhere(): Promise<{ kill(): Promise<void> }> {
  const script = `import(${JSON.stringify(LOCK_MODULE)}).then((m) => { m.lockDataDirectory(${JSON.stringify(directory)}); console.log("locked"); setInterval(() => {}, 1e6); })`;
  const child = spawn(process.execPath, ["--import", "tsx", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  const kill = async () => {
    child.kill("SIGKILL");
    await once(child, "exit");
  };
  return { kill };
}

async function lockFiles(): Promise<string[]> {
  return (await readdir(directory)).filter((name) => name.includes("lock"));
}

describe("the lock on a data directory", () => {
  test("refuses a second holder by code, and names the first", () => {
    const unlock = lockDataDirectory(directory);
    expect(() => lockDataDirectory(directory)).toThrow(DataDirectoryLockedError);
    expect(() => lockDataDirectory(directory)).toThrow(
      expect.objectContaining({ code: "DATA_DIRECTORY_LOCKED", details: { directory, pid: process.pid } }),
    );
    unlock();
  });

  test("is free after it was let go, twice for good measure", async () => {
    const unlock = lockDataDirectory(directory);
    unlock();
    unlock();
    const unlockAgain = lockDataDirectory(directory);
    // The first holder, late: it must not free what is no longer its own.
    unlock();
    expect(() => lockDataDirectory(directory)).toThrow(DataDirectoryLockedError);
    unlockAgain();
    expect(await lockFiles()).toHaveLength(1);
  });

  test("is held by a live process and taken over from one that was killed", async () => {
    const holder = await lockElsewhere();
    expect(() => lockDataDirectory(directory)).toThrow(DataDirectoryLockedError);
    await holder.kill();
    lockDataDirectory(directory)();
  });

  test.skipIf(process.platform !== "linux")("is taken over when the pid belongs to a later process now", async () => {
    lockDataDirectory(directory);
    const path = join(directory, (await lockFiles())[0] ?? "");
    const holder = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
    await writeFile(path, JSON.stringify({ ...holder, startedAt: "an-earlier-boot:1" }));
    lockDataDirectory(directory)();
  });

  test("is taken over when its file was torn by a power cut", async () => {
    await writeFile(join(directory, "checkoutd.lock.4"), '{"pid":');
    lockDataDirectory(directory)();
    expect(await lockFiles()).toEqual(["checkoutd.lock.5"]);
  });
});

describe("an embedded database", () => {
  test("keeps its data, holds its directory while it is open, and lets it go", async () => {
    const first = await openEmbedded(directory);
    await first.rows("create table kept (id int)");
    await expect(openEmbedded(directory)).rejects.toThrow(DataDirectoryLockedError);
    await first.close();
    const second = await openEmbedded(directory, { onSlowStart: () => expect.fail("an existing database starts fast") });
    expect(await second.rows("select count(*) as rows from kept")).toEqual([{ rows: 0 }]);
    await second.close();
  });

  test("lets timers and sockets have their turn while it is kept busy", async () => {
    const database = await openEmbedded(directory);
    let isTimeUp = false;
    setTimeout(() => (isTimeUp = true), 1);
    const deadline = performance.now() + 5_000;
    while (!isTimeUp && performance.now() < deadline) {
      await database.rows("select 1");
      await database.transaction(async (tx) => void (await tx.execute("select 1")));
    }
    expect(isTimeUp).toBe(true);
    await database.close();
  });
});
