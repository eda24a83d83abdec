/**
 * The database's time of day, kept by this process. Leases and timers are judged by the database, so whoever stamps
 * entries and sets timers by a clock of its own would ring early or late, or be woken for what it thinks isn't due.
 */
import type { Store } from "../persistence/store.ts";
import type { Clock } from "../steps/ports.ts";
import { PeriodicTask } from "./periodic-task.ts";
import type { Log } from "./telemetry.ts";

const LOOK_EVERY_MS = 10_000;
/** An answer that took longer says too little: it may be from the beginning of that time or from its end. */
const ANSWER_MAX_MS = 500;
/** Before its start a process waits for a quick one; where there is none it begins with what it knows. */
const FIRST_TRIES_MAX = 5;
/** Of this machine's clock: beyond it logs of several machines are hard to read side by side. */
const OFFSET_TOLD_MS = 1_000;

export interface StoreClockDeps {
  readonly store: Pick<Store, "now">;
  /** This machine's. */
  readonly clock: Clock;
  readonly log: Pick<Log, "warn">;
}

export class StoreClock implements Clock {
  private readonly looks: PeriodicTask;
  /** Null: not asked yet. Counted on by the monotonic clock, so that setting this machine's clock changes nothing. */
  private known: { readonly storeTime: number; readonly monotonic: number } | null = null;
  private isOffsetTold = false;

  constructor(private readonly deps: StoreClockDeps) {
    this.looks = new PeriodicTask({
      ...deps,
      pauseMs: LOOK_EVERY_MS,
      work: async () => void (await this.look()),
      failureMessage: "The database was not heard telling the time; it is asked again",
    });
  }

  /** Resolves when the database has told its time; rejects when it can't be asked. */
  async start(): Promise<void> {
    for (let tries = 1; !(await this.look()) && tries < FIRST_TRIES_MAX;) tries++;
    this.looks.start("after a pause");
  }

  /** Resolves when the look that is under way has ended. Safe twice and before start. */
  stop(): Promise<void> {
    return this.looks.stop();
  }

  now(): number {
    if (this.known === null) return this.deps.clock.now();
    return Math.round(this.known.storeTime + this.monotonic() - this.known.monotonic);
  }

  monotonic(): number {
    return this.deps.clock.monotonic();
  }

  after(delayMs: number, run: () => void): () => void {
    return this.deps.clock.after(delayMs, run);
  }

  /** How far this machine's clock is ahead of the database's, in milliseconds; 0 until it was asked. */
  get offsetMs(): number {
    return this.known === null ? 0 : this.deps.clock.now() - this.now();
  }

  /** False: the answer was slow, and is believed only where it shows that what is known is wrong. */
  private async look(): Promise<boolean> {
    const askedAt = this.monotonic();
    const storeTime = await this.deps.store.now();
    const tookMs = this.monotonic() - askedAt;
    const isQuick = tookMs <= ANSWER_MAX_MS;
    if (!isQuick && this.agrees(storeTime, tookMs)) return false;
    this.known = { storeTime, monotonic: askedAt + tookMs / 2 };
    this.tellOffset();
    return isQuick;
  }

  /** What is known, and is as wrong as a quick answer can be, may be right by one that was on its way for so long. */
  private agrees(storeTime: number, tookMs: number): boolean {
    if (this.known === null) return false;
    const sinceMs = this.now() - storeTime;
    return sinceMs >= -ANSWER_MAX_MS && sinceMs <= tookMs + ANSWER_MAX_MS;
  }

  /** Once, and again when it comes back. */
  private tellOffset(): void {
    const { offsetMs } = this;
    const isApart = Math.abs(offsetMs) > OFFSET_TOLD_MS;
    if (isApart && !this.isOffsetTold) {
      this.deps.log.warn({ offsetMs }, "This machine's clock is not the database's, by which timers go; set it by NTP");
    }
    this.isOffsetTold = isApart;
  }
}
