/**
 * Every sequence at every state of a group, on the real orchestrator: enumerated, none left out. A plain run takes all
 * of the short ones and every so-many-th of each longer length, always the same, and says how many of how many it took;
 * TEST_FULL=1 takes all, and SEQUENCE_LENGTH says up to which length. SEQUENCE="awaitingPayment: success cancel crash" runs that one alone and tells its story.
 */
import { expect, test } from "vitest";
import { countOf, LETTERS, sequencesOf, type Letter, type Sequence } from "./alphabet.ts";
import { fixtureOf } from "./fixtures.ts";
import { runSequence } from "./run-sequence.ts";
import { START_STATES, type StartState } from "./start-states.ts";

const { SEQUENCE, SEQUENCE_LENGTH, TEST_FULL } = process.env;
const LENGTH_MAX = Number(SEQUENCE_LENGTH ?? 4);
const ALL_UP_TO = TEST_FULL === "1" || SEQUENCE_LENGTH !== undefined ? LENGTH_MAX : 1;
/** By length. Primes, so that the slice meets every letter at every place; each state begins it elsewhere. */
const SLICES: Readonly<Record<number, number>> = { 2: 7 };
const SLICE_OF_LONGER = 997;
/** A replay takes about as long as the run: of the longer sequences every so-many-th is replayed. */
const REPLAYED = 7;
const FAILURES_MAX = 3;

export function checkSequences(group: string, isIn: (state: StartState) => boolean): void {
  const states = START_STATES.filter(isIn);
  if (SEQUENCE !== undefined) return checkOne(states, SEQUENCE);

  test(
    `${group}: whatever happens, in whatever order, money is conserved and there is one ending`,
    { timeout: 7_200_000 },
    async () => {
      const began = performance.now();
      const counts = { taken: Array.from({ length: LENGTH_MAX + 1 }, () => 0), completed: 0, rolledBack: 0, parked: 0 };
      const failures: string[] = [];
      for (const [place, state] of states.entries()) {
        const fixture = await fixtureOf(state);
        let index = place * 31;
        for (const letters of chosen(() => index++)) {
          const isReplayed = letters.length <= 1 || index % REPLAYED === 0;
          const { breaches, end, story } = await runSequence(state, fixture, letters, { isReplayed });
          counts.taken[letters.length] = (counts.taken[letters.length] ?? 0) + 1;
          counts[end === "COMPLETED" ? "completed" : end === "ROLLEDBACK" ? "rolledBack" : "parked"]++;
          if (breaches.length > 0) failures.push([...breaches, await story()].join("\n"));
          if (failures.length === FAILURES_MAX) break;
        }
        if (failures.length === FAILURES_MAX) break;
      }
      expect(failures.join("\n\n")).toBe("");
      expect(sumOf(counts.taken.slice(0, ALL_UP_TO + 1))).toBe(states.length * countOf(ALL_UP_TO));
      process.stdout.write(reportOf(group, states.length, counts, performance.now() - began));
    },
  );
}

/** All up to a length; of the longer ones a slice. */
function* chosen(next: () => number): Generator<Sequence> {
  for (let length = 0; length <= LENGTH_MAX; length++) {
    for (const letters of sequencesOf(length)) {
      const index = next();
      if (length <= ALL_UP_TO || index % sliceOf(length) === 0) yield letters;
    }
  }
}

function sliceOf(length: number): number {
  return SLICES[length] ?? SLICE_OF_LONGER;
}

interface Counts {
  /** By length. */
  readonly taken: readonly number[];
  readonly completed: number;
  readonly rolledBack: number;
  readonly parked: number;
}

function reportOf(group: string, states: number, { taken, completed, rolledBack, parked }: Counts, ms: number): string {
  const all = sumOf(taken.slice(0, ALL_UP_TO + 1));
  const slices = taken.flatMap((count, length) =>
    length <= ALL_UP_TO
      ? []
      : `; of length ${length} one in ${sliceOf(length)}: ${count} of ${states * LETTERS.length ** length}`,
  );
  const rest = slices.length === 0 ? "" : `${slices.join("")} (npm run test:full takes all)`;
  const ends = `${completed} completed, ${rolledBack} rolled back${parked === 0 ? "" : `, ${parked} parked after five crashes in a row`}`;
  const each = (ms / sumOf(taken)).toFixed(1);
  return (
    `sequences, ${group}: alphabet {${LETTERS.join(", ")}}, ${states} states, lengths 0 to ${ALL_UP_TO}, none excluded: ` +
    `${all} = ${states} × Σ ${LETTERS.length}^k${rest}; ${ends}; ${each} ms each\n`
  );
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** In the file that has its state; the other files have nothing to do then. */
function checkOne(states: readonly StartState[], text: string): void {
  const [name, ...rest] = text.split(":");
  const letters = rest.join(":").split(/\s+/).filter(isLetter);
  const state = states.find((candidate) => candidate.name === name?.trim());
  test.skipIf(state === undefined)(text, async () => {
    if (state === undefined) return;
    const { breaches, story } = await runSequence(state, await fixtureOf(state), letters, { isReplayed: true });
    process.stdout.write(`${await story()}\n`);
    expect(breaches).toEqual([]);
  });
}

function isLetter(word: string): word is Letter {
  if (word === "" || (LETTERS as readonly string[]).includes(word)) return word !== "";
  throw new Error(`"${word}" is none of ${LETTERS.join(", ")}`);
}
