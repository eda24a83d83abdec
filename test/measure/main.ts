/**
 * `npm run measure -- NAME`: the long form of one measurement; a plain test run takes its short form. Exit 1 when the
 * figure is not what docs/many-nodes.md says.
 */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";

const SUFFIX = ".test.ts";

const names = readdirSync(new URL(".", import.meta.url)).flatMap((file) =>
  file.endsWith(SUFFIX) ? [file.slice(0, -SUFFIX.length)] : [],
);
const [name = "", ...more] = process.argv.slice(2);
if (!names.includes(name) || more.length > 0) {
  process.stderr.write(`Usage: npm run measure -- NAME\nNAME is one of ${names.join(", ")}.\n`);
  process.exit(64);
}
const { status } = spawnSync("npx", ["vitest", "run", `test/measure/${name}${SUFFIX}`], {
  stdio: "inherit",
  env: { ...process.env, MEASURE: "1", REQUIRE_SERVERS: "1" },
});
process.exitCode = status ?? 1;
