/** `npm run deploy-check`: can the code as it is here go on with what released versions of the machine left behind? */
import { VERSIONS } from "../machines/released/registry.ts";
import type { Database } from "../persistence/connect.ts";
import { readArguments, USAGE, type DatabaseChoice, type DeployCheckArguments } from "./deploy-check/arguments.ts";
import { checkReleased, checkStored, isBlocked, type VersionReport } from "./deploy-check/check.ts";
import { readReleased, releasedVersions, type ReleasedVersion } from "./reachable/released-versions.ts";
import { printReleased, printStored, type ReleasedReport } from "./deploy-check/report.ts";
import { openExisting } from "./existing-database.ts";
import { assertVersionWritten } from "./machine-version.ts";
import { progressTo } from "./output.ts";
import { EXIT, runScript } from "./run-script.ts";

async function run(given: DeployCheckArguments): Promise<number> {
  assertVersionWritten();
  // First, because a wrong address should not show only after the released versions.
  const database = given.database === null ? null : await open(given.database);
  try {
    return await check(database);
  } finally {
    await database?.close();
  }
}

async function check(database: Database | null): Promise<number> {
  const { hash } = VERSIONS.current;
  const released = releasedVersions();
  const reports = released.map(reportOf);
  printReleased(reports, hash);
  if (database === null) return codeFor(reports);
  const progress = progressTo(process.stderr, "checkouts judged");
  const stored = await checkStored(VERSIONS, database, progress.tell);
  progress.end();
  const releasedHashes = released.map((version) => version.hash);
  printStored(stored, hash, releasedHashes);
  return codeFor([...reports, ...stored]);
}

function reportOf(version: ReleasedVersion): ReleasedReport {
  const startedAt = performance.now();
  const progress = progressTo(process.stderr, `of ${version.states} states judged`);
  const report = checkReleased(VERSIONS, readReleased(version), progress.tell);
  progress.end();
  return { ...version, ...report, milliseconds: performance.now() - startedAt };
}

function codeFor(reports: readonly VersionReport[]): number {
  return isBlocked(reports) ? EXIT.found : EXIT.fine;
}

function open(choice: DatabaseChoice): Promise<Database> {
  return openExisting(
    choice.kind === "postgres" ? { databaseUrl: choice.url, dataDir: "" } : { databaseUrl: null, dataDir: choice.directory },
  );
}

await runScript({ usage: USAGE, readArguments, run, failure: "The check did not finish" });
