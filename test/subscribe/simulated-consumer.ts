/**
 * A stream with one durable pull consumer, as JetStream's: whoever asks gets the next messages, and those first that are due
 * again. An acknowledgement is for the message, whichever of its deliveries it answers.
 */
import type { VirtualClock } from "../simulation/virtual-clock.ts";

export interface Stored {
  /** In the stream, from 1. */
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
  readonly storedAt: number;
}

/** What one process asked for. */
export interface PullRequest {
  left: number;
  readonly deliver: (stored: Stored, deliveryCount: number) => void;
}

interface Pending {
  deliveries: number;
  /** Cancels its return. */
  cancel: () => void;
}

export class SimulatedConsumer {
  readonly stored: Stored[] = [];
  readonly #filter: (subject: string) => boolean;
  /** Delivered and not acknowledged. */
  readonly #pending = new Map<number, Pending>();
  /** By their numbers, what the filter lets through and nobody acknowledged. */
  readonly unacknowledged = new Map<number, Stored>();
  #again: number[] = [];
  #requests: PullRequest[] = [];
  #delivered = 0;

  constructor(
    private readonly clock: VirtualClock,
    filter: string,
    private readonly ackWaitMs: number,
  ) {
    this.#filter = matcherOf(filter);
  }

  publish(subject: string, data: Uint8Array): void {
    const stored = { seq: this.stored.length + 1, subject, data, storedAt: this.clock.monotonic() };
    this.stored.push(stored);
    if (this.#filter(subject)) this.unacknowledged.set(stored.seq, stored);
    this.#serve();
  }

  /** The first of such a subject at `seq` or after it. */
  next(seq: number, subject: string): Stored | null {
    const matches = matcherOf(subject);
    return this.stored.find((stored) => stored.seq >= seq && matches(stored.subject)) ?? null;
  }

  ask(request: PullRequest): void {
    this.#requests.push(request);
    this.#serve();
  }

  withdraw(request: PullRequest): void {
    this.#requests = this.#requests.filter((other) => other !== request);
  }

  acknowledge(seq: number): void {
    this.#pending.get(seq)?.cancel();
    this.#pending.delete(seq);
    this.#again = this.#again.filter((other) => other !== seq);
    this.unacknowledged.delete(seq);
  }

  refuse(seq: number, delayMs: number): void {
    if (!this.#again.includes(seq)) this.#returnAfter(seq, delayMs);
  }

  working(seq: number): void {
    if (!this.#again.includes(seq)) this.#returnAfter(seq, this.ackWaitMs);
  }

  #returnAfter(seq: number, ms: number): void {
    const pending = this.#pending.get(seq);
    if (pending === undefined) return;
    pending.cancel();
    pending.cancel = this.clock.after(ms, () => {
      this.#again.push(seq);
      this.#serve();
    });
  }

  /** In turn, where several ask. */
  #serve(): void {
    for (;;) {
      const [request] = this.#requests;
      const stored = request === undefined ? undefined : this.#due();
      if (request === undefined || stored === undefined) return;
      const pending = this.#pending.get(stored.seq) ?? { deliveries: 0, cancel: () => {} };
      pending.deliveries++;
      this.#pending.set(stored.seq, pending);
      this.#returnAfter(stored.seq, this.ackWaitMs);
      this.#requests.shift();
      if (--request.left > 0) this.#requests.push(request);
      request.deliver(stored, pending.deliveries);
    }
  }

  #due(): Stored | undefined {
    const again = this.#again.shift();
    if (again !== undefined) return this.stored[again - 1];
    while (this.#delivered < this.stored.length) {
      const stored = this.stored[this.#delivered++];
      if (stored !== undefined && this.#filter(stored.subject)) return stored;
    }
    return undefined;
  }
}

/** A filter of NATS, with `*` for one word. */
function matcherOf(filter: string): (subject: string) => boolean {
  const pattern = new RegExp(`^${filter.replaceAll(".", "\\.").replaceAll("*", "[^.]+")}$`);
  return (subject) => pattern.test(subject);
}
