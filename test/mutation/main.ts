/**
 * `npm run mutate [-- --mutate FILE]`: every mutant meets the quick tests; what they let live meets whole runs too. Stryker's
 * incremental file carries the first pass into the second: a survivor is asked again when there are tests that it never met.
 */
import { spawnSync } from "node:child_process";

for (const pass of ["quick", "full"]) {
  const { status } = spawnSync("npx", ["stryker", "run", ...process.argv.slice(2)], {
    stdio: "inherit",
    env: { ...process.env, MUTATION_PASS: pass },
  });
  process.exitCode = status ?? 1;
  if (process.exitCode !== 0) break;
}
