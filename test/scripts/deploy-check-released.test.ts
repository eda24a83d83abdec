/** The lock file of released machine versions, the files that it names, and the script that judges them. */
import { copyFileSync, readdirSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { VERSIONS } from "../../machines/released/registry.ts";
import { readArguments } from "../../scripts/deploy-check/arguments.ts";
import { checkReleased } from "../../scripts/deploy-check/check.ts";
import {
  countsOf,
  fileOf,
  readReleased,
  RELEASED_FOLDER,
  releasedVersions,
  writeReleased,
  type ReleasedGraph,
} from "../../scripts/reachable/released-versions.ts";
import { lineOf } from "../../scripts/deploy-check/report.ts";
import { runScriptProcess } from "../support/script-process.ts";

/** A process of its own; a loaded machine takes seconds to start one. */
const TIMEOUT_MS = 60_000;
const released = releasedVersions();

describe.each(released)("the released version $machineVersion, $hash", (version) => {
  test("is, to the byte, what was released", () => {
    const graph = readReleased(version);
    const { machineVersion, hash, states, edges } = version;
    expect({ machineVersion: graph.machineVersion, hash: graph.hash, ...countsOf(graph) }).toEqual({
      machineVersion,
      hash,
      states,
      edges,
    });
  });

  test("can be gone on with by the code as it is here; else `npm run deploy-check` says why and CONTRIBUTING.md what to do", () => {
    const { tally } = checkReleased(VERSIONS, readReleased(version));
    expect(tally.findings.map(lineOf)).toEqual([]);
    expect(tally.total).toBe(version.states);
  });
});

test("the lock file names each file of its folder, and no version twice", () => {
  const files = readdirSync(RELEASED_FOLDER).filter((name) => name.endsWith(".gz"));
  expect(released.map(fileOf).sort()).toEqual(files.sort());
  expect(new Set(released.map(({ hash }) => hash)).size).toBe(released.length);
});

test("migrations and pinned machines are registered for released versions only", () => {
  const hashes = released.map(({ hash }) => hash);
  const registered = [...Object.keys(VERSIONS.migrations), ...Object.keys(VERSIONS.pinned)];
  expect(registered.filter((hash) => !hashes.includes(hash))).toEqual([]);
});

describe("a lock file in a folder of its own", () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "checkoutd-released-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  const state = { snapshot: {}, timers: {}, path: "INITIALIZED", contextHash: "0" };
  const graph = (hash: string): ReleasedGraph => ({
    machineVersion: "1.0.0",
    hash,
    events: [{ type: "START" }],
    states: [{ ...state, edges: [[0, 1]] }, state],
  });

  test("is empty before anything is released, and then lists versions in the order of their release", () => {
    expect(releasedVersions(folder)).toEqual([]);
    for (const hash of ["b", "a"]) writeReleased(graph(hash), "2027-01-08", folder);
    expect(releasedVersions(folder)).toMatchObject([
      { hash: "b", states: 1, edges: 1, released: "2027-01-08" },
      { hash: "a", machineVersion: "1.0.0" },
    ]);
    for (const version of releasedVersions(folder)) expect(readReleased(version, folder)).toEqual(graph(version.hash));
  });

  test("refuses a hash that is released already, and leaves everything as it was", () => {
    const before = releasedVersions(folder);
    expect(() => writeReleased({ ...graph("a"), machineVersion: "2.0.0" }, "2027-01-09", folder)).toThrow(
      "a was released on 2027-01-08",
    );
    expect(releasedVersions(folder)).toEqual(before);
    expect(readdirSync(folder)).toHaveLength(3);
  });

  test("refuses a file that was changed after its release", async () => {
    const [version] = releasedVersions(folder);
    if (version === undefined) throw new Error("Two versions were released.");
    const path = join(folder, fileOf(version));
    copyFileSync(path, `${path}.kept`);
    await writeFile(path, "changed");
    expect(() => readReleased(version, folder)).toThrow("is not the file that was released");
    copyFileSync(`${path}.kept`, path);
    expect(readReleased(version, folder)).toEqual(graph(version.hash));
  });
});

describe("what the script is given", () => {
  test.each([
    [["--database"], "argument missing"],
    [["--database", "mysql://db/shop"], "--database must be a URL such as postgres://"],
    [["--database", "postgres://db/shop", "--data", "."], "either --database or --data"],
    [["--data", ""], "--data must name the directory"],
    [["--unheard-of"], "Unknown option"],
    [["a word"], "Unexpected argument"],
  ])("refuses %j", (given, why) => {
    expect(() => readArguments(given)).toThrow(why);
  });

  test("takes no database unless it is told of one", () => {
    expect(readArguments([])).toEqual({ database: null });
    expect(readArguments(["--data", "./data"])).toEqual({ database: { kind: "embedded", directory: "./data" } });
    expect(readArguments(["--database", "postgres://db/shop"])).toEqual({
      database: { kind: "postgres", url: "postgres://db/shop" },
    });
    expect(readArguments(["--help"])).toBeNull();
  });

  test(
    "ends with 64 and its usage for wrong arguments, with 66 where there is no database",
    { timeout: TIMEOUT_MS },
    async () => {
      const wrong = run("--database=postgres:secret");
      const missing = run("--data=/nowhere/at/all");
      expect(await wrong).toMatchObject({
        code: 64,
        stdout: "",
        stderr: expect.stringContaining("Usage: npm run deploy-check") as unknown,
      });
      expect((await wrong).stderr).not.toContain("secret");
      expect(await missing).toMatchObject({
        code: 66,
        stderr: expect.stringContaining("There is no database in /nowhere/at/all") as unknown,
      });
    },
  );
});

function run(...given: readonly string[]) {
  return runScriptProcess("deploy-check", given);
}
