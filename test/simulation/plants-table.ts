/**
 * `npm run simulate:plants -- [--only NAME] [--seeds N] [--max N] [--from S] [--seconds N] [--write]`
 * Searches for each planted bug and prints docs/planted-bugs.md. `--write` replaces that page and the seeds of
 * plants.test.ts; `--only` measures those whose name contains it.
 */
import { writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { PLANTED_BUGS } from "./plants.ts";
import { measure, type Finding } from "./plants/measure.ts";
import { reportOf } from "./plants/report.ts";

const PAGE = new URL("../../docs/planted-bugs.md", import.meta.url);
const SEEDS = new URL("plants/seeds.json", import.meta.url);

const { values } = parseArgs({
  options: {
    only: { type: "string", default: "" },
    seeds: { type: "string", default: "300" },
    max: { type: "string", default: "2000" },
    from: { type: "string", default: "1" },
    seconds: { type: "string", default: "30" },
    write: { type: "boolean", default: false },
  },
});

const from = Number(values.from);
const extent = { from, seeds: Number(values.seeds), seedsMax: Number(values.max), budgetMs: Number(values.seconds) * 1_000 };
const bugs = PLANTED_BUGS.filter(({ name }) => name.includes(values.only));
const findings: Finding[] = [];
for (const bug of bugs) {
  const finding = await measure(bug, extent);
  process.stderr.write(`${bug.name}: ${finding.found} of ${finding.tried}, first ${finding.firstSeed ?? "none"}\n`);
  findings.push(finding);
}
const page = reportOf(bugs, findings, from);
process.stdout.write(page);
if (values.write && values.only === "") {
  const found = findings.flatMap(({ name, quickSeed }) => (quickSeed === null ? [] : [[name, quickSeed] as const]));
  await writeFile(PAGE, page);
  await writeFile(SEEDS, `${JSON.stringify(Object.fromEntries(found), null, 2)}\n`);
}
