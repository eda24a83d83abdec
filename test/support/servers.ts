/**
 * Private servers for tests: on free loopback ports, in temporary directories, stopped by the process
 * that was started and no other. Durability is switched off; tests that need it kill and restart
 * processes, not machines.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, existsSync, readdirSync, readFileSync } from "node:fs";
import { chmod, chown, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 5_000;
/** Between choosing a free port and the server's binding it, another process may take it. */
const START_ATTEMPTS_MAX = 3;
const LOG_TAIL_BYTES = 4_000;
const POSTGRES_HOME = "/usr/lib/postgresql";

export const SERVER_KINDS = ["postgres", "redis", "nats"] as const;
export type ServerKind = (typeof SERVER_KINDS)[number];

export interface TestServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Its data, for one that is started after it. */
  readonly directory: string;
  /** It stands still until SIGCONT, when this resolves: a signal is delivered some time after it was sent. */
  pause(): Promise<void>;
  /** At once, as a crash would, Postgres by an immediate shutdown; its data stays. Safe twice. */
  kill(): Promise<void>;
  /** Removes its data as well. Safe twice. */
  stop(): Promise<void>;
}

export interface StartOptions {
  /** The port of a server that was stopped, to come back where its clients look for it. Default: a free one. */
  readonly port?: number;
  /** Of a server that was killed. */
  readonly directory?: string;
  /** More of its command line. */
  readonly args?: readonly string[];
}

/** Null when its binary isn't installed; rejects when it is and doesn't start. */
export function startServer(kind: ServerKind, options: StartOptions = {}): Promise<TestServer | null> {
  const plan = PLANS[kind]();
  return plan === null ? Promise.resolve(null) : startPlanned(plan, options);
}

export async function startPlanned(plan: Plan, options: StartOptions = {}): Promise<TestServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(plan, options.port ?? (await freePort()), options);
    } catch (error) {
      if (attempt === START_ATTEMPTS_MAX || options.port !== undefined) throw error;
    }
  }
}

/** How one kind of server is started in an empty directory. */
export interface Plan {
  readonly binary: string;
  readonly user: ServerUser | null;
  readonly readyLine: string;
  /** Ends it at once; what it had in hand it finds by itself at its next start. */
  readonly crashSignal: NodeJS.Signals;
  prepare?(directory: string, port: number): Promise<void>;
  args(directory: string, port: number): readonly string[];
  url(port: number): string;
}

interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

const PLANS: Readonly<Record<ServerKind, () => Plan | null>> = { postgres: postgresPlan, redis: redisPlan, nats: natsPlan };

function postgresPlan(): Plan | null {
  const directories = [...postgresDirectories(), ...searchPath()];
  const binary = findBinary("postgres", directories);
  const initdb = findBinary("initdb", directories);
  if (binary === null || initdb === null) return null;
  const user = unprivilegedUser();
  return {
    binary,
    user,
    readyLine: "database system is ready to accept connections",
    // Immediate shutdown: no transaction is ended and nothing is written any more, but its children don't stay behind.
    crashSignal: "SIGQUIT",
    async prepare(directory) {
      const args = ["--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"];
      await promisify(execFile)(initdb, [...args, "-D", join(directory, "data")], { cwd: directory, ...user });
    },
    args: (directory, port) => {
      const settings = ["fsync=off", "full_page_writes=off", "max_connections=200", "timezone=UTC"].flatMap((setting) => [
        "-c",
        setting,
      ]);
      return ["-D", join(directory, "data"), "-k", directory, "-h", "127.0.0.1", "-p", String(port), ...settings];
    },
    url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
  };
}

function redisPlan(): Plan | null {
  const binary = findBinary("redis-server", searchPath());
  if (binary === null) return null;
  return {
    binary,
    user: null,
    readyLine: "Ready to accept connections",
    crashSignal: "SIGKILL",
    args: (directory, port) => [
      "--port",
      String(port),
      "--bind",
      "127.0.0.1",
      "--dir",
      directory,
      "--save",
      "",
      "--appendonly",
      "no",
    ],
    url: (port) => `redis://127.0.0.1:${port}`,
  };
}

function natsPlan(): Plan | null {
  const binary = findBinary("nats-server", searchPath());
  if (binary === null) return null;
  return {
    binary,
    user: null,
    readyLine: "Server is ready",
    crashSignal: "SIGKILL",
    args: (directory, port) => ["-js", "-a", "127.0.0.1", "-p", String(port), "-sd", directory],
    url: (port) => `nats://127.0.0.1:${port}`,
  };
}

async function start(plan: Plan, port: number, { directory: known, args = [] }: StartOptions): Promise<TestServer> {
  const directory = known ?? (await mkdtemp(join(tmpdir(), "checkoutd-test-")));
  let child: ChildProcess | undefined;
  const kill = async () => {
    if (child !== undefined) await end(child, plan.crashSignal);
  };
  const stop = async () => {
    await kill();
    await rm(directory, { recursive: true, force: true });
  };
  try {
    await chmod(directory, 0o700);
    if (plan.user !== null) await chown(directory, plan.user.uid, plan.user.gid);
    if (known === undefined) await plan.prepare?.(directory, port);
    const options = { cwd: directory, stdio: ["ignore", "pipe", "pipe"] as ["ignore", "pipe", "pipe"], ...plan.user };
    const spawned = spawn(plan.binary, [...plan.args(directory, port), ...args], options);
    child = spawned;
    endWithUs(spawned);
    await logLine(spawned, plan.readyLine);
    const pid = spawned.pid ?? 0;
    return { url: plan.url(port), port, pid, directory, pause: () => pause(pid), kill, stop };
  } catch (error) {
    // What was there before is not ours to remove.
    await (known === undefined ? stop() : kill());
    throw error;
  }
}

/** Resolves when the server says in its log that it is ready; rejects with the log's end when it exits instead. */
async function logLine(child: ChildProcess, line: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    let log = "";
    const fail = (why: string) => reject(new Error(`${child.spawnfile} ${why}:\n${log}`));
    const timer = setTimeout(() => fail(`was not ready after ${START_TIMEOUT_MS} ms`), START_TIMEOUT_MS);
    const read = (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-LOG_TAIL_BYTES);
      if (!log.includes(line)) return;
      clearTimeout(timer);
      resolve();
    };
    // The listeners stay: a pipe that nobody reads fills, and then the server blocks on its own log.
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("error", (error) => fail(`could not be run (${error.message})`));
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      fail(`ended with ${signal ?? code}`);
    });
  });
}

async function pause(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  for (let state = ""; !state.startsWith("T");) {
    state = (await promisify(execFile)("ps", ["-o", "state=", "-p", String(pid)])).stdout.trim();
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill(signal);
  // A stopped process (SIGSTOP) doesn't act on signals that it may handle.
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  await exited;
  clearTimeout(timer);
}

/** When the test process ends without its teardown, its servers must not stay behind. */
function endWithUs(child: ChildProcess): void {
  const kill = () => child.kill("SIGKILL");
  process.once("exit", kill);
  child.once("exit", () => process.off("exit", kill));
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const address = probe.address();
  probe.close();
  if (address === null || typeof address === "string") throw new Error("the probe has no port");
  return address.port;
}

function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/** Postgres and PgBouncer refuse to run as root. Debian's package brings its own user; `nobody` is everywhere. */
export function unprivilegedUser(): ServerUser | null {
  if (!isRoot()) return null;
  const entries = readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .map((line) => line.split(":"));
  const entry = entries.find(([name]) => name === "postgres") ?? entries.find(([name]) => name === "nobody");
  if (entry === undefined) throw new Error("Postgres refuses to run as root, and there is neither a user postgres nor nobody.");
  return { uid: Number(entry[2]), gid: Number(entry[3]) };
}

/** Debian keeps Postgres off the PATH; the newest version first. */
function postgresDirectories(): string[] {
  if (!existsSync(POSTGRES_HOME)) return [];
  const versions = readdirSync(POSTGRES_HOME).sort((a, b) => Number(b) - Number(a));
  return versions.map((version) => join(POSTGRES_HOME, version, "bin"));
}

/** Debian puts servers into sbin, which is not on every user's PATH. */
export function searchPath(): string[] {
  return [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin"];
}

export function findBinary(name: string, directories: readonly string[]): string | null {
  return directories.map((directory) => join(directory, name)).find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    // Absent, or not ours to run: looked for elsewhere.
    return false;
  }
}
