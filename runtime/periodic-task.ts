/** Work that is repeated for as long as the node runs: never beside itself, and again after a failure. */
import type { Clock } from "../steps/ports.ts";
import type { Log } from "./telemetry.ts";

export interface PeriodicTaskDeps {
  readonly clock: Clock;
  readonly log: Pick<Log, "warn">;
  /** From the end of one run to the beginning of the next. */
  readonly pauseMs: number;
  /** "again": there is more to do, and the next run begins at once. */
  readonly work: () => Promise<"again" | void>;
  /** Logged, with the error, when the work fails. */
  readonly failureMessage: string;
}

export class PeriodicTask {
  private cancelRun: () => void = () => {};
  private current: Promise<void> = Promise.resolve();
  private isStopped = false;

  constructor(private readonly deps: PeriodicTaskDeps) {}

  /** The first run begins at once, or after a pause for whoever has done it already. Once stopped it stays so. */
  start(begins: "at once" | "after a pause" = "at once"): void {
    this.schedule(begins === "at once" ? 0 : this.deps.pauseMs);
  }

  /** Resolves when the run that is under way has ended. Safe twice and before start. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.cancelRun();
    await this.current;
  }

  private schedule(delayMs: number): void {
    if (this.isStopped) return;
    const { clock, log, pauseMs, work, failureMessage } = this.deps;
    this.cancelRun = clock.after(delayMs, () => {
      this.current = work()
        .catch((error: unknown) => log.warn({ err: error }, failureMessage))
        .then((next) => this.schedule(next === "again" ? 0 : pauseMs));
    });
  }
}
