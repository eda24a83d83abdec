/** A route without a crash, decided and nothing else: where each of its events leads, and what that must write. */
import { canonicalJson } from "../../machines/canonical-json.ts";
import { checkoutMachine } from "../../machines/checkout.ts";
import type { OutboundEvent } from "../../machines/events.ts";
import type { JournalEntry } from "../../persistence/store.ts";
import {
  begin,
  decide,
  hashContext,
  runningSteps,
  statePath,
  toPlainJson,
  type CheckoutSnapshot,
  type StampedEvent,
  type Timers,
} from "../../runtime/engine.ts";
import { earliest } from "../../runtime/transition-commit.ts";
import type { Alphabet } from "../../scripts/reachable/alphabet.ts";
import { eventKey, stateKey } from "../../scripts/reachable/keys.ts";
import { eventOfKey } from "./generate.ts";
import type { Graph } from "./model.ts";
import { inputOf } from "./runner.ts";
import { BEGINNING, JUMP_MS } from "./walk-clock.ts";

/** An event by its key, with the payload that its state gives it; or one whose payload is older than its state. */
export type Leg = string | StampedEvent;

export interface Place {
  readonly seq: number;
  /** Its state in the model. */
  readonly key: string;
  readonly snapshot: CheckoutSnapshot;
  readonly timers: Timers;
  readonly wakeAt: number | null;
  /** The clock, once it is reached. */
  readonly now: number;
  /** What its state says is running, with its input and so its key; null = nothing is. */
  readonly step: string | null;
  readonly entry: JournalEntry;
  /** What was told on the way here. */
  readonly emitted: readonly OutboundEvent[];
}

interface KnownPlace extends Place {
  readonly next: Map<string, KnownPlace>;
}

/** Places by the legs that lead to them: routes that begin alike share them. */
export class Atlas {
  readonly beginning: Place;
  readonly #root: KnownPlace;

  constructor(
    private readonly graph: Graph,
    private readonly alphabet: Alphabet,
    /** The checkout's id is in its context, and so in every hash of it. */
    readonly id: string,
  ) {
    const snapshot = begin(checkoutMachine, inputOf(alphabet, id));
    const to = statePath(snapshot);
    const entry = { seq: 1, at: 0, event: { type: "xstate.init" }, from: null, to, contextHash: hashContext(snapshot) };
    this.#root = { ...this.#placeOf(snapshot, {}, entry, []), now: BEGINNING };
    this.beginning = this.#root;
  }

  /** The beginning, and the place that each leg leads to. */
  placesOf(route: readonly Leg[]): readonly Place[] {
    const places = [this.#root];
    let place = this.#root;
    for (const leg of route) {
      place = this.#after(place, leg);
      places.push(place);
    }
    return places;
  }

  /** The event of that key with the payload that this place gives it. */
  eventAt({ snapshot }: Place, name: string): StampedEvent {
    return eventOfKey(snapshot, this.alphabet, name);
  }

  #after(place: KnownPlace, leg: Leg): KnownPlace {
    const name = typeof leg === "string" ? leg : canonicalJson(leg);
    const known = place.next.get(name);
    if (known !== undefined) return known;
    const next = this.#decide(place, typeof leg === "string" ? this.eventAt(place, leg) : leg);
    const wanted = typeof leg === "string" ? this.graph.get(place.key)?.edges.get(leg) : next.key;
    if (wanted !== next.key || !this.graph.has(next.key)) {
      throw new Error(`${eventKey(next.entry.event)} leads from ${place.key} to ${next.key}; the model says ${wanted}`);
    }
    place.next.set(name, next);
    return next;
  }

  #decide(place: Place, unstamped: StampedEvent): KnownPlace {
    const now = unstamped.type.startsWith("xstate.after.") ? place.now + JUMP_MS : place.now;
    const jitter = "error" in unstamped ? { jitter: 0.5 } : {};
    const event = { ...(toPlainJson(unstamped) as StampedEvent), at: now, ...jitter };
    const { snapshot, timers, emitted } = decide(checkoutMachine, place.snapshot, place.timers, event);
    const entry = {
      seq: place.seq + 1,
      at: now,
      event,
      from: place.entry.to,
      to: statePath(snapshot),
      contextHash: hashContext(snapshot),
    };
    return { ...this.#placeOf(snapshot, timers, entry, emitted), now };
  }

  #placeOf(snapshot: CheckoutSnapshot, timers: Timers, entry: JournalEntry, emitted: readonly OutboundEvent[]): KnownPlace {
    const [step] = runningSteps(snapshot);
    return {
      seq: entry.seq,
      key: stateKey(snapshot),
      snapshot,
      timers,
      wakeAt: earliest(timers),
      now: entry.at,
      step: step === undefined ? null : stepText(step.src, step.input),
      entry,
      emitted,
      next: new Map(),
    };
  }
}

/** One start of a step, as a line: a step that is started again has the same. */
export function stepText(src: string, input: unknown): string {
  return `${src} ${canonicalJson(toPlainJson(input))}`;
}
