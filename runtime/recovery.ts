/**
 * Finds checkouts that need an actor and have none: orphans of dead nodes, due timers, waiting signals.
 * Periodic, never only at launch; bounded by the room that is left.
 */
import type { Store } from "../persistence/store.ts";
import type { Clock } from "../steps/ports.ts";
import type { NodeLease } from "./node-lease.ts";
import { PeriodicTask } from "./periodic-task.ts";
import type { Log } from "./telemetry.ts";

const SWEEP_MS = 500;
const CLAIM_MAX = 200;
/**
 * How often this node looks at what it owns: checkouts that it doesn't run, because their claim's answer was lost or
 * they could not be loaded; and those whose inbox another node put something into.
 */
const RECONCILE_EVERY_SWEEPS = 6;
const OWNED_MAX = 10_000;

export interface RecoveryDeps {
  readonly store: Pick<Store, "claimRunnable" | "owned">;
  readonly clock: Clock;
  readonly log: Log;
  readonly lease: NodeLease;
  /** How many more checkouts this node can hold. */
  readonly room: () => number;
  readonly isResident: (id: string) => boolean;
  readonly adopt: (id: string) => Promise<void>;
  /** Something waits in the inbox of a checkout that is resident here. */
  readonly notify: (id: string) => Promise<void>;
}

export class Recovery {
  private readonly search: PeriodicTask;
  private sweeps = 0;
  /** The last sweep found as many as it may claim at once. */
  private isAgain = false;
  /** Owned and not run at the last look: once may be a claim that is just being taken up. */
  private suspects: ReadonlySet<string> = new Set();

  constructor(private readonly deps: RecoveryDeps) {
    this.search = new PeriodicTask({
      ...deps,
      pauseMs: SWEEP_MS,
      work: () => this.sweep(),
      failureMessage: "The search for runnable checkouts failed; it is repeated",
    });
  }

  start(): void {
    this.search.start();
  }

  /** Resolves when the sweep that is under way has ended. Safe twice and before start. */
  stop(): Promise<void> {
    return this.search.stop();
  }

  private async sweep(): Promise<"again" | void> {
    const { lease, store } = this.deps;
    if (!lease.isHeld()) return;
    if (!this.isAgain && ++this.sweeps % RECONCILE_EVERY_SWEEPS === 0) await this.reconcile();
    const limit = Math.min(CLAIM_MAX, this.deps.room());
    const claimed = limit > 0 ? await store.claimRunnable(lease.nodeId, limit) : [];
    const adopted = this.adoptAll(claimed);
    // A node that died leaves more than one claim takes. The next one waits until these are in memory, because only then is
    // it known how much room is left; but no longer than a sweep's pause, because one of them may wait for a lock.
    this.isAgain = claimed.length === CLAIM_MAX;
    if (!this.isAgain) return;
    await this.atMost(SWEEP_MS, adopted);
    return "again";
  }

  private async reconcile(): Promise<void> {
    const owned = await this.deps.store.owned(this.deps.lease.nodeId, OWNED_MAX);
    const idle = owned.filter(({ id }) => !this.deps.isResident(id)).map(({ id }) => id);
    void this.adoptAll(idle.filter((id) => this.suspects.has(id)));
    this.suspects = new Set(idle);
    for (const { id, signals } of owned) if (signals > 0 && this.deps.isResident(id)) void this.begin(id, this.deps.notify);
  }

  private adoptAll(ids: readonly string[]): Promise<unknown> {
    return Promise.all(ids.map((id) => this.begin(id, this.deps.adopt)));
  }

  /** Never rejects. */
  private begin(id: string, work: (id: string) => Promise<void>): Promise<void> {
    return work(id).catch((error: unknown) => {
      this.deps.log.warn({ executionContextId: id, err: error }, "A checkout could not be taken up; it is tried again");
    });
  }

  private async atMost(limitMs: number, work: Promise<unknown>): Promise<void> {
    let cancel = (): void => {};
    const limit = new Promise<void>((resolve) => (cancel = this.deps.clock.after(limitMs, resolve)));
    await Promise.race([work, limit]);
    cancel();
  }
}
