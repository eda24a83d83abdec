/**
 * Watches for captured money that is neither confirmed nor given back: the one thing that must never last, whatever
 * bug or outage keeps it. It sees what the ledgers know; what they never heard of is for `npm run reconcile`.
 */
import type { Store, UnsettledMoney } from "../persistence/store.ts";
import type { Clock } from "../steps/ports.ts";
import type { Log } from "./telemetry.ts";
import { FOUND_MAX, Watch } from "./watch.ts";

/** Confirming and refunding take moments; a payment that waits for its checkout's first steps takes seconds. */
const UNSETTLED_AFTER_MS = 60_000;

export interface MoneyWatchDeps {
  readonly store: Pick<Store, "unsettled">;
  readonly clock: Clock;
  readonly log: Log;
}

export function moneyWatch({ store, clock, log }: MoneyWatchDeps): Watch<UnsettledMoney> {
  return new Watch({
    clock,
    log,
    find: () => store.unsettled(UNSETTLED_AFTER_MS, FOUND_MAX),
    tell: ({ contextId, amount, currency, since }) =>
      log.error(
        { executionContextId: contextId, balance: amount, currency, since: new Date(since).toISOString() },
        "Money stays in suspense: captured, and neither confirmed nor given back; look at this checkout",
      ),
    failureMessage: "The look for unsettled money failed; it is repeated",
  });
}
