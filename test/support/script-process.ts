/** A script as its users run it: a process of its own. */
import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { compiled } from "./compiled.ts";

export interface ScriptEnding {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `name`: of a file in scripts/. Of our environment it gets PATH and HOME alone. */
export async function spawnScript(
  name: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<ChildProcessWithoutNullStreams> {
  const script = fileURLToPath(await compiled(new URL(`../../scripts/${name}.ts`, import.meta.url)));
  const { PATH = "", HOME = "" } = process.env;
  return spawn(process.execPath, [script, ...args], { env: { PATH, HOME, ...environment } });
}

export async function runScriptProcess(
  name: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<ScriptEnding> {
  const child = await spawnScript(name, args, environment);
  const output = { stdout: "", stderr: "" };
  for (const stream of ["stdout", "stderr"] as const) {
    child[stream].on("data", (chunk: Buffer) => (output[stream] += chunk.toString()));
  }
  const [code] = (await once(child, "close")) as [number | null];
  return { code, ...output };
}
