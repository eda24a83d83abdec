/** What can go wrong between subscribers and their broker, by kind, each with a rate; after `end` nothing does any more. */
import type { Chance } from "../support/chance.ts";

/** The highest rate of each kind: per call, per message, or per point at which a process can die. */
export const FAULT_RATES_MAX = {
  "call: request lost": 0.05,
  "call: reply lost": 0.05,
  "call: slow": 0.05,
  "bucket: down": 0.01,
  "dead letters: down": 0.5,
  "message: doubled": 0.2,
  "message: late": 0.2,
  "message: never": 0.1,
  "delivery: lost": 0.1,
  "delivery: late": 0.2,
  "acknowledgement: lost": 0.2,
  "process: killed": 0.02,
  "process: paused": 0.04,
  "process: stopped": 0.02,
} as const;
export type FaultKind = keyof typeof FAULT_RATES_MAX;
export const FAULT_KINDS = Object.keys(FAULT_RATES_MAX) as FaultKind[];

/** Of a kind that stops something for long, at most so many in a run. */
const TIMES_MAX: Partial<Record<FaultKind, number>> = {
  "bucket: down": 2,
  "process: killed": 3,
  "process: paused": 5,
  "process: stopped": 2,
};

export class Faults {
  readonly counts = new Map<FaultKind, number>();
  readonly #rates: ReadonlyMap<FaultKind, number>;
  #hasEnded = false;

  /** Each kind is off in about half of all runs: a run with few kinds goes deeper into each. */
  constructor(private readonly chance: Chance) {
    this.#rates = new Map(FAULT_KINDS.map((kind) => [kind, chance() < 0.5 ? 0 : FAULT_RATES_MAX[kind] * chance()]));
  }

  strikes(kind: FaultKind): boolean {
    const isDrawn = this.chance() < (this.#rates.get(kind) ?? 0);
    const count = this.counts.get(kind) ?? 0;
    if (!isDrawn || this.#hasEnded || count >= (TIMES_MAX[kind] ?? Number.POSITIVE_INFINITY)) return false;
    this.counts.set(kind, count + 1);
    return true;
  }

  /** Uniform in [0, 1), from the same stream. */
  draw(): number {
    return this.chance();
  }

  end(): void {
    this.#hasEnded = true;
  }
}
