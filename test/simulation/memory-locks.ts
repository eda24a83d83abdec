/** The lock service in memory, by its contract (locking/lock-manager.ts); it may lose everything, as a cache does. */
import { checkTtl, inLockOrder } from "../../locking/lock-keys.ts";
import type { AcquireResult, LockManager } from "../../locking/lock-manager.ts";
import type { Clock } from "../../steps/ports.ts";

interface HeldLock {
  readonly owner: string;
  readonly until: number;
  readonly token: number;
}

export class MemoryLocks implements LockManager {
  readonly #locks = new Map<string, HeldLock>();
  readonly #lastTokens = new Map<string, number>();

  constructor(private readonly clock: Pick<Clock, "now">) {}

  /** As after a flush: nobody holds anything. */
  forgetAll(): void {
    this.#locks.clear();
  }

  async acquire(keys: readonly string[], owner: string, ttlMs: number): Promise<AcquireResult> {
    checkTtl(ttlMs);
    const now = this.clock.now();
    const ordered = inLockOrder(keys);
    const taken = ordered
      .map((key) => ({ key, lock: this.#held(key) }))
      .find(({ lock }) => lock !== null && lock.owner !== owner);
    if (taken?.lock) return { kind: "busy", key: taken.key, remainingMs: taken.lock.until - now };
    const tokens = ordered.map((key) => {
      const token = this.#held(key)?.token ?? (this.#lastTokens.get(key) ?? 0) + 1;
      this.#lastTokens.set(key, token);
      this.#locks.set(key, { owner, until: now + ttlMs, token });
      return [key, token] as const;
    });
    return { kind: "acquired", tokens: Object.fromEntries(tokens) };
  }

  async renew(keys: readonly string[], owner: string, ttlMs: number): Promise<boolean> {
    checkTtl(ttlMs);
    const held = inLockOrder(keys).map((key) => ({ key, lock: this.#held(key) }));
    if (held.some(({ lock }) => lock?.owner !== owner)) return false;
    for (const { key, lock } of held) if (lock !== null) this.#locks.set(key, { ...lock, until: this.clock.now() + ttlMs });
    return true;
  }

  async release(keys: readonly string[], owner: string): Promise<number> {
    const own = inLockOrder(keys).filter((key) => this.#held(key)?.owner === owner);
    for (const key of own) this.#locks.delete(key);
    return own.length;
  }

  async ping(): Promise<void> {}

  async stop(): Promise<void> {}

  #held(key: string): HeldLock | null {
    const lock = this.#locks.get(key);
    return lock !== undefined && lock.until > this.clock.now() ? lock : null;
  }
}
