/** The runtime against the model, and against itself with crashes: slices of test/paths/ that take a second or two. */
import { expect, test } from "vitest";
import type { Alphabet } from "../../scripts/reachable/alphabet.ts";

const ALPHABET: Alphabet = { retries: 0, hasWrongAmounts: false };
const SIMPLE_SLICE = 100;
const CRASH_SLICE = 1_400;

let drawn: ReturnType<typeof draw> | null = null;

/** Once for both, and not while this file is loaded: a mutant must be met by a test. */
async function paths() {
  return (drawn ??= draw());
}

async function draw() {
  const { graphOf } = await import("../paths/model.ts");
  const { everyNth, simplePaths } = await import("../paths/generate.ts");
  const graph = graphOf(ALPHABET);
  const all = [...simplePaths(graph)];
  return { graph, every: (nth: number) => everyNth(all, nth) };
}

test("simple paths lead the real runtime where the model says", async () => {
  const { memoryBed } = await import("../paths/beds.ts");
  const { runPaths } = await import("../paths/runner.ts");
  const { graph, every } = await paths();
  const chosen = every(SIMPLE_SLICE);
  expect(chosen.length).toBeGreaterThan(10);
  expect((await runPaths(memoryBed(), graph, ALPHABET, chosen)).paths).toBe(chosen.length);
});

test("a crash at every place of a path leaves no trace", async () => {
  const { runCrashesEverywhere } = await import("../paths/crash-runner.ts");
  const { Atlas } = await import("../paths/places.ts");
  const { Walk } = await import("../paths/walk.ts");
  const { graph, every } = await paths();
  const atlas = new Atlas(graph, ALPHABET, "ctx_walk");
  const open = async (_: number, path: readonly string[]) => {
    const places = atlas.placesOf(path);
    return { places, walk: await Walk.inMemory(atlas.id, places) };
  };
  const { interruptions } = await runCrashesEverywhere(open, every(CRASH_SLICE));
  expect(Object.values(interruptions).filter((count) => count > 0).length).toBeGreaterThan(3);
});
