/**
 * Everything that can go wrong in a run, by kind, each with a rate. Every fault that strikes has a number, so that a run
 * can be repeated without some of them; after `end` none strikes any more.
 */
import type { Chance } from "../support/chance.ts";

/** The highest rate of each kind: per call, per event, or per opportunity. */
export const FAULT_RATES_MAX = {
  "store: request lost": 0.02,
  "store: reply lost": 0.02,
  "store: slow": 0.02,
  "participant: request lost": 0.06,
  "participant: reply lost": 0.06,
  "participant: slow": 0.03,
  "participant: never answers": 0.02,
  "participant: refuses": 0.02,
  "participant: down": 0.02,
  "locks: down": 0.1,
  "locks: flushed": 0.02,
  "bus: publication lost": 0.1,
  "bus: acknowledgement lost": 0.1,
  "bus: down": 0.03,
  "node: killed before a call": 0.03,
  "node: killed after a call": 0.03,
  "node: paused": 0.04,
  "event: doubled": 0.3,
  "event: late": 0.3,
  "event: contradicted": 0.2,
  "event: never told": 0.5,
  "refund: sent back": 0.3,
} as const;
export type FaultKind = keyof typeof FAULT_RATES_MAX;

export const FAULT_KINDS = Object.keys(FAULT_RATES_MAX) as FaultKind[];
export type FaultRates = Readonly<Record<FaultKind, number>>;

/** Of a kind that stops something for long, at most so many in a run: a checkout that crashes six nodes is parked. */
const TIMES_MAX: Partial<Record<FaultKind, number>> = {
  "node: killed before a call": 2,
  "node: killed after a call": 2,
  "node: paused": 3,
  "participant: down": 2,
};

/** Each kind is off in about half of all runs: a run with few kinds goes deeper into each. */
export function drawRates(chance: Chance): FaultRates {
  const rates = FAULT_KINDS.map((kind) => [kind, chance() < 0.5 ? 0 : FAULT_RATES_MAX[kind] * chance()]);
  return Object.fromEntries(rates) as FaultRates;
}

export class Faults {
  readonly counts = new Map<FaultKind, number>();
  /** How many have struck, those left out included. */
  struck = 0;
  #hasEnded = false;

  /** `leftOut`: the numbers of faults that don't happen, though their time comes. */
  constructor(
    private readonly rates: FaultRates,
    private readonly chance: Chance,
    private readonly leftOut: ReadonlySet<number>,
    private readonly onStrike: (kind: FaultKind, number: number, where: string) => void,
  ) {}

  /** `where`: to be told. */
  strikes(kind: FaultKind, where = ""): boolean {
    const isDrawn = this.chance() < this.rates[kind];
    if (!isDrawn || this.#hasEnded || this.count(kind) >= (TIMES_MAX[kind] ?? Number.POSITIVE_INFINITY)) return false;
    const number = ++this.struck;
    if (this.leftOut.has(number)) return false;
    this.counts.set(kind, this.count(kind) + 1);
    this.onStrike(kind, number, where);
    return true;
  }

  /** Uniform in [0, 1), from the same stream. */
  draw(): number {
    return this.chance();
  }

  count(kind: FaultKind): number {
    return this.counts.get(kind) ?? 0;
  }

  end(): void {
    this.#hasEnded = true;
  }
}
