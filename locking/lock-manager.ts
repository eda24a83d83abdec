/**
 * The specification's Distributed Lock Manager (DLM): "prevents concurrent execution, manages lock
 * acquisition, handles lock timeouts". It makes conflicts cheap; correctness never rests on it, because
 * a lock can lapse in the middle of a write. The fence that writes check is issued by the store.
 */
export interface LockManager {
  /**
   * All keys or none. Re-entrant: the holder acquires again and keeps its tokens. A free or expired
   * key gets a token greater than every earlier one of that key, across release and expiry.
   */
  acquire(keys: readonly string[], owner: string, ttlMs: number): Promise<AcquireResult>;
  /** Prolongs all; false when any had expired or is another's, and then nothing was prolonged. */
  renew(keys: readonly string[], owner: string, ttlMs: number): Promise<boolean>;
  /** Releases only the owner's own; returns how many. */
  release(keys: readonly string[], owner: string): Promise<number>;
  /** Readiness: resolves when the lock service answers. */
  ping(): Promise<void>;
  /** Closes connections. Safe twice. */
  stop(): Promise<void>;
}

export type AcquireResult =
  | { readonly kind: "acquired"; readonly tokens: Readonly<Record<string, number>> }
  /** Someone else holds `key` for `remainingMs` more. Nothing was taken. */
  | { readonly kind: "busy"; readonly key: string; readonly remainingMs: number };
