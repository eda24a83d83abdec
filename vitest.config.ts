import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Alone: they watch how long something takes. */
const QUIET = [
  "test/chaos/takeover.test.ts",
  "test/faults/faulty-provider.test.ts",
  "test/measure/*.test.ts",
  "test/messaging/relay-throughput.test.ts",
];

/** Minutes of processes and servers: for `npm run test:full`, and for commands of their own. */
const LONG = ["test/chaos/chaos.test.ts", "test/measure/killed.test.ts", "test/measure/waiting.test.ts"];
const isPlain = process.env["TEST_FULL"] !== "1" && process.env["MEASURE"] !== "1";
const LEFT_OUT = isPlain ? LONG : [];
if (isPlain) process.stdout.write(`left to npm run test:full: ${LONG.join(", ")}\n`);

/** Twice the two cores that they are meant for: half of a run waits for servers, processes and timers. */
const WORKERS = 4;

/** What takes longest begins first, so that no worker ends with it while the other has nothing left. */
const LONGEST = [
  "test/simulation/simulation.test.ts",
  "test/chaos/chaos.test.ts",
  "test/paths/tours.test.ts",
  "test/service/rollback-table.test.ts",
  "test/service/payment-threads.test.ts",
  "test/faults/kill.test.ts",
  "test/simulation/plants.test.ts",
  "test/examples/warehouse.test.ts",
  "test/faults/lifecycle.test.ts",
  "test/subscribe/simulation.test.ts",
  "test/scripts/reconcile.test.ts",
  "test/faults/broker.test.ts",
  "test/paths/crashes.test.ts",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const placeOf = ({ moduleId }: TestSpecification) => LONGEST.findIndex((file) => moduleId.endsWith(file));
    const longest = sorted.filter((file) => placeOf(file) >= 0).toSorted((a, b) => placeOf(a) - placeOf(b));
    return [...longest, ...sorted.filter((file) => placeOf(file) < 0)];
  }
}

/** Once for all projects; they ask it for servers. */
export const GLOBAL_SETUP = ["test/support/server-desk.ts"];

export const SHARED = {
  testTimeout: 30_000,
  hookTimeout: 60_000,
  // What a process has loaded and compiled (PGlite above all) serves all files that it runs: nearly half of their time.
  isolate: false,
  // A tenth less time in the garbage collector.
  execArgv: ["--max-semi-space-size=64"],
};

export default defineConfig({
  test: {
    globalSetup: GLOBAL_SETUP,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        test: {
          ...SHARED,
          name: "pairs",
          include: ["test/**/*.test.ts"],
          exclude: [...QUIET, ...LEFT_OUT],
          // Each file has databases, directories and free ports of its own.
          maxWorkers: WORKERS,
          sequence: { groupOrder: 0 },
        },
      },
      { test: { ...SHARED, name: "quiet", include: QUIET, exclude: LEFT_OUT, maxWorkers: 1, sequence: { groupOrder: 1 } } },
    ],
  },
});
