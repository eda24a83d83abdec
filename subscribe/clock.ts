/** A subscriber's own time: for waits, and for trust in a lease. Never compared with another process's. */

/** Node's timers take at most this. */
const TIMER_MAX_MS = 2_147_483_647;

export interface Clock {
  /** Milliseconds since some fixed moment of this process, never set back. */
  monotonic(): number;
  /** Calls `run` once after `ms`; the returned function cancels it and is safe to call twice. */
  after(ms: number, run: () => void): () => void;
}

export const systemClock: Clock = {
  monotonic: () => performance.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, Math.min(Math.max(0, ms), TIMER_MAX_MS));
    return () => clearTimeout(timer);
  },
};

/** Rejects with the signal's reason when it is aborted. */
export function pause(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason as Error);
    const abort = () => {
      cancel();
      reject(signal?.reason as Error);
    };
    const cancel = clock.after(ms, () => {
      signal?.removeEventListener("abort", abort);
      resolve();
    });
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** False: it took longer. */
export function isWithin(clock: Clock, ms: number, work: Promise<unknown>): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(ms, () => resolve(false));
    const done = work.then(() => resolve(true), reject);
    void done.finally(cancel);
  });
}
