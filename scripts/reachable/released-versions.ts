/**
 * The lock file of released machine versions, and what is kept of each: every state that it can reach, as it stores
 * it, and where it leads from there. A released file never changes: checkouts of that version may be anywhere.
 */
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gunzipSync, gzipSync } from "node:zlib";
import type { RecordedEntry, StoredState } from "../../machines/released/registry.ts";

export const RELEASED_FOLDER = fileURLToPath(new URL("../../machines/released/", import.meta.url));
const LIST = "versions.json";

/** A line of the lock file. */
export interface ReleasedVersion {
  readonly machineVersion: string;
  /** Of the machine's sources: MACHINE_HASH as it was. */
  readonly hash: string;
  /** Of the file's bytes, in hexadecimal. */
  readonly sha256: string;
  readonly states: number;
  readonly edges: number;
  /** A day, in UTC: YYYY-MM-DD. */
  readonly released: string;
}

export interface ReleasedGraph {
  readonly machineVersion: string;
  readonly hash: string;
  /** Each kind of event once, as a journal has it. */
  readonly events: readonly RecordedEntry["event"][];
  readonly states: readonly ReleasedState[];
}

export interface ReleasedState extends StoredState {
  /** As the journal says it: dotted path, and hash of the context. */
  readonly path: string;
  readonly contextHash: string;
  /** Absent: it differs from a state that has them in nothing that guards read. */
  readonly edges?: readonly ReleasedEdge[];
}

/** Of `events`, and of `states`. */
export type ReleasedEdge = readonly [eventIndex: number, arrivalIndex: number];

export function releasedVersions(folder = RELEASED_FOLDER): readonly ReleasedVersion[] {
  const path = join(folder, LIST);
  return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as readonly ReleasedVersion[]) : [];
}

/** As people name it. */
export function nameOf({ machineVersion, hash }: Pick<ReleasedVersion, "machineVersion" | "hash">): string {
  return `${machineVersion}-${hash}`;
}

export function fileOf(version: Pick<ReleasedVersion, "machineVersion" | "hash">): string {
  return `${nameOf(version)}.json.gz`;
}

/** Throws where the file is not the one that was released. */
export function readReleased(version: ReleasedVersion, folder = RELEASED_FOLDER): ReleasedGraph {
  const bytes = readFileSync(join(folder, fileOf(version)));
  if (sha256Of(bytes) !== version.sha256) {
    throw new Error(`${fileOf(version)} is not the file that was released: restore it from the commit that released it.`);
  }
  return JSON.parse(gunzipSync(bytes).toString()) as ReleasedGraph;
}

/** Adds the version to the lock file. Throws, with nothing written, when it is released already. */
export function writeReleased(graph: ReleasedGraph, released: string, folder = RELEASED_FOLDER): ReleasedVersion {
  const known = releasedVersions(folder);
  assertUnreleased(graph.hash, known);
  const bytes = gzipSync(JSON.stringify(graph), { level: 9 });
  const { machineVersion, hash } = graph;
  const version = { machineVersion, hash, sha256: sha256Of(bytes), ...countsOf(graph), released };
  writeFileSync(join(folder, fileOf(version)), bytes);
  writeFileSync(join(folder, LIST), `${JSON.stringify([...known, version], null, 2)}\n`);
  return version;
}

export function assertUnreleased(hash: string, known: readonly ReleasedVersion[]): void {
  const earlier = known.find((version) => version.hash === hash);
  if (earlier === undefined) return;
  throw new Error(`${hash} was released on ${earlier.released}, and what is released stays as it is. Nothing is left to do.`);
}

export function countsOf({ states }: ReleasedGraph): { readonly states: number; readonly edges: number } {
  const left = states.flatMap(({ edges }) => (edges === undefined ? [] : [edges.length]));
  return { states: left.length, edges: left.reduce((sum, count) => sum + count, 0) };
}

function sha256Of(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
