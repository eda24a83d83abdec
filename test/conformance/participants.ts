/** What every implementation of the participants must do, by their contracts (steps/services.ts). */
import { afterAll, beforeAll, describe, test } from "vitest";
import { confirmationConformance } from "./participants-confirmations.ts";
import { effectConformance } from "./participants-effects.ts";
import { paymentConformance } from "./participants-payments.ts";
import { refundConformance } from "./participants-refunds.ts";
import { reversalConformance } from "./participants-reversals.ts";
import type { Open, ParticipantsUnderTest, State } from "./participants-under-test.ts";

/** Laws that an implementation doesn't keep, by name: why. */
export type Departures = Readonly<Record<string, string>>;

/** Ids are random in each test, so that all tests share one database. A departure is a test that has to fail. */
export function participantsConformance(
  name: string,
  setup: () => Promise<ParticipantsUnderTest>,
  departures: Departures = {},
): void {
  describe(`participants: ${name}`, () => {
    let bundle: ParticipantsUnderTest;
    beforeAll(async () => {
      bundle = await setup();
    });
    afterAll(() => bundle.close());

    const stated = new Set<string>();
    const state: State = (law, check) => {
      stated.add(law);
      const why = departures[law];
      const stateIt = why === undefined ? test : test.fails;
      stateIt(why === undefined ? law : `${law} (not here: ${why})`, check);
    };
    const open: Open = () => bundle;
    effectConformance(open, state);
    confirmationConformance(open, state);
    paymentConformance(open, state);
    reversalConformance(open, state);
    refundConformance(open, state);

    const unknown = Object.keys(departures).filter((law) => !stated.has(law));
    if (unknown.length > 0) throw new Error(`No law is called ${unknown.join(", ")}.`);
  });
}
