/** A subscriber's own database: the effect and the position change together, or not at all. */
import type { Progress } from "../../subscribe/progress.ts";
import type { Way } from "./simulated-way.ts";

export class Refused extends Error {}

export class SimulatedDatabase {
  /** Transactions that were. */
  refused = 0;
  readonly #positions = new Map<string, number>();

  /** As one process reaches it. */
  by(way: Way): Progress {
    return {
      last: (checkout) => way.call(() => this.at(checkout)),
      advance: (checkout, from, to) =>
        way.call(() => {
          if (this.at(checkout) === from) this.#positions.set(checkout, to);
          return this.at(checkout);
        }),
    };
  }

  /** One transaction. */
  commit(checkout: string, from: number, to: number, effect: () => void): void {
    const stands = this.at(checkout);
    if (stands !== from) {
      this.refused++;
      throw new Refused(`${checkout} stands at ${stands}, not at ${from}`);
    }
    this.#positions.set(checkout, to);
    effect();
  }

  at(checkout: string): number {
    return this.#positions.get(checkout) ?? 0;
  }
}
