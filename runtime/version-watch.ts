/**
 * Checkouts that nobody can go on with, because no node knows their version: asked before a node starts, when to stay away
 * is still easy, and watched from then on, since the last node that knew one may stop at any time.
 */
import type { MachineVersions } from "../machines/released/registry.ts";
import type { Store, UnknownVersion } from "../persistence/store.ts";
import type { Clock } from "../steps/ports.ts";
import { knownHashes } from "./machine-versions.ts";
import { PeriodicTask } from "./periodic-task.ts";
import type { Log } from "./telemetry.ts";

const LOOK_EVERY_MS = 60_000;

/** This build must not run here: it would leave checkouts to nobody. The message says which, and what to do. */
export class UnknownVersionsError extends Error {
  constructor(versions: readonly UnknownVersion[], left: readonly string[]) {
    const hashes = [...left, ...versions.map(({ machineHash }) => machineHash)].join();
    super(
      [
        "This build does not know the version of these live checkouts, and no newer node that runs them is alive:",
        ...versions.map((version) => `  - ${describe(version)}`),
        "Start a build that knows them: one that has each of these versions as a migration or a pinned machine in",
        "machines/released/registry.ts (`npm run deploy-check -- --database URL` tells which go on), or the build that began them.",
        `To start this build all the same and leave them as they are, unserved, set LEAVE_VERSIONS=${hashes}.`,
      ].join("\n"),
    );
    this.name = "UnknownVersionsError";
  }
}

/**
 * UnknownVersionsError where live checkouts would be left to nobody. A version is left to a newer node: one that knows this
 * build's version and that this build doesn't know. An older node that runs it is what this build is about to replace.
 */
export async function refuseUnknownVersions(
  store: Pick<Store, "unknownVersions">,
  versions: MachineVersions,
  /** Hashes of versions that an operator decided to leave unserved. */
  left: readonly string[],
): Promise<void> {
  const known = knownHashes(versions);
  const isNewer = ([own = "", ...others]: readonly string[]) => !known.includes(own) && others.includes(versions.current.hash);
  const unknown = await store.unknownVersions(known);
  const refused = unknown.filter(({ machineHash, servedWith }) => !left.includes(machineHash) && !servedWith.some(isNewer));
  if (refused.length > 0) throw new UnknownVersionsError(refused, left);
}

export interface VersionWatchDeps {
  readonly store: Pick<Store, "unknownVersions">;
  readonly versions: MachineVersions;
  readonly clock: Clock;
  readonly log: Log;
}

export class VersionWatch {
  private unserved: readonly UnknownVersion[] = [];
  private readonly looks: PeriodicTask;

  constructor(private readonly deps: VersionWatchDeps) {
    this.looks = new PeriodicTask({
      ...deps,
      pauseMs: LOOK_EVERY_MS,
      work: () => this.look(),
      failureMessage: "The look for checkouts of unknown versions failed; it is repeated",
    });
  }

  /** Live checkouts that no live node knows the version of. */
  get checkouts(): number {
    return this.unserved.reduce((sum, { checkouts }) => sum + checkouts, 0);
  }

  start(): void {
    this.looks.start();
  }

  /** Resolves when the look that is under way has ended. Safe twice and before start. */
  stop(): Promise<void> {
    return this.looks.stop();
  }

  private async look(): Promise<void> {
    const before = new Set(this.unserved.map(({ machineHash }) => machineHash));
    const unknown = await this.deps.store.unknownVersions(knownHashes(this.deps.versions));
    this.unserved = unknown.filter(({ servedWith }) => servedWith.length === 0);
    for (const version of this.unserved) {
      if (before.has(version.machineHash)) continue;
      this.deps.log.error({ ...version }, "No node knows the version of these checkouts; start a build that does");
    }
  }
}

function describe({ machineVersion, machineHash, checkouts, ids }: UnknownVersion): string {
  const others = checkouts > ids.length ? ", …" : "";
  return `${machineVersion} ${machineHash}: ${checkouts} (${ids.join(", ")}${others})`;
}
