/** Who hears of committed transitions: watchers of everything, and clients who wait for one checkout's answer. */
import type { StoredAnswer } from "../persistence/store.ts";
import type { Clock } from "../steps/ports.ts";
import type { Log } from "./telemetry.ts";
import type { TransitionNotice } from "./transition-notice.ts";

export class Audience {
  private readonly watchers = new Set<(notice: TransitionNotice) => void>();
  private readonly waiters = new Map<string, Set<(answer: StoredAnswer | null) => void>>();

  constructor(private readonly deps: { readonly clock: Clock; readonly log: Log }) {}

  watch(watcher: (notice: TransitionNotice) => void): () => void {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  }

  /** The answer that a commit of this node gives from now on, or null after `waitMs`. */
  nextAnswer(id: string, waitMs: number): Promise<StoredAnswer | null> {
    return new Promise((resolve) => {
      const waiting = this.waiters.get(id) ?? new Set();
      this.waiters.set(id, waiting);
      const settle = (answer: StoredAnswer | null) => {
        cancel();
        waiting.delete(settle);
        if (waiting.size === 0) this.waiters.delete(id);
        resolve(answer);
      };
      const cancel = this.deps.clock.after(waitMs, () => settle(null));
      waiting.add(settle);
    });
  }

  /** This node gives the checkout up: whoever waits for its answer must look for it elsewhere. */
  interrupt(id: string): void {
    for (const settle of this.waiters.get(id) ?? []) settle(null);
  }

  /** Resolves at this node's next commit of this checkout, or after `waitMs`. */
  nextTransition(id: string, waitMs: number): Promise<void> {
    return new Promise((resolve) => {
      const settle = () => {
        cancel();
        stop();
        resolve();
      };
      const stop = this.watch((notice) => void (notice.executionContextId === id && settle()));
      const cancel = this.deps.clock.after(waitMs, settle);
    });
  }

  announce(notice: TransitionNotice, answer: StoredAnswer | null): void {
    if (answer !== null) for (const settle of this.waiters.get(notice.executionContextId) ?? []) settle(answer);
    for (const watcher of this.watchers) {
      try {
        watcher(notice);
      } catch (error) {
        // A watcher's trouble is not the checkout's.
        this.deps.log.warn({ err: error }, "A watcher failed");
      }
    }
  }
}
