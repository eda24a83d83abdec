/** What a deploy check prints: a line for each version, then what blocks and what to do about it. */
import { headline, say, styled, table } from "../output.ts";
import type { VersionReport } from "./check.ts";
import { nameOf, type ReleasedVersion } from "../reachable/released-versions.ts";
import { KINDS, type Finding } from "./tally.ts";

/** Of one version: what is alike stands on one line already. */
const FINDINGS_MAX = 20;

export interface ReleasedReport extends VersionReport, ReleasedVersion {
  readonly milliseconds: number;
}

export function printReleased(reports: readonly ReleasedReport[], currentHash: string): void {
  headline("Released versions");
  const rows = reports.map((report) => {
    const sizes = [String(report.states), String(report.edges)];
    return rowOf(report, sizes, `${(report.milliseconds / 1000).toFixed(1)} s`);
  });
  table(["version", "states", "edges", ...KINDS, "time"], rows);
  if (reports.every(({ hash }) => hash !== currentHash)) {
    say(`  The machine as it is here, ${currentHash}, is not released: run \`npm run machine:release\` before it is deployed.`);
  }
  for (const report of reports) printBlocking(report, currentHash);
}

/** `releasedHashes`: a checkout of any other version was begun by code that nobody froze. */
export function printStored(reports: readonly VersionReport[], currentHash: string, releasedHashes: readonly string[]): void {
  headline("Checkouts in the database");
  const rows = reports.map((report) => {
    return rowOf(report, [String(report.tally.total)], releasedHashes.includes(report.hash) ? "released" : "NOT RELEASED");
  });
  table(["version", "checkouts", ...KINDS, ""], rows);
  for (const report of reports) printBlocking(report, currentHash);
}

function rowOf(report: VersionReport, sizes: readonly string[], last: string) {
  const { counts } = report.tally;
  const cells = [nameOf(report), ...sizes, ...KINDS.map((kind) => String(counts[kind])), last];
  return { cells, style: report.isRegistered && counts.blocking === 0 ? ("green" as const) : ("red" as const) };
}

function printBlocking(report: VersionReport, currentHash: string): void {
  const { findings } = report.tally;
  if (findings.length === 0 && !report.isRegistered) {
    headline(`What blocks ${nameOf(report)}`);
    say("  All of it goes on as it is, but nobody would claim it: it is not in machines/released/registry.ts.");
    say(`  ${styled("yellow", `Register ${report.hash} there, under migrations, as GOES_ON.`)}`);
  }
  if (findings.length === 0) return;
  headline(`What blocks ${nameOf(report)}`);
  for (const finding of findings.slice(0, FINDINGS_MAX)) say(`  ${lineOf(finding)}`);
  if (findings.length > FINDINGS_MAX) say(`  and ${findings.length - FINDINGS_MAX} more`);
  say(`  ${styled("yellow", adviceFor(report.hash, currentHash))}`);
}

export function lineOf({ difference, count, checkout }: Finding): string {
  const { path, event, message } = difference;
  const where = `${checkout === null ? "" : `${checkout} in `}${path}${event === null ? "" : ` on ${event}`}`;
  return `${where}: ${message}${count > 1 ? ` (${count} states)` : ""}`;
}

function adviceFor(hash: string, currentHash: string): string {
  return hash === currentHash
    ? "This very version wrote it, so no migration helps: read its history, and settle it by hand."
    : `Take the change back, or register a migration or its own machine for ${hash} in machines/released/registry.ts (CONTRIBUTING.md).`;
}
