/**
 * One process per data directory. PGlite takes no lock of its own, and two processes in one directory
 * destroy it. The lock is the file `checkoutd.lock.<generation>` with the highest generation; a stale one
 * is never removed but outbid, by creating the next generation, which only one process can do: removing
 * it would race with another process that does the same.
 *
 * Judged within one machine and pid namespace: two containers that share a volume are not told apart.
 */
import { linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { ConflictError } from "../machines/errors.ts";

export class DataDirectoryLockedError extends ConflictError {
  constructor(directory: string, pid: number) {
    super(
      "DATA_DIRECTORY_LOCKED",
      `Process ${pid} uses ${directory}. Stop it, choose another DATA_DIR, or set DATABASE_URL to let several nodes share one database.`,
      { details: { directory, pid } },
    );
  }
}

interface Holder {
  readonly pid: number;
  /** Distinguishes a process from a later one with the same pid; null where the system doesn't tell. */
  readonly startedAt: string | null;
  /** Written when the holder let go in good order. */
  readonly isReleased: boolean;
}

const PREFIX = "checkoutd.lock.";
/** Each attempt is lost to a process that took the lock meanwhile, and would then be found alive. */
const ATTEMPTS_MAX = 5;

/** Takes the directory or throws DataDirectoryLockedError; returns how to let go, safe twice. */
export function lockDataDirectory(directory: string): () => void {
  const me: Holder = { pid: process.pid, startedAt: processStart(process.pid), isReleased: false };
  for (let attempt = 1; ; attempt++) {
    const current = highestGeneration(directory);
    const holder = current === 0 ? null : readHolder(directory, current);
    if (holder !== null && isAlive(holder)) throw new DataDirectoryLockedError(directory, holder.pid);
    const mine = current + 1;
    if (create(directory, mine, me) && highestGeneration(directory) === mine) {
      removeOlder(directory, mine);
      return releaser(directory, mine, me);
    }
    if (attempt === ATTEMPTS_MAX) throw new DataDirectoryLockedError(directory, holder?.pid ?? 0);
  }
}

function releaser(directory: string, generation: number, me: Holder): () => void {
  let isReleased = false;
  return () => {
    if (isReleased) return;
    isReleased = true;
    // Kept, not removed: generations only grow, or a slow contender could reuse ours.
    const temporary = writeTemporary(directory, { ...me, isReleased });
    renameSync(temporary, lockPath(directory, generation));
  };
}

/** Complete at the moment it appears: written aside, then linked; false when another process was first. */
function create(directory: string, generation: number, me: Holder): boolean {
  const temporary = writeTemporary(directory, me);
  try {
    linkSync(temporary, lockPath(directory, generation));
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function writeTemporary(directory: string, holder: Holder): string {
  const path = join(directory, `.lock-${randomUUID()}`);
  writeFileSync(path, JSON.stringify(holder));
  return path;
}

function highestGeneration(directory: string): number {
  return Math.max(0, ...generations(directory));
}

function generations(directory: string): number[] {
  return readdirSync(directory)
    .filter((name) => name.startsWith(PREFIX))
    .map((name) => Number(name.slice(PREFIX.length)))
    .filter(Number.isSafeInteger);
}

function removeOlder(directory: string, generation: number): void {
  for (const older of generations(directory)) {
    if (older < generation) rmSync(lockPath(directory, older), { force: true });
  }
}

function readHolder(directory: string, generation: number): Holder | null {
  try {
    return JSON.parse(readFileSync(lockPath(directory, generation), "utf8")) as Holder;
  } catch {
    // Removed by a newer holder, or torn by a power cut: the next generation decides.
    return null;
  }
}

function lockPath(directory: string, generation: number): string {
  return join(directory, `${PREFIX}${generation}`);
}

function isAlive(holder: Holder): boolean {
  if (holder.isReleased) return false;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) return false;
  }
  const startedAt = processStart(holder.pid);
  return holder.startedAt === null || startedAt === null ? startedAt !== DEAD : startedAt === holder.startedAt;
}

const DEAD = "dead";

/** Boot and start time of a process, from Linux's /proc; null elsewhere; `dead` for a zombie, which holds nothing. */
function processStart(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command, in parentheses, may hold spaces: count the fields after it. State is the 3rd, start time the 22nd.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return DEAD;
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()}:${fields[19]}`;
  } catch {
    return null;
  }
}
