/** Looks now and then for checkouts that something is wrong with: told once each, counted for as long as they are found. */
import type { Clock } from "../steps/ports.ts";
import { PeriodicTask } from "./periodic-task.ts";
import type { Log } from "./telemetry.ts";

const LOOK_EVERY_MS = 15_000;
/** Enough for people to begin with; the count says no more than "at least". */
export const FOUND_MAX = 1_000;

export interface Finding {
  readonly contextId: string;
  /** Since when, in milliseconds since the epoch. */
  readonly since: number;
}

export interface WatchDeps<Found extends Finding> {
  readonly clock: Clock;
  readonly log: Pick<Log, "warn">;
  /** What is wrong now, the oldest first. */
  readonly find: () => Promise<readonly Found[]>;
  /** Called for a checkout that the look before did not find. */
  readonly tell: (found: Found) => void;
  readonly failureMessage: string;
}

export class Watch<Found extends Finding = Finding> {
  private found: readonly Found[] = [];
  private told: ReadonlySet<string> = new Set();
  private readonly looks: PeriodicTask;

  constructor(private readonly deps: WatchDeps<Found>) {
    this.looks = new PeriodicTask({ ...deps, pauseMs: LOOK_EVERY_MS, work: () => this.look() });
  }

  get checkouts(): number {
    return new Set(this.found.map(({ contextId }) => contextId)).size;
  }

  /** How long the oldest has been so by now; 0 = there is none. */
  get oldestSeconds(): number {
    const [oldest] = this.found;
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
    this.found = await this.deps.find();
    for (const found of this.found) if (!this.told.has(found.contextId)) this.deps.tell(found);
    this.told = new Set(this.found.map(({ contextId }) => contextId));
  }
}
