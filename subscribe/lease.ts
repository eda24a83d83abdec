/** Which of the processes that share a durable name is the active one: key `lease.<durable>` of the bucket. */
import { randomUUID } from "node:crypto";
import type { Bucket, Entry } from "./bucket.ts";
import { pause, type Clock } from "./clock.ts";
import { SubscriptionError } from "./errors.ts";

/** The holder stops trusting its lease so much earlier than another may take it: clocks run at nearly the same speed, not at the same. */
const TRUSTED_SHARE = 0.9;
const RENEWALS_PER_TTL = 3;
const LOOKS_PER_TTL = 5;

/**
 * No clocks are compared: the holder writes the key three times a `ttlMs`, and whoever saw one revision stand for a whole
 * `ttlMs` of its own clock takes it by compare-and-set. A holder trusts its lease from the moment that it sent the last
 * write that succeeded, which is before anybody saw it.
 */
export class Lease {
  readonly #me = randomUUID();
  #revision = 0;
  #term = new AbortController();
  #unwatch = () => {};
  #trustedUntil = 0;

  constructor(
    private readonly bucket: Bucket,
    private readonly clock: Clock,
    private readonly key: string,
    private readonly ttlMs: number,
    private readonly onError: (error: unknown) => void,
  ) {
    this.#term.abort();
  }

  /** By the clock, not by a timer: a process that was paused must not begin anything when it wakes. */
  get isTrusted(): boolean {
    return !this.#term.signal.aborted && this.clock.monotonic() < this.#trustedUntil;
  }

  /** Aborted when the lease that was acquired last is no longer ours, or may not be. */
  get term(): AbortSignal {
    return this.#term.signal;
  }

  /** Resolves when the lease is ours; rejects when the signal is aborted. */
  async acquire(signal: AbortSignal): Promise<void> {
    let [seenRevision, seenAtMs] = [-1, 0];
    for (;;) {
      try {
        const entry = await this.bucket.get(this.key);
        const revision = entry?.revision ?? 0;
        // A bucket that had to be made anew counts from 1 again.
        this.#revision = Math.min(this.#revision, revision);
        if (seenRevision !== revision) [seenRevision, seenAtMs] = [revision, this.clock.monotonic()];
        const holder = holderOf(entry);
        const isFree = holder === "" || holder === this.#me || this.clock.monotonic() - seenAtMs >= this.ttlMs;
        if (isFree && (await this.#write(revision))) {
          this.#begin();
          if (!signal.aborted) return;
          // Nobody waits for it any more: kept, it would keep every other process from it.
          await this.release();
        }
      } catch (error) {
        this.onError(error);
      }
      await pause(this.clock, this.ttlMs / LOOKS_PER_TTL, signal);
    }
  }

  /** So that another need not wait. Safe twice, and when it is not ours. */
  async release(): Promise<void> {
    const isHeld = !this.#term.signal.aborted;
    this.#end("It was given up.");
    if (isHeld) await this.bucket.put(this.key, "", this.#revision).catch(this.onError);
  }

  #begin(): void {
    this.#term = new AbortController();
    void this.#renew(this.#term.signal);
  }

  async #renew(term: AbortSignal): Promise<void> {
    this.#watch();
    while (!term.aborted) {
      try {
        await pause(this.clock, this.ttlMs / RENEWALS_PER_TTL, term);
        const isOurs = (await this.#write(this.#revision)) || ((await this.#adopt()) && (await this.#write(this.#revision)));
        if (term.aborted) return;
        if (isOurs) this.#watch();
        else this.#end("Another process took it.");
      } catch (error) {
        if (!term.aborted) this.onError(error);
      }
    }
  }

  /** False: the key stands elsewhere. */
  async #write(revision: number): Promise<boolean> {
    const sentAt = this.clock.monotonic();
    const written = await this.bucket.put(this.key, this.#me, revision);
    if (written === null) return false;
    // The answer to an older write may come after that to a newer one.
    if (written > this.#revision) {
      this.#revision = written;
      this.#trustedUntil = sentAt + this.ttlMs * TRUSTED_SHARE;
    }
    return true;
  }

  /** A write of ours whose answer was lost left another revision, with our name. */
  async #adopt(): Promise<boolean> {
    const entry = await this.bucket.get(this.key);
    if (entry === null || holderOf(entry) !== this.#me) return false;
    this.#revision = entry.revision;
    return true;
  }

  #watch(): void {
    this.#unwatch();
    const leftMs = this.#trustedUntil - this.clock.monotonic();
    this.#unwatch = this.clock.after(leftMs, () => this.#end("It could not be renewed in time."));
  }

  #end(why: string): void {
    this.#unwatch();
    this.#term.abort(new SubscriptionError("LEASE_LOST", `This process is no longer the active one: ${why}`));
  }
}

function holderOf(entry: Entry | null): string {
  return entry?.value ?? "";
}
