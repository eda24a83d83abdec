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

  private async sweep(): Promise<void> {
    const { lease, store } = this.deps;
    if (!lease.isHeld()) return;
    if (++this.sweeps % RECONCILE_EVERY_SWEEPS === 0) await this.reconcile();
    const limit = Math.min(CLAIM_MAX, this.deps.room());
    if (limit > 0) this.adoptAll(await store.claimRunnable(lease.nodeId, limit));
  }

  private async reconcile(): Promise<void> {
    const owned = await this.deps.store.owned(this.deps.lease.nodeId, OWNED_MAX);
    const idle = owned.filter(({ id }) => !this.deps.isResident(id)).map(({ id }) => id);
    this.adoptAll(idle.filter((id) => this.suspects.has(id)));
    this.suspects = new Set(idle);
    for (const { id, signals } of owned) if (signals > 0 && this.deps.isResident(id)) this.begin(id, this.deps.notify);
  }

  private adoptAll(ids: readonly string[]): void {
    for (const id of ids) this.begin(id, this.deps.adopt);
  }

  /** Not waited for: one that waits for a lock must not hold up the search. */
  private begin(id: string, work: (id: string) => Promise<void>): void {
    work(id).catch((error: unknown) => {
      this.deps.log.warn({ executionContextId: id, err: error }, "A checkout could not be taken up; it is tried again");
    });
  }
}
