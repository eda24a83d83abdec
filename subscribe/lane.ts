/** What one process holds of one checkout: events in their order, and what stands in their way. */
import type { JsMsg } from "@nats-io/jetstream";
import type { CloudEvent } from "../messaging/bus.ts";

export interface Held {
  readonly message: JsMsg;
  readonly event: CloudEvent;
  readonly position: number;
}

export interface Failed {
  readonly position: number;
  /** Rejections that this process saw itself. */
  readonly times: number;
  readonly isTold: boolean;
}

export interface GapState {
  /** The first that is missing. */
  readonly position: number;
  readonly sinceMs: number;
  readonly times: number;
  readonly tellAtMs: number;
}

export class Lane {
  /** Position of the last handled event; null = to be read. */
  last: number | null = null;
  failed: Failed | null = null;
  gap: GapState | null = null;
  /** Which of this process's leases what it knows is from. */
  term = 0;
  state: "resting" | "ready" | "running" = "resting";
  /** Cancels the look that is set. */
  unset = () => {};
  lookMs = 0;
  #held: readonly Held[] = [];

  constructor(readonly checkout: string) {}

  get size(): number {
    return this.#held.length;
  }

  get held(): readonly Held[] {
    return this.#held;
  }

  get next(): Held | undefined {
    return this.#held[0];
  }

  /** Something earlier has to come first. */
  get isBlocked(): boolean {
    return this.state === "resting" && (this.failed !== null || this.gap !== null);
  }

  /** A redelivery takes the place of the delivery that it repeats. */
  add(held: Held): void {
    const others = this.#held.filter(({ message }) => message.seq !== held.message.seq);
    this.#held = [...others, held].sort((a, b) => a.position - b.position || a.message.seq - b.message.seq);
  }

  /** Takes them out, duplicates of the same event included. */
  takeUpTo(position: number): readonly Held[] {
    const taken = this.#held.filter((held) => held.position <= position);
    this.#held = this.#held.filter((held) => held.position > position);
    return taken;
  }

  /** What is running stays: its handler ends first. */
  takeWaiting(): readonly Held[] {
    const running = this.state === "running" ? this.#held[0] : undefined;
    const taken = this.#held.filter((held) => held !== running);
    this.#held = running === undefined ? [] : [running];
    return taken;
  }

  forget(): void {
    this.unset();
    this.last = this.failed = this.gap = null;
    this.lookMs = 0;
  }
}
