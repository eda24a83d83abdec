/**
 * Holds the DLM's locks of the checkouts that this node runs, and renews them. Locks make conflicts cheap;
 * the fence keeps writes right. So when the lock service is down we go on under the fence alone, and say so.
 */
import { TransientError } from "../machines/errors.ts";
import type { LockManager } from "../locking/lock-manager.ts";
import type { Clock } from "../steps/ports.ts";
import { PeriodicTask } from "./periodic-task.ts";
import type { Counters, Log } from "./telemetry.ts";

const LOCK_TTL_MS = 30_000;
const RENEW_MS = LOCK_TTL_MS / 3;

export interface LockKeeperDeps {
  readonly locks: LockManager;
  readonly clock: Clock;
  readonly log: Log;
  readonly counters: Counters;
}

export class LockKeeper {
  private readonly held = new Map<string, readonly string[]>();
  private readonly renewal: PeriodicTask;

  constructor(private readonly deps: LockKeeperDeps) {
    const { clock, log } = deps;
    const failureMessage = "The locks could not be renewed; they are renewed again";
    this.renewal = new PeriodicTask({ clock, log, pauseMs: RENEW_MS, work: () => this.renewAll(), failureMessage });
  }

  start(): void {
    this.renewal.start();
  }

  /** Safe twice and before start. Locks that are still held lapse by themselves; a service that hangs isn't waited for. */
  stop(): void {
    void this.renewal.stop();
  }

  /** All of the context's locks, re-entrantly; TransientError `LOCKED` while another holds one. */
  async hold(executionContextId: string, paymentGroupIds: readonly string[]): Promise<Readonly<Record<string, number>>> {
    const keys = [executionContextId, ...paymentGroupIds];
    try {
      const result = await this.deps.locks.acquire(keys, executionContextId, LOCK_TTL_MS);
      if (result.kind === "busy") {
        throw new TransientError("LOCKED", `${result.key} is locked by another checkout.`, {
          retryAfterMs: Math.max(1, Math.min(result.remainingMs, LOCK_TTL_MS)),
          details: { key: result.key },
        });
      }
      this.held.set(executionContextId, keys);
      return result.tokens;
    } catch (error) {
      if (error instanceof TransientError && error.code === "LOCKED") throw error;
      this.deps.counters.add("locks_unavailable");
      this.deps.log.warn(
        { executionContextId, err: error },
        "The lock manager does not answer; the checkout goes on under its fence alone",
      );
      return {};
    }
  }

  /** Gives the context's locks back, where it holds any. Never throws: what is not released lapses. */
  async release(executionContextId: string): Promise<void> {
    const keys = this.held.get(executionContextId);
    if (keys === undefined) return;
    this.held.delete(executionContextId);
    try {
      const released = await this.deps.locks.release(keys, executionContextId);
      if (released < keys.length) this.deps.counters.add("locks_lost");
    } catch (error) {
      this.deps.log.warn({ executionContextId, err: error }, "The locks could not be released; they lapse by themselves");
    }
  }

  /** This node's checkouts are another's now: their locks are not prolonged any more, and lapse. */
  forgetAll(): void {
    this.held.clear();
  }

  private async renewAll(): Promise<void> {
    for (const [executionContextId, keys] of this.held) {
      const isRenewed = await this.deps.locks.renew(keys, executionContextId, LOCK_TTL_MS).catch(() => null);
      if (isRenewed === true || this.held.get(executionContextId) !== keys) continue;
      if (isRenewed === false) this.deps.counters.add("locks_lost");
      // The lock lapsed or its service was flushed: try to have it again; the fence protects us meanwhile.
      await this.hold(executionContextId, keys.slice(1)).catch((error: unknown) => {
        this.deps.log.warn({ executionContextId, err: error }, "A lock was lost to another checkout; the fence decides");
      });
    }
  }
}
