/** Fixed seeds, so that a failure is the change's and not the day's; `SEEDS=20000 FROM=1000` for others. */
import { expect, test } from "vitest";
import { FAULT_KINDS } from "./simulated-faults.ts";
import { SEEN } from "./simulated-ledger.ts";
import { PLANTED_BUGS } from "./simulated-plants.ts";
import { runSubscribers } from "./simulated-run.ts";

const SEEDS = Number(process.env["SEEDS"] ?? 500);
const FROM = Number(process.env["FROM"] ?? 1);
const FAILURES_MAX = 3;
const REFUSED = "transaction refused";
const SEEDS_A_BUG_MAX = 300;

test(
  `${SEEDS} seeds: whatever fails, each event has its effect once, in the order of its checkout`,
  { timeout: 3_600_000 },
  async () => {
    const counts = new Map<string, number>();
    const failures: string[] = [];
    for (let seed = FROM; seed < FROM + SEEDS && failures.length < FAILURES_MAX; seed++) {
      const { breaches, world } = await runSubscribers(seed);
      if (breaches.length > 0) failures.push(`seed ${seed}\n  ${breaches.join("\n  ")}`);
      for (const [what, count] of [...world.faults.counts, ...world.ledger.seen, [REFUSED, world.database.refused] as const])
        counts.set(what, (counts.get(what) ?? 0) + count);
    }
    expect(failures.join("\n")).toBe("");
    // A simulation that never meets something would pass whatever the product does there.
    expect([...FAULT_KINDS, ...SEEN, REFUSED].filter((what) => (counts.get(what) ?? 0) === 0)).toEqual([]);
  },
);

test.each([7, 8, 9])("seed %i replays exactly, to the last line", async (seed) => {
  const story = async () => {
    const lines: string[] = [];
    await runSubscribers(seed, { trace: (line) => lines.push(line) });
    return lines;
  };
  const first = await story();
  expect(first.length).toBeGreaterThan(10);
  expect(await story()).toEqual(first);
});

test.each(PLANTED_BUGS)("finds a subscriber that $name", { timeout: 60_000 }, async ({ name, plant }) => {
  for (let seed = 1; seed <= SEEDS_A_BUG_MAX; seed++) {
    const { breaches } = await runSubscribers(seed, { plant });
    if (breaches.length === 0) continue;
    process.stdout.write(`${name}: seed ${seed}, ${breaches[0]}\n`);
    return;
  }
  expect.unreachable(`Not found within ${SEEDS_A_BUG_MAX} seeds.`);
});
