/**
 * `npm run removals [-- I16]`: takes out each check and each guard, or those of one invariant, by itself, and runs the test
 * that must fail without it. Ends with 1 when one of them doesn't, and with 64 when nothing has that number.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { REMOVALS, type Removal } from "./removals.ts";

const [number] = process.argv.slice(2);
const isMeant = ({ invariant }: Removal) => number === undefined || invariant === number;
if (!REMOVALS.some(isMeant)) {
  process.stderr.write(`No removal is of ${number}. Name an invariant, e.g. \`npm run removals -- I16\`, or none for all.\n`);
  process.exit(64);
}
let missed = 0;
process.stdout.write("| invariant | taken out | then fails |\n|---|---|---|\n");
for (const [index, removal] of REMOVALS.entries()) {
  if (!isMeant(removal)) continue;
  const { invariant, guard, file, test, name } = removal;
  const failed = await failuresWithout(index, removal);
  if (failed === 0) missed++;
  const where = `\`${test}\`${name === undefined ? "" : ` › ${name}`}`;
  process.stdout.write(`| ${invariant} | ${guard} (\`${file}\`) | ${failed === 0 ? "NOTHING in " : `${failed} in `}${where} |\n`);
}
process.exitCode = missed === 0 ? 0 : 1;

/** How many tests fail. Whatever else goes wrong is an error of ours: an edit that no longer fits, a test that is gone. */
async function failuresWithout(index: number, { test, name }: Removal): Promise<number> {
  const args = [
    "vitest",
    "run",
    "-c",
    "test/removals/vitest.config.ts",
    "--root",
    ".",
    "--reporter=json",
    test,
    ...(name === undefined ? [] : ["-t", name]),
  ];
  const child = spawn("npx", args, { env: { ...process.env, REMOVAL: String(index) }, stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  await once(child, "close");
  const line = stdout.split("\n").find((one) => one.startsWith("{")) ?? "";
  const report = parsed(line);
  const ran = (report?.numPassedTests ?? 0) + (report?.numFailedTests ?? 0);
  if (report === null || ran === 0) throw new Error(`${test} did not run:\n${stdout}\n${stderr}`);
  return report.numFailedTests;
}

function parsed(line: string): { readonly numPassedTests: number; readonly numFailedTests: number } | null {
  try {
    return JSON.parse(line) as { readonly numPassedTests: number; readonly numFailedTests: number };
  } catch {
    return null;
  }
}
