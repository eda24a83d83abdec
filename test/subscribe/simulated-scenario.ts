/** What a run is about, drawn from its seed: checkouts and their events, what the handler makes of each, and all options. */
import type { CloudEvent } from "../../messaging/bus.ts";
import { interestIn, type Interest } from "../../subscribe/interest.ts";
import type { Limits } from "../../subscribe/options.ts";
import type { Chance } from "../support/chance.ts";
import { eventOf } from "./desk.ts";
import type { Faults } from "./simulated-faults.ts";

const TYPES = ["note", "sale", "visit"] as const;
/** Events are published in this time, those that come late after it, and faults end a while after it. */
const PUBLISHING_MS = 20_000;
const LATE_MAX_MS = 30_000;
export const FAULTS_MS = 45_000;

/** What the handler makes of an event. `times`: of its first handlings, by whichever process. */
export type Behaviour =
  | { readonly kind: "succeeds" }
  | { readonly kind: "poison" }
  | { readonly kind: "throws"; readonly times: number }
  | { readonly kind: "hangs"; readonly times: number }
  | { readonly kind: "slow"; readonly times: number; readonly ms: number; readonly heedsSignal: boolean };

export interface PlannedEvent {
  readonly event: CloudEvent;
  readonly position: number;
  /** The handler gets it; others are stepped over. */
  readonly isWanted: boolean;
  readonly behaviour: Behaviour;
  /** One for each time that it is published; a message that never comes has none. */
  readonly publishedAtMs: readonly number[];
}

export interface Scenario {
  readonly processes: number;
  readonly types: string | readonly string[];
  readonly interest: Interest;
  /** What the subscriber's filter lets through, by checkout, in their order. */
  readonly checkouts: ReadonlyMap<string, readonly PlannedEvent[]>;
  /** Messages under a checkout's subject that are no events. */
  readonly malformedAtMs: readonly number[];
  /** The effect and the position in one transaction of the handler, or the effect somewhere and the position in the bucket. */
  readonly effects: "transaction" | "bucket";
  readonly afterAttempts: "stop" | "dead-letter";
  /** What the subscriber says to a gap that the stream doesn't hold and that was told before. */
  readonly onLoss: "wait" | "skip";
  readonly limits: Partial<Limits>;
}

export function drawScenario(chance: Chance, faults: Faults): Scenario {
  const between = (least: number, most: number) => least + Math.floor(chance() * (most - least + 1));
  const pick = <Item>(items: readonly [Item, ...Item[]]): Item => items[between(0, items.length - 1)] ?? items[0];
  const types = pick<string | readonly string[]>(["all", "all", "note", ["note", "sale"]]);
  const interest = interestIn(types);
  const handlerMs = between(1_000, 8_000);
  const behaviour = (): Behaviour => {
    const drawn = chance();
    if (drawn < 0.6) return { kind: "succeeds" };
    if (drawn < 0.65) return { kind: "poison" };
    if (drawn < 0.78) return { kind: "throws", times: between(1, 3) };
    if (drawn < 0.86) return { kind: "hangs", times: between(1, 2) };
    return { kind: "slow", times: between(1, 2), ms: between(50, handlerMs * 1.4), heedsSignal: chance() < 0.5 };
  };
  const publications = (atMs: number, isLast: boolean): number[] => {
    if (!isLast && faults.strikes("message: never")) return [];
    const first = faults.strikes("message: late") ? atMs + chance() * LATE_MAX_MS : atMs;
    return faults.strikes("message: doubled") ? [first, first + chance() * LATE_MAX_MS] : [first];
  };
  const checkout = (name: string): readonly PlannedEvent[] => {
    const typeseqs = new Map<string, number>();
    const planned: PlannedEvent[] = [];
    const last = between(1, 8);
    let atMs = chance() * PUBLISHING_MS;
    for (let seq = 1; seq <= last; seq++) {
      const type = pick(TYPES);
      typeseqs.set(type, (typeseqs.get(type) ?? 0) + 1);
      const event = eventOf(name, seq, type, typeseqs.get(type));
      atMs += chance() < 0.5 ? 0 : chance() * 2_000;
      const publishedAtMs = publications(atMs, seq === last);
      const position = interest.positionOf(event);
      const isLetThrough = types !== "note" || type === "note";
      if (!isLetThrough) continue;
      planned.push({ event, position, isWanted: interest.isWanted(event), behaviour: behaviour(), publishedAtMs });
    }
    return planned;
  };
  const names = Array.from({ length: between(1, 8) }, (_, index) => `ctx_${index}`);
  return {
    processes: between(1, 3),
    types,
    interest,
    checkouts: new Map(names.map((name) => [name, checkout(name)])),
    malformedAtMs: chance() < 0.2 ? [chance() * PUBLISHING_MS] : [],
    effects: pick(["transaction", "bucket"]),
    afterAttempts: pick(["stop", "dead-letter"]),
    onLoss: pick(["wait", "wait", "skip"]),
    limits: {
      concurrency: between(1, 4),
      inHandMax: pick([4, 12, 256]),
      ackWaitMs: between(3_000, 20_000),
      leaseMs: between(3_000, 10_000),
      handlerMs,
      attemptsMax: between(1, 4),
      backoffFirstMs: between(100, 1_000),
      backoffMostMs: between(1_000, 8_000),
      gapAgainMs: between(10_000, 40_000),
      drainMs: pick([1, 500, 10_000]),
    },
  };
}
