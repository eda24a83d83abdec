/** What a walk's nodes did, seen from outside: what is durable, what was published, and what must never have happened. */
import { canonicalJson } from "../../machines/canonical-json.ts";
import type { CloudEvent } from "../../messaging/bus.ts";
import type { Commit, CommitResult } from "../../persistence/store.ts";
import { idle } from "../support/ports.ts";

/** Far more than nodes ever ask of their store for one event: who asks more goes round in a circle, and would for ever. */
const CALLS_AT_ONCE_MAX = 1_000;

/** Outlives every node. */
export class Chronicle {
  readonly breaches: string[] = [];
  /** The newest one that anybody went on with. */
  fence = 0;
  readonly #calls = { count: 0, atOnce: 0, wake: () => {} };

  constructor(
    /** The checkout's newest durable entry. */
    public seq = 1,
    /** How many events are durable. */
    public events = 0,
    readonly heard: CloudEvent[] = [],
  ) {}

  copy(): Chronicle {
    return new Chronicle(this.seq, this.events, [...this.heard]);
  }

  breach(line: string): void {
    this.breaches.push(line);
  }

  async track<Value>(call: Promise<Value>): Promise<Value> {
    if (++this.#calls.atOnce === CALLS_AT_ONCE_MAX) this.breach(`it asked its store ${CALLS_AT_ONCE_MAX} times at once`);
    if (this.#calls.atOnce >= CALLS_AT_ONCE_MAX) return new Promise(() => {});
    this.#calls.count++;
    try {
      return await call;
    } finally {
      if (--this.#calls.count === 0) this.#calls.wake();
    }
  }

  /** Resolves when no call is under way and nothing waits for promises alone. */
  async settled(): Promise<void> {
    for (;;) {
      await idle();
      this.#calls.atOnce = 0;
      if (this.#calls.count === 0) return;
      await new Promise<void>((wake) => (this.#calls.wake = wake));
    }
  }

  applied({ entry, events, fence }: Commit, result: CommitResult | undefined): void {
    if (result?.kind !== "applied") return;
    if (entry.seq !== this.seq + 1) this.breach(`entry ${entry.seq} was stored after ${this.seq}`);
    if (fence < this.fence) this.breach(`entry ${entry.seq} was stored under the fence ${fence}, after ${this.fence}`);
    this.seq = entry.seq;
    this.events += events.length;
  }

  /** Published: perhaps not for the first time, but never before its turn. */
  published(event: CloudEvent): void {
    const first = this.heard.find(({ id }) => id === event.id);
    const next = 1 + Math.max(0, ...this.heard.map(({ seq }) => seq));
    if (event.seq > this.events) this.breach(`${event.type} was published before its commit`);
    if (first === undefined && event.seq !== next) this.breach(`event ${event.seq} was published instead of ${next}`);
    if (first !== undefined && canonicalJson(first) !== canonicalJson(event)) {
      this.breach(`${event.id} was published as ${canonicalJson(first)}, then as ${canonicalJson(event)}`);
    }
    this.heard.push(event);
  }
}
