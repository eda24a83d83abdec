/** Whether a node acts. What it asked of others while it was alive goes on without it. */
import type { Clock } from "../../steps/ports.ts";

export class Life {
  #isDead = false;
  /** Null = it acts. */
  #waiting: (() => void)[] | null = null;

  get isActing(): boolean {
    return !this.#isDead && this.#waiting === null;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** From now on its timers don't ring and nobody answers it: it learns nothing more and writes nothing. */
  kill(): void {
    this.#isDead = true;
  }

  /** As SIGSTOP: it stands still in the middle of whatever it does, and knows nothing of it. */
  pause(): void {
    this.#waiting ??= [];
  }

  resume(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const goOn of waiting) goOn();
  }

  /** Resolves when the node goes on; never, once it is dead. */
  async turn(): Promise<void> {
    // A promise of its own: a shared one would keep everything that ever waited for it.
    if (this.#isDead) return new Promise<never>(() => {});
    const waiting = this.#waiting;
    if (waiting === null) return;
    await new Promise<void>((goOn) => waiting.push(goOn));
    return this.turn();
  }

  /** The node's own look at time. */
  clock(clock: Clock): Clock {
    return {
      now: () => clock.now(),
      monotonic: () => clock.monotonic(),
      after: (delayMs, run) => {
        let isCancelled = false;
        const cancel = clock.after(delayMs, () => {
          if (this.isActing) run();
          else void this.turn().then(() => isCancelled || run());
        });
        return () => {
          isCancelled = true;
          cancel();
        };
      },
    };
  }
}
