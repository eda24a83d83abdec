/** Two sequences at every state from STEP_5 on: what test/sequences/ checks, in small tests. */
import { expect, test } from "vitest";
import type { Sequence } from "../sequences/alphabet.ts";

const SEQUENCES: readonly Sequence[] = [["success"], ["cancel", "other"]];
const STATES = 60;

test("every state of the chart from STEP_5 on is among those numbered", async () => {
  const { START_STATES } = await import("../sequences/start-states.ts");
  expect(START_STATES.length).toBeLessThanOrEqual(STATES);
});

test.each(Array.from({ length: STATES }, (_, index) => index))(
  "start state %i: whatever happens, money is conserved and there is one ending",
  async (index) => {
    const { START_STATES } = await import("../sequences/start-states.ts");
    const { fixtureOf } = await import("../sequences/fixtures.ts");
    const { runSequence } = await import("../sequences/run-sequence.ts");
    const state = START_STATES[index];
    if (state === undefined) return;
    const fixture = await fixtureOf(state);
    for (const letters of SEQUENCES) {
      const { breaches } = await runSequence(state, fixture, letters, { isReplayed: false });
      expect({ letters, breaches }).toEqual({ letters, breaches: [] });
    }
  },
);
