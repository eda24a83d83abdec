/**
 * Watches for checkouts that have something to do and do not go on: nobody takes them up, or whoever did stands still.
 * Nothing in the product leaves one so; a fleet that is too small does, and so would a bug.
 */
import type { Store, StuckCheckout } from "../persistence/store.ts";
import type { Clock } from "../steps/ports.ts";
import type { Log } from "./telemetry.ts";
import { FOUND_MAX, Watch } from "./watch.ts";

/** A step may take half of that before it is tried again, and a dead node's lease a sixth. */
const STUCK_AFTER_MS = 60_000;

export interface ProgressWatchDeps {
  readonly store: Pick<Store, "stuck">;
  readonly clock: Clock;
  readonly log: Log;
}

export function progressWatch({ store, clock, log }: ProgressWatchDeps): Watch<StuckCheckout> {
  /** By id, their seq at the look before: what has only just arrived for one that rested for days is no sign of anything. */
  let suspects: ReadonlyMap<string, number> = new Map();
  return new Watch({
    clock,
    log,
    find: async () => {
      const found = await store.stuck(STUCK_AFTER_MS, FOUND_MAX);
      const confirmed = found.filter(({ contextId, seq }) => suspects.get(contextId) === seq);
      suspects = new Map(found.map(({ contextId, seq }) => [contextId, seq]));
      return confirmed;
    },
    tell: ({ contextId, state, owner, since }) =>
      log.error(
        { executionContextId: contextId, state, owner, since: new Date(since).toISOString() },
        "This checkout has something to do and does not go on; look whether the nodes have room, and at its node",
      ),
    failureMessage: "The look for stuck checkouts failed; it is repeated",
  });
}
