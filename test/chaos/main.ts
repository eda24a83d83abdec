/**
 * `npm run chaos -- [--seed S] [--seconds N] [--checkouts N] [--short] [--without GUARD] [--json] [--write]`
 * Real processes on real servers under faults, then the verdict. Exit 1 when anything is wrong. docs/chaos.md tells more.
 */
import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { REMOVALS } from "../removals/removals.ts";
import { runChaos, type ChaosReport } from "./chaos.ts";
import { FULL_TIMES, SHORT_CHECKOUTS, SHORT_TIMES, repeated, type ChaosPlan } from "./plan.ts";
import { summaryOf, tableOf } from "./report.ts";

const USAGE = `Usage: npm run chaos -- [--seed S] [--seconds N] [--checkouts N] [--short] [--without GUARD] [--json] [--write]
  --seed       of what is drawn: stories, faults, their moments and their victims (default: another one each time).
               What processes make of it is not repeated.
  --seconds    rounds are meant for 60 each (default 60), and take longer on a busy machine; each has all checkouts and faults
  --checkouts  how many (default 1000 a round); faults strike as shoppers go, so fewer are struck as often
  --short      a few of each fault, and 60 checkouts: what the tests do
  --without    takes a guard out of the product first, by part of its name in test/removals/removals.ts, e.g. "the fence"
  --json       the report as JSON instead of a table
  --write      the table into docs/chaos.md
`;
const SECONDS = 60;
const CHECKOUTS = 1_000;
const SEED_MAX = 2 ** 31;
const BREACHES_SHOWN = 40;
const PAGE = new URL("../../docs/chaos.md", import.meta.url);
const [BEGIN, END] = ["<!-- run:begin -->", "<!-- run:end -->"];

const { values } = readOptions();
// Servers and nodes are ended when this process exits, which it doesn't do by itself on a signal.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));
const report = await runChaos(planOf(), { removal: removalOf(values.without), say: (line) => process.stderr.write(`${line}\n`) });
process.stdout.write(
  values.json ? `${JSON.stringify(report, mapsAsObjects, 2)}\n` : `\n${tableOf(report)}\n\n${summaryOf(report)}\n`,
);
if (values.write) await writePage();
if (report.breaches.length > 0) tellOf(report);
process.exit(report.breaches.length === 0 ? 0 : 1);

function readOptions() {
  try {
    return parseArgs({
      options: {
        seed: { type: "string" },
        seconds: { type: "string" },
        checkouts: { type: "string" },
        short: { type: "boolean", default: false },
        without: { type: "string" },
        json: { type: "boolean", default: false },
        write: { type: "boolean", default: false },
      },
    });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

function refuse(why: string): never {
  process.stderr.write(`${why}\n${USAGE}`);
  process.exit(64);
}

function planOf(): ChaosPlan {
  const seconds = wholeOf("seconds", values.seconds) ?? SECONDS;
  const rounds = Math.max(1, Math.round(seconds / SECONDS));
  const checkouts = wholeOf("checkouts", values.checkouts);
  const seed = wholeOf("seed", values.seed) ?? Math.floor(Math.random() * SEED_MAX);
  if (values.short) return { seed, checkouts: checkouts ?? SHORT_CHECKOUTS, times: SHORT_TIMES };
  return { seed, checkouts: checkouts ?? CHECKOUTS * rounds, times: repeated(FULL_TIMES, rounds) };
}

function wholeOf(name: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) refuse(`--${name} must be a whole number from 1 on, not ${text}.`);
  return value;
}

function removalOf(name: string | undefined) {
  if (name === undefined) return null;
  const removal = REMOVALS.find(({ guard }) => guard.includes(name));
  return removal ?? refuse(`No guard in test/removals/removals.ts is called "${name}".`);
}

async function writePage(): Promise<void> {
  const page = await readFile(PAGE, "utf8");
  const [before = "", after = ""] = [page.split(BEGIN)[0], page.split(END)[1]];
  await writeFile(PAGE, `${before}${BEGIN}\n\n${tableOf(report)}\n\n${summaryOf(report)}\n\n${END}${after}`);
}

function tellOf({ breaches, dataDirectory }: ChaosReport): void {
  const shown = breaches.slice(0, BREACHES_SHOWN);
  const more = breaches.length - shown.length;
  process.stderr.write(`
WRONG (docs/invariants.md has the numbers):
${shown.map((line) => `  ${line}\n`).join("")}${more > 0 ? `  and ${more} more\n` : ""}
The database is kept in ${dataDirectory}. To look at a checkout, as a user other than root:
  postgres -D ${dataDirectory}/data -k ${dataDirectory} -h 127.0.0.1 -p 5433 &
  psql -h 127.0.0.1 -p 5433 -U postgres -c "select seq, at, event->>'type' as event, to_state
    from checkoutd.journal where context_id = 'ctx_…' order by seq"
or its page: DATABASE_URL=postgres://postgres@127.0.0.1:5433/postgres npm start
`);
}

function mapsAsObjects(_key: string, value: unknown): unknown {
  return value instanceof Map ? Object.fromEntries(value as Map<string, unknown>) : value;
}
