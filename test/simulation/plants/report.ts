/** docs/planted-bugs.md, from what was planted and what was found of it. */
import type { Finding } from "./measure.ts";
import type { PlantedBug } from "./planted-bug.ts";

const BREACH_LENGTH_MAX = 160;

export function reportOf(bugs: readonly PlantedBug[], findings: readonly Finding[], from: number): string {
  const findingOf = ({ name }: PlantedBug) => findings.find((finding) => finding.name === name);
  const seen = bugs.filter(({ harmlessBecause }) => harmlessBecause === undefined);
  const rows = seen.map((bug) => rowOf(bug, findingOf(bug)));
  const triesOf = (bug: PlantedBug) => findingOf(bug)?.tried ?? 0;
  const harmless = bugs.flatMap((bug) => listed(bug, triesOf(bug)));
  return `${INTRODUCTION.replace("FROM", String(from))}
${TABLE_HEAD}
${rows.join("\n")}

${HARMLESS}

${harmless.join("\n")}
`;
}

const TABLE_HEAD = `| planted bug | what is wrong | first seed | found | what the first seed finds |
|---|---|---|---|---|`;

const INTRODUCTION = `# Planted bugs

Would the simulation find a bug? Each of these was planted, in a port, in the steps, in the machine or in a class of the runtime, for the tests alone (\`test/simulation/plants/\`), and searched for with fresh runs. \`first seed\`: the first from FROM on that finds it, and is clean without it. \`found\`: how many of the seeds that were tried do; a bug whose runs never come to rest is tried with fewer. For a bug in the machine, lines that only say that a replay by the sound machine differs don't count.

\`npm run simulate:plants\` measures again and prints this page; with \`-- --write\` it replaces this page and the seeds that \`test/simulation/plants.test.ts\` plays (\`npx vitest run test/simulation/plants.test.ts\`).

## Found
`;

const HARMLESS = `## Not found, because they do no harm

Something else holds; these are the controls, and a seed that finds one tells of a bug in the simulator, or of a second bug.`;

function rowOf({ name, breaks }: PlantedBug, finding: Finding | undefined): string {
  const { firstSeed = null, found = 0, tried = 0, breach = "" } = finding ?? {};
  const text = breach.length > BREACH_LENGTH_MAX ? `${breach.slice(0, BREACH_LENGTH_MAX)}…` : breach;
  return `| ${name} | ${breaks} | ${firstSeed ?? "none"} | ${found} of ${tried} | ${text.replaceAll("|", "\\|")} |`;
}

function listed({ name, breaks, harmlessBecause }: PlantedBug, tried: number): readonly string[] {
  return harmlessBecause === undefined ? [] : [`- **${name}** (${breaks}; ${tried} seeds): ${harmlessBecause}.`];
}
