/** The tests that judge mutants (docs/mutation.md): fast, the same in every run, and without servers. */
import { defineConfig } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const SETTLING = ["settling", "polling", "another-attempt", "deadline", "past-pivot", "insisting", "paid-early"];

/** A mutant is met by what is quick first. */
const ORDER = [
  "/loading.proof",
  // Of data, which is static: everything else would be asked first about each of its mutants.
  "test/runtime/context-schema.test",
  ...["steps", ...SETTLING, "undoing", "contraction"].map((part) => `test/machines/${part}.test`),
  "test/machines/",
  "loading-runtime.proof",
  "test/runtime/",
  "sequences.proof",
  "seeds.proof",
  "paths.proof",
];

/** Whole checkouts, a hundred at a time: only what the tests before them let live is worth their time (test/mutation/main.ts). */
const WHOLE_RUNS = process.env["MUTATION_PASS"] === "quick" ? ["sequences", "seeds", "paths"] : [];

class QuickFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const placeOf = ({ moduleId }: TestSpecification) => ORDER.findIndex((part) => moduleId.includes(part));
    return Promise.resolve(files.toSorted((a, b) => placeOf(a) - placeOf(b) || a.moduleId.localeCompare(b.moduleId)));
  }
}

export default defineConfig({
  test: {
    include: ["test/machines/**/*.test.ts", "test/runtime/**/*.test.ts", "test/mutation/**/*.proof.ts"],
    exclude: [
      // These compare the sources, or pages that are made from them: they would find every mutant, and say nothing of it.
      "test/machines/version.test.ts",
      "test/machines/diagram.test.ts",
      // Whole runs by the hundred: each survivor would take twice the time.
      "test/machines/refunds.properties.test.ts",
      "test/runtime/fold.properties.test.ts",
      ...WHOLE_RUNS.map((name) => `test/mutation/${name}.proof.ts`),
    ],
    testTimeout: 20_000,
    // One worker for all files of a run, and a new one for each run: modules are loaded once for each mutant.
    isolate: false,
    maxWorkers: 1,
    fileParallelism: false,
    sequence: { sequencer: QuickFirst },
  },
});
