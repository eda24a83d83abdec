/** How far a subscriber is, per checkout: what makes of at-least-once delivery a handling that happens once. */
import { Recent } from "../messaging/recent.ts";
import type { Bucket } from "./bucket.ts";

/** So many checkouts' revisions are remembered: the next step of one then needs no look at the bucket. */
const REVISIONS_MAX = 10_000;

/**
 * A position is `seq`, or `typeseq` where a single type is subscribed to: 1, 2, 3 … without holes. Whoever keeps it in
 * the database of its own handling writes it inside the handler's transaction (`from` and `to` are in the delivery), and
 * refuses that transaction when it does not stand at `from`: then an event has its effect exactly once, also when two
 * processes believe that they hold it.
 */
export interface Progress {
  /** The position of the last event of this checkout that was handled; 0 = none. Never older than what an advance told. */
  last(checkout: string): Promise<number>;
  /**
   * To `to` where it stands at `from`, atomically; nothing anywhere else. Resolves with what stands now: `to` too when it
   * was there already, because it is repeated after a lost answer, and after a handler that advanced by itself.
   */
  advance(checkout: string, from: number, to: number): Promise<number>;
}

interface Known {
  readonly position: number;
  readonly revision: number;
}

/** The default: key `progress.<durable>.<checkout>` of the bucket, a decimal number. It can't be one transaction with an effect elsewhere. */
export class NatsProgress implements Progress {
  readonly #known = new Recent<Known>(REVISIONS_MAX);

  constructor(
    private readonly bucket: Bucket,
    private readonly durable: string,
  ) {}

  async last(checkout: string): Promise<number> {
    return (await this.#read(checkout)).position;
  }

  async advance(checkout: string, from: number, to: number): Promise<number> {
    const known = this.#known.get(checkout);
    const before = known?.position === from ? known : await this.#read(checkout);
    if (before.position !== from) return before.position;
    const revision = await this.bucket.put(this.#key(checkout), String(to), before.revision);
    if (revision === null) return (await this.#read(checkout)).position;
    this.#known.set(checkout, { position: to, revision });
    return to;
  }

  async #read(checkout: string): Promise<Known> {
    const entry = await this.bucket.get(this.#key(checkout));
    const known = { position: entry === null ? 0 : Number(entry.value), revision: entry?.revision ?? 0 };
    if (!Number.isSafeInteger(known.position)) throw new Error(`${this.#key(checkout)} holds no position. Correct it by hand.`);
    this.#known.set(checkout, known);
    return known;
  }

  #key(checkout: string): string {
    return `progress.${this.durable}.${checkout}`;
  }
}
