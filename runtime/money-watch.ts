/**
 * Watches for captured money that is neither confirmed nor given back: the one thing that must never last, whatever
 * bug or outage keeps it. It sees what the ledgers know; what they never heard of is for `npm run reconcile`.
 */
import type { Store, UnsettledMoney } from "../persistence/store.ts";
import type { Clock } from "../steps/ports.ts";
import { PeriodicTask } from "./periodic-task.ts";
import type { Log } from "./telemetry.ts";

const LOOK_EVERY_MS = 15_000;
/** Confirming and refunding take moments; a payment that waits for its checkout's first steps takes seconds. */
const UNSETTLED_AFTER_MS = 60_000;
/** Enough for people to begin with; the count says no more than "at least". */
const REPORTED_MAX = 1_000;

export interface MoneyWatchDeps {
  readonly store: Pick<Store, "unsettled">;
  readonly clock: Clock;
  readonly log: Log;
}

export class MoneyWatch {
  private held: readonly UnsettledMoney[] = [];
  private reported = new Set<string>();
  private readonly looks: PeriodicTask;

  constructor(private readonly deps: MoneyWatchDeps) {
    this.looks = new PeriodicTask({
      ...deps,
      pauseMs: LOOK_EVERY_MS,
      work: () => this.look(),
      failureMessage: "The look for unsettled money failed; it is repeated",
    });
  }

  /** Checkouts that hold such money. */
  get checkouts(): number {
    return new Set(this.held.map(({ contextId }) => contextId)).size;
  }

  /** How long the oldest of it has been held; 0 = there is none. */
  get oldestSeconds(): number {
    const [oldest] = this.held;
    return oldest === undefined ? 0 : Math.max(0, (this.deps.clock.now() - oldest.since) / 1_000);
  }

  start(): void {
    this.looks.start();
  }

  /** Resolves when the look that is under way has ended. Safe twice and before start. */
  stop(): Promise<void> {
    return this.looks.stop();
  }

  private async look(): Promise<void> {
    this.held = await this.deps.store.unsettled(UNSETTLED_AFTER_MS, REPORTED_MAX);
    for (const { contextId, amount, currency, since } of this.held) {
      if (this.reported.has(contextId)) continue;
      this.deps.log.error(
        { executionContextId: contextId, balance: amount, currency, since: new Date(since).toISOString() },
        "Money stays in suspense: captured, and neither confirmed nor given back; look at this checkout",
      );
    }
    this.reported = new Set(this.held.map(({ contextId }) => contextId));
  }
}
