/** The service as a process of its own, for the demo and for tests that kill it. It never outlives us. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

export interface Ending {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Standard output and error together, the end of it. */
  readonly output: string;
}

export interface ServiceProcess {
  readonly pid: number;
  readonly ended: Promise<Ending>;
  /** Resolves with its address when it serves; rejects with its output when it ends before. */
  url(): Promise<string>;
  /** A line on its standard input, for an entry that listens there. */
  tell(line: string): void;
  /** Resolves when the process is gone, whatever its signal handlers do. Safe twice. */
  kill(signal: NodeJS.Signals): Promise<Ending>;
}

export interface SpawnOptions {
  /** Default: the service's own entry file. TypeScript, or JavaScript (.mjs). */
  readonly entry?: URL;
  readonly env: Readonly<Record<string, string>>;
}

const MAIN = new URL("../server/main.ts", import.meta.url);
const READY = /checkoutd {2}(http:\S+)/;
const READY_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const OUTPUT_MAX = 64_000;

/** All that a child gets of our environment: settings of ours (API_KEYS, say) are not the child's. */
const INHERITED = ["PATH", "HOME", "TMPDIR", "TEMP", "SystemRoot"];

/** Our end of this pipe closes when we are gone, also after kill -9. */
const END_WITH_PARENT = 'data:text/javascript,process.stdin.resume().on("close",()=>process.exit(1))';

/** Starts it on a free loopback port, without waiting for it. */
export function spawnService({ entry = MAIN, env }: SpawnOptions): ServiceProcess {
  const inherited = Object.fromEntries(INHERITED.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
  const child = spawn(
    process.execPath,
    ["--import", END_WITH_PARENT, ...loaderOf(entry), fileURLToPath(entry)],
    // Its own process group: Ctrl-C in a terminal reaches us alone, and we decide how it ends.
    { detached: true, env: { HOST: "127.0.0.1", PORT: "0", LOG_LEVEL: "warn", ...inherited, ...env } },
  );
  // It may be killed at any moment, also while we write to it.
  child.stdin.on("error", () => undefined);
  let output = "";
  const read = (chunk: Buffer) => (output = (output + chunk.toString()).slice(-OUTPUT_MAX));
  child.stdout.on("data", read);
  child.stderr.on("data", read);
  const ended = endingOf(child, () => output);
  return {
    pid: child.pid ?? 0,
    ended,
    url: () => printed(child, READY, () => output, ended),
    tell: (line) => void child.stdin.write(`${line}\n`),
    kill: (signal) => kill(child, signal, ended),
  };
}

function loaderOf({ pathname }: URL): readonly string[] {
  return pathname.endsWith(".ts") ? ["--import", import.meta.resolve("tsx")] : [];
}

/** `close`, not `exit`: by then its output was read to the end. */
async function endingOf(child: ChildProcess, output: () => string): Promise<Ending> {
  const [code, signal] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  return { code, signal, output: output() };
}

async function kill(child: ChildProcess, signal: NodeJS.Signals, ended: Promise<Ending>): Promise<Ending> {
  child.kill(signal);
  const timer = setTimeout(() => child.kill("SIGKILL"), STOP_TIMEOUT_MS);
  return ended.finally(() => clearTimeout(timer));
}

function printed(child: ChildProcess, pattern: RegExp, output: () => string, ended: Promise<Ending>): Promise<string> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => reject(new Error(`The service ${why}:\n${output()}`));
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      fail(`did not print ${pattern} within ${READY_TIMEOUT_MS} ms`);
    }, READY_TIMEOUT_MS);
    const look = () => {
      const found = pattern.exec(output());
      if (found === null) return;
      clearTimeout(timer);
      resolve(found[1] ?? found[0]);
    };
    child.stdout?.on("data", look);
    look();
    void ended.then(({ code, signal }) => {
      clearTimeout(timer);
      fail(`ended with ${signal ?? code}`);
    }, reject);
  });
}
