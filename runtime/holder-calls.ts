/** An event may reach any node; the one that runs its checkout is called at once, and doesn't find it at its next look only. */
import type { InboxCalls, Listening } from "../persistence/inbox-calls.ts";
import type { Clock } from "../steps/ports.ts";
import { PeriodicTask } from "./periodic-task.ts";
import type { Log } from "./telemetry.ts";

/** How long a connection that fell silent stays unnoticed. */
const CHECK_EVERY_MS = 5_000;

export interface HolderCallsDeps {
  readonly calls: InboxCalls;
  readonly clock: Clock;
  readonly log: Pick<Log, "warn">;
  readonly heard: (contextId: string) => void;
}

export class HolderCalls {
  private readonly checks: PeriodicTask;
  private listening: Listening | null = null;
  private isStopped = false;

  constructor(private readonly deps: HolderCallsDeps) {
    this.checks = new PeriodicTask({
      ...deps,
      pauseMs: CHECK_EVERY_MS,
      work: () => this.check(),
      failureMessage: "Calls of other nodes are not heard; their events are found a little later, and listening is tried again",
    });
  }

  start(): void {
    this.checks.start();
  }

  /** Safe twice and before start. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.leave();
    await this.checks.stop();
  }

  /** Never throws: whoever isn't called looks by itself. */
  async call(contextId: string): Promise<void> {
    await this.deps.calls.call(contextId).catch((error: unknown) => {
      this.deps.log.warn({ executionContextId: contextId, err: error }, "The node that runs it could not be called");
    });
  }

  private async check(): Promise<void> {
    try {
      await this.listening?.ping();
    } catch {
      this.leave();
    }
    this.listening ??= await this.deps.calls.listen(this.deps.heard);
    if (this.isStopped) this.leave();
  }

  private leave(): void {
    this.listening?.end();
    this.listening = null;
  }
}
