/** The journal is the log, a checkpoint only a shorter way to the same state. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import { dehydrate, hashContext, statePath, toPlainJson } from "../../runtime/engine.ts";
import { revive } from "../../runtime/revival.ts";
import { journeys, walked, type Moment } from "../support/journey.ts";
import { tried } from "../support/properties.ts";

const TURNS_MAX = 80;

/** As it comes from a database, with a checkpoint at this entry. */
function stored(moments: readonly Moment[], { entry, snapshot, timers }: Moment): Parameters<typeof revive>[1] {
  const checkpoint = { seq: entry.seq, snapshot: dehydrate(checkoutMachine, snapshot), timers };
  const entries = moments.slice(entry.seq - 1).map((moment) => moment.entry);
  const whole = { id: "ctx_1", seq: moments.length, checkpoint, entries };
  return toPlainJson(whole) as Parameters<typeof revive>[1];
}

test("a fold from any checkpoint arrives at the live state, its context, its steps and its timers", () => {
  fc.assert(
    fc.property(journeys(TURNS_MAX), fc.nat(), (journey, where) => {
      const moments = walked(journey);
      const [last, checkpoint] = [moments.at(-1), moments[where % moments.length]];
      if (last === undefined || checkpoint === undefined) throw new Error("a journey has moments");
      const revived = revive(checkoutMachine, stored(moments, checkpoint));
      expect(revived.seq).toBe(last.entry.seq);
      expect(statePath(revived.snapshot)).toBe(statePath(last.snapshot));
      expect(hashContext(revived.snapshot)).toBe(hashContext(last.snapshot));
      expect(revived.timers).toEqual(last.timers);
      expect(dehydrate(checkoutMachine, revived.snapshot)).toEqual(dehydrate(checkoutMachine, last.snapshot));
    }),
    tried(100),
  );
});

test("no transition breaks an invariant, whatever comes in whichever order", () => {
  const reached = new Set<string>();
  fc.assert(
    fc.property(journeys(TURNS_MAX), (journey) => {
      for (const { breaches, view } of walked(journey)) {
        expect(breaches).toEqual([]);
        reached.add(view.path);
      }
    }),
    tried(350),
  );
  // A property that never sees the places where it could fail says nothing.
  expect([...reached]).toEqual(expect.arrayContaining([...FAR_PLACES]));
});

const FAR_PLACES = [
  "PROCESSING.STEP_8.settling.polling",
  "PROCESSING.STEP_8.settling.requestingAttempt.backingOff",
  "PROCESSING.STEP_8.asking.backingOff",
  "PROCESSING.STEP_8.producingConfirmed.backingOff",
  "PROCESSING.undoing.paymentRequest.backingOff",
  "PROCESSING.undoing.deferred.backingOff",
  "COMPLETED.refunding.backingOff",
  "COMPLETED.atRest",
  "ROLLEDBACK.refunding.running",
  "ROLLEDBACK.refunding.backingOff",
  "ROLLEDBACK.atRest",
] as const;
