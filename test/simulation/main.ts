/**
 * `npm run simulate -- [--seeds N] [--from S] [--seed S] [--trace] [--shrink]`
 * Fresh seeds by default. Exit 1 when a run ends wrong; each is named, with the command that plays it again.
 */
import { parseArgs } from "node:util";
import { runSeed, type SeedReport } from "./run-seed.ts";
import { shrink } from "./shrink.ts";
import { Tally } from "./tally.ts";

const USAGE = `Usage: npm run simulate -- [--seeds N] [--from S]
       npm run simulate -- --seed S [--trace] [--shrink]
`;
const { values } = readOptions();

const SEEDS_DEFAULT = 1_000;
/** So many runs meet everything; fewer may miss what is rare. */
const SEEDS_THAT_MEET_ALL = 2_000;
const PROGRESS_EVERY_MS = 5_000;
const FAILURES_SHOWN = 20;
const SEED_MAX = 2 ** 31;

const isOne = values.seed !== undefined;
if (!isOne && (values.trace || values.shrink)) refuse("--trace and --shrink are of one run: name its --seed.");
if (isOne && (values.seeds !== undefined || values.from !== undefined)) refuse("Either --seed, or --seeds and --from.");

process.exitCode = values.seed === undefined ? await many() : await one(wholeOf("seed", values.seed));

function readOptions() {
  try {
    return parseArgs({
      options: {
        seeds: { type: "string" },
        from: { type: "string" },
        seed: { type: "string" },
        trace: { type: "boolean", default: false },
        shrink: { type: "boolean", default: false },
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

async function one(seed: number): Promise<number> {
  const trace = values.trace ? { trace: (line: string) => process.stdout.write(`${line}\n`) } : {};
  const { breaches } = values.shrink ? await small(seed) : await runSeed(seed, trace);
  process.stdout.write(breaches.length === 0 ? `seed ${seed}: nothing is wrong\n` : `seed ${seed}:\n${listed(breaches)}\n`);
  return breaches.length === 0 ? 0 : 1;
}

async function small(seed: number): Promise<SeedReport> {
  const { options, report, tries } = await shrink(seed);
  const { shoppers, nodes } = options.scenario;
  if (report.breaches.length === 0) return report;
  const faults = report.faultsStruck - options.leftOut.size;
  process.stdout.write(`${tries} runs: left are nodes: ${nodes}, shoppers: ${shoppers.length}, faults: ${Math.max(0, faults)}\n`);
  return values.trace ? runSeed(seed, { ...options, trace: (line) => process.stdout.write(`${line}\n`) }) : report;
}

async function many(): Promise<number> {
  const count = values.seeds === undefined ? SEEDS_DEFAULT : wholeOf("seeds", values.seeds);
  const from = values.from === undefined ? Math.floor(Math.random() * SEED_MAX) : wholeOf("from", values.from);
  const tally = new Tally();
  let toldAt = performance.now();
  for (let seed = from; seed < from + count; seed++) {
    const report = await runSeed(seed);
    tally.add(report);
    if (report.breaches.length > 0 && tally.failures <= FAILURES_SHOWN) {
      process.stdout.write(`seed ${seed} (npm run simulate -- --seed ${seed} --shrink --trace):\n${listed(report.breaches)}\n`);
    }
    if (performance.now() - toldAt < PROGRESS_EVERY_MS) continue;
    toldAt = performance.now();
    process.stderr.write(`${tally.runs} of ${count} seeds, ${tally.failures} wrong\n`);
  }
  process.stdout.write(tally.summary(from));
  const { missed } = tally;
  if (missed.length > 0) process.stdout.write(`never met, so these runs say nothing of it: ${missed.join(", ")}\n`);
  return tally.failures > 0 || (missed.length > 0 && count >= SEEDS_THAT_MEET_ALL) ? 1 : 0;
}

function listed(breaches: readonly string[]): string {
  return breaches.map((breach) => `  ${breach}`).join("\n");
}

function wholeOf(name: string, text: string): number {
  if (!/^[1-9]\d{0,14}$/.test(text)) refuse(`--${name} must be a whole number from 1 on.`);
  return Number(text);
}
