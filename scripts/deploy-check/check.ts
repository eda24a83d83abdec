/** The check itself, whatever the versions and the database are. */
import type { MachineVersions } from "../../machines/released/registry.ts";
import type { Database } from "../../persistence/connect.ts";
import { wayOf } from "../../runtime/machine-versions.ts";
import { judgeReleased } from "./released-states.ts";
import type { ReleasedGraph } from "../reachable/released-versions.ts";
import { judgeStored } from "./stored-checkouts.ts";
import { Tally } from "./tally.ts";

/** Told how many were judged so far. */
type Progress = (judged: number) => void;

export interface VersionReport {
  readonly machineVersion: string;
  readonly hash: string;
  /** Else no node of this build claims its checkouts, even where each of them would go on. */
  readonly isRegistered: boolean;
  readonly tally: Tally;
}

export function checkReleased(versions: MachineVersions, graph: ReleasedGraph, tell: Progress = () => {}): VersionReport {
  const tally = new Tally();
  for (const judgement of judgeReleased(versions, graph)) {
    tally.add(judgement);
    tell(tally.total);
  }
  const { machineVersion, hash } = graph;
  return { machineVersion, hash, isRegistered: wayOf(versions, hash) !== null, tally };
}

/** One report for each version that the database's checkouts were begun with. */
export async function checkStored(
  versions: MachineVersions,
  database: Database,
  tell: Progress = () => {},
): Promise<readonly VersionReport[]> {
  const reports = new Map<string, VersionReport>();
  let judged = 0;
  for await (const { id, machineVersion, machineHash: hash, judgement } of judgeStored(versions, database)) {
    const report = reports.get(hash) ?? {
      machineVersion,
      hash,
      isRegistered: wayOf(versions, hash) !== null,
      tally: new Tally(),
    };
    reports.set(hash, report);
    report.tally.add(judgement, id);
    tell(++judged);
  }
  return [...reports.values()];
}

/** One checkout that can't be gone on with is enough: it would park, or be left alone, with somebody's money in it. */
export function isBlocked(reports: readonly VersionReport[]): boolean {
  return reports.some(({ isRegistered, tally }) => !isRegistered || tally.counts.blocking > 0);
}
