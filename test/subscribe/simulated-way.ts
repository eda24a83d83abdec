/** A process's way to everything outside it: what it asks arrives late, twice never, or not at all, and so do the answers. */
import { pause } from "../../subscribe/clock.ts";
import type { Life } from "../simulation/life.ts";
import type { VirtualClock } from "../simulation/virtual-clock.ts";
import type { Faults } from "./simulated-faults.ts";

/** The client gives up waiting for an answer then. */
const ANSWER_MAX_MS = 5_000;
const SLOW_MAX_MS = 4_000;
const QUICK_MAX_MS = 10;

export class Unanswered extends Error {}

/** Who is told when a process ends. */
export interface Fate {
  killed(): void;
  /** Somebody asks it to end, cleanly. */
  asked(): void;
}

export class Way {
  constructor(
    readonly life: Life,
    readonly clock: VirtualClock,
    readonly faults: Faults,
    private readonly pauseMaxMs: number,
    private readonly fate: Fate,
  ) {}

  /** One of the points at which a process dies or stands still; it does not notice before it next waits for something. */
  strike(): void {
    const { life, clock, faults } = this;
    if (!life.isActing) return;
    if (faults.strikes("process: killed")) {
      life.kill();
      this.fate.killed();
    } else if (faults.strikes("process: paused")) {
      life.pause();
      clock.after(faults.draw() * this.pauseMaxMs, () => life.resume());
    } else if (faults.strikes("process: stopped")) life.clock(clock).after(0, () => this.fate.asked());
  }

  async step(): Promise<void> {
    this.strike();
    await this.life.turn();
  }

  /** Atomic at the other end. `isDown`: asked when it arrives there. */
  async call<Value>(act: () => Value, isDown: () => boolean = () => false): Promise<Value> {
    await this.step();
    try {
      return await this.#exchange(act, isDown);
    } finally {
      await this.step();
    }
  }

  /** What was sent goes on without the process. */
  async #exchange<Value>(act: () => Value, isDown: () => boolean): Promise<Value> {
    const { clock, faults } = this;
    const sentAt = clock.monotonic();
    const isRequestLost = faults.strikes("call: request lost");
    const isReplyLost = faults.strikes("call: reply lost");
    await pause(clock, this.latencyMs());
    if (!isRequestLost && !isDown()) {
      const value = act();
      if (!isReplyLost) {
        await pause(clock, this.latencyMs());
        return value;
      }
    }
    await pause(clock, sentAt + ANSWER_MAX_MS - clock.monotonic());
    throw new Unanswered(`no answer within ${ANSWER_MAX_MS} ms`);
  }

  /** Of one direction; slow ones may be behind those that are sent later. */
  latencyMs(): number {
    const { faults } = this;
    return faults.draw() * (faults.strikes("call: slow") ? SLOW_MAX_MS : QUICK_MAX_MS);
  }
}
