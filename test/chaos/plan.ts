/** What a run does to its servers and nodes, and when: all of it drawn from the seed. What processes make of it is not. */
import { seededChance, type Chance } from "../support/chance.ts";

export const FAULTS = [
  "node: kill -9",
  "node: SIGSTOP past its lease, a commit still in the network",
  "Postgres: immediate stop in mid-batch, and start",
  "Postgres: connection cut before the answer to a commit",
  "Postgres: every connection of a node cut",
  "Redis: FLUSHALL",
  "NATS: kill -9, and start",
  "embedded service: kill -9",
] as const;
export type Fault = (typeof FAULTS)[number];

export interface ChaosPlan {
  readonly seed: number;
  readonly checkouts: number;
  readonly times: Readonly<Record<Fault, number>>;
}

/** `npm run chaos`. */
export const FULL_TIMES: ChaosPlan["times"] = timesOf([25, 5, 4, 6, 4, 2, 2, 10]);
export const SHORT_CHECKOUTS = 60;
/** Each at least once. */
export const SHORT_TIMES: ChaosPlan["times"] = timesOf([4, 1, 1, 1, 1, 1, 1, 2]);

/** All of it as often. */
export function repeated(times: ChaosPlan["times"], rounds: number): ChaosPlan["times"] {
  return timesOf(FAULTS.map((fault) => times[fault] * rounds));
}

function timesOf(times: readonly number[]): ChaosPlan["times"] {
  return Object.fromEntries(FAULTS.map((fault, index) => [fault, times[index] ?? 0])) as ChaosPlan["times"];
}

export interface Strike {
  readonly fault: Fault;
  /** It strikes when so many shoppers have gone, from 0 to 1 of all. By the clock a slow machine would only die and start. */
  readonly atShare: number;
}

interface Span {
  readonly from: number;
  readonly to: number;
}

const ALL: readonly Span[] = [{ from: 0, to: 0.95 }];
/** Close to one another, because each lasts; and not with a restart of Postgres, which would lose the commits that they hold up. */
const PAUSES: readonly Span[] = [{ from: 0.25, to: 0.45 }];
const RESTARTS: readonly Span[] = [
  { from: 0.02, to: 0.22 },
  { from: 0.75, to: 0.95 },
];
const SPANS: Partial<Record<Fault, readonly Span[]>> = {
  "node: SIGSTOP past its lease, a commit still in the network": PAUSES,
  "Postgres: immediate stop in mid-batch, and start": RESTARTS,
};

/** In their order. The embedded service, which has a crowd of its own, is not among them. */
export function strikesOf({ seed, times }: ChaosPlan): readonly Strike[] {
  const chance = seededChance(seed);
  return FAULTS.filter((fault) => fault !== "embedded service: kill -9")
    .flatMap((fault) => spread(fault, times[fault], SPANS[fault] ?? ALL, chance))
    .toSorted((a, b) => a.atShare - b.atShare);
}

/** One in each of as many equal parts of the spans. */
function spread(fault: Fault, count: number, spans: readonly Span[], chance: Chance): readonly Strike[] {
  const total = spans.reduce((sum, { from, to }) => sum + to - from, 0);
  return Array.from({ length: count }, (_, index) => {
    return { fault, atShare: placeIn(spans, ((index + chance()) / count) * total) };
  });
}

function placeIn(spans: readonly Span[], offset: number): number {
  let left = offset;
  for (const { from, to } of spans) {
    if (left < to - from) return from + left;
    left -= to - from;
  }
  return spans.at(-1)?.to ?? 1;
}
