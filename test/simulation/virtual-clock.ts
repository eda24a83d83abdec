/** Time that moves only when it is told to. Timers ring in the order of their due times, then of their setting. */
import type { Clock } from "../../steps/ports.ts";

const BEGINNING = Date.UTC(2027, 0, 8, 10);
/** Timers that ring in one go; more of them means that one sets itself again without a delay. */
const RINGS_MAX = 1_000_000;

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

export class VirtualClock implements Clock {
  #now: number;
  /** By their due times; of equal ones the earlier set comes first. */
  readonly #timers: Timer[] = [];

  constructor(now = BEGINNING) {
    this.#now = now;
  }

  now(): number {
    return this.#now;
  }

  /** Never the time of day: whoever takes one for the other is found out. */
  monotonic(): number {
    return this.#now - BEGINNING;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, delayMs), run };
    let place = this.#timers.length;
    for (let before = this.#timers[place - 1]; before !== undefined && before.at > timer.at; before = this.#timers[place - 1]) {
      place--;
    }
    this.#timers.splice(place, 0, timer);
    return () => {
      const found = this.#timers.indexOf(timer);
      if (found >= 0) this.#timers.splice(found, 1);
    };
  }

  /** Rings whatever is due within `byMs`; before and after each, everything that waits for promises alone runs. */
  async advance(byMs: number): Promise<void> {
    const until = this.#now + byMs;
    await this.#ringUntil(until, () => false);
    this.#now = until;
  }

  /** Lets time go on until `isReached`, looked at after each timer; false = not within `limitMs`. */
  async runUntil(isReached: () => boolean, limitMs: number): Promise<boolean> {
    const until = this.#now + limitMs;
    await this.#ringUntil(until, isReached);
    if (!isReached()) this.#now = until;
    return isReached();
  }

  /** Lets time go on until no timer is left; false = some are, after `limitMs`. */
  runUntilIdle(limitMs: number): Promise<boolean> {
    return this.runUntil(() => this.#timers.length === 0, limitMs);
  }

  async #ringUntil(until: number, isReached: () => boolean): Promise<void> {
    await settled();
    for (let rings = 0; !isReached(); rings++) {
      const [next] = this.#timers;
      if (next === undefined || next.at > until) return;
      if (rings === RINGS_MAX) throw new Error(`${RINGS_MAX} timers rang and there is no end`);
      this.#timers.shift();
      this.#now = Math.max(this.#now, next.at);
      next.run();
      await settled();
    }
  }
}

/** Resolves when everything that waited for promises alone has run. */
function settled(): Promise<void> {
  return new Promise((resume) => setImmediate(resume));
}
