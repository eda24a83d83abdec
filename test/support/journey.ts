/**
 * One checkout on a random way through its machine, fed as its host feeds it: no outcome of a step that doesn't run, no
 * timer before its time, and no news of a payment request that it doesn't know. Everything else comes in any order.
 */
import fc from "fast-check";
import { checkoutMachine } from "../../machines/checkout.ts";
import { transitionBreaches } from "../../machines/invariants.ts";
import { transfersBetween, type Transfer } from "../../machines/ledger.ts";
import { viewOf, type CheckoutView } from "../../machines/view.ts";
import type { JournalEntry } from "../../persistence/store.ts";
import {
  begin,
  decide,
  hashContext,
  outcomeEvent,
  statePath,
  toPlainJson,
  type CheckoutSnapshot,
  type StampedEvent,
  type StepOutcome,
  type StepStart,
  type Timers,
} from "../../runtime/engine.ts";
import { newContext } from "./checkout-context.ts";
import { JourneyBank } from "./journey-bank.ts";
import { replyOf } from "./journey-replies.ts";

const { executionContextId, userId, cartId, cartVersion, policy } = newContext();
const INPUT = { executionContextId, userId, cartId, cartVersion, policy: { ...policy, stepRetryMax: 2, undoRetryMax: 1 } };
const BEGUN_AT = Date.UTC(2027, 0, 8, 10);

/** What can come next, as often as it stands here. */
const LETTERS = [
  "reply",
  "reply",
  "reply",
  "reply",
  "reply",
  "error",
  "reply lost",
  "timer",
  "timer",
  "success",
  "success",
  "failure",
  "expiry",
  "refund sent back",
  "refund sent back unheard",
  "attempt",
  "attempt",
  "cancel",
  "resolution",
] as const;

interface Turn {
  readonly letter: (typeof LETTERS)[number];
  /** Picks among what the letter can mean then. */
  readonly which: number;
  readonly elapsedMs: number;
  readonly jitter: number;
}

export interface Journey {
  /** So many turns go well before the first that may not. */
  readonly head: number;
  /** Then it is cancelled, and so many undos go well. Null: it is not. */
  readonly undos: number | null;
  readonly turns: readonly Turn[];
}

/** So many turns that go well lead to the wait for the payment, to rest as COMPLETED, and from a cancellation to ROLLEDBACK. */
const UNTIL_WAITING = 11;
const UNTIL_COMPLETED = 14;
const UNTIL_ROLLED_BACK = 10;
const WHICH_MAX = 59;

export function journeys(turnsMax: number): fc.Arbitrary<Journey> {
  const turn = fc.record({
    letter: fc.constantFrom(...LETTERS),
    which: fc.nat(WHICH_MAX),
    elapsedMs: fc.oneof(fc.constant(0), fc.nat(60_000)),
    jitter: fc.constantFrom(0, 0.25, 0.5, 0.999),
  });
  return fc.record({
    head: fc.oneof(fc.nat(UNTIL_COMPLETED), fc.constant(UNTIL_WAITING)),
    undos: fc.oneof(fc.constant(null), fc.constant(null), fc.nat(UNTIL_ROLLED_BACK)),
    turns: fc.array(turn, { maxLength: turnsMax, size: "max" }),
  });
}

/** The checkout after one entry of its journal. */
export interface Moment {
  readonly entry: JournalEntry;
  readonly snapshot: CheckoutSnapshot;
  readonly timers: Timers;
  readonly view: CheckoutView;
  readonly transfers: readonly Transfer[];
  readonly breaches: readonly string[];
}

/** Every moment of a journey, from its first. */
export function walked({ head, undos, turns }: Journey): readonly Moment[] {
  const walk = new Walk();
  walk.tell({ type: "START" }, WELL);
  for (let index = 0; index < head; index++) walk.take({ ...WELL, letter: walk.isWaiting ? "success" : "reply" });
  if (undos !== null) walk.take({ ...WELL, letter: "cancel" });
  for (let index = 0; index < (undos ?? 0); index++) walk.take(WELL);
  for (const turn of turns) walk.take(turn);
  return walk.moments;
}

const WELL: Turn = { letter: "reply", which: 0, elapsedMs: 10, jitter: 0 };

class Walk {
  readonly moments: Moment[] = [];
  readonly #bank = new JourneyBank();
  #steps: readonly StepStart[] = [];
  #now = BEGUN_AT;
  #eventIds = 0;

  constructor() {
    const snapshot = begin(checkoutMachine, INPUT);
    this.#keep({ type: "xstate.init", at: this.#now }, null, snapshot, {}, []);
  }

  /** Nothing runs: it is somebody else's turn. */
  get isWaiting(): boolean {
    return this.#steps.length === 0;
  }

  take(turn: Turn): void {
    this.#now += turn.elapsedMs;
    const event = this.#eventOf(turn);
    if (event !== null) this.tell(event, turn);
  }

  tell(event: object, { jitter }: Turn): void {
    const { snapshot, timers } = this.#last;
    const stamped = { ...(toPlainJson(event) as { readonly type: string }), at: this.#now, jitter };
    const decision = decide(checkoutMachine, snapshot, timers, stamped);
    const ended = (event as { readonly actorId?: string }).actorId;
    const isOver = ({ id }: StepStart) => id === ended || decision.stops.includes(id);
    this.#steps = [...this.#steps.filter((step) => !isOver(step)), ...decision.starts];
    this.#keep(stamped, this.#last.view, decision.snapshot, decision.timers, decision.emitted);
  }

  get #last(): Moment {
    const last = this.moments.at(-1);
    if (last === undefined) throw new Error("a walk has begun");
    return last;
  }

  #keep(event: StampedEvent, before: CheckoutView | null, snapshot: CheckoutSnapshot, timers: Timers, events: Events): void {
    const seq = this.moments.length + 1;
    const [from, to] = [before?.path ?? null, statePath(snapshot)];
    const entry: JournalEntry = { seq, at: event.at, event, from, to, contextHash: hashContext(snapshot) };
    const view = viewOf(snapshot, seq);
    const transfers = before === null ? [] : transfersBetween(before, view);
    const breaches = transitionBreaches(before, view, { events, transfers });
    this.moments.push({ entry, snapshot, timers, view, transfers, breaches });
  }

  /** Null: nothing of the kind can happen now. */
  #eventOf(turn: Turn): object | null {
    const { letter, which } = turn;
    const { context } = this.#last.view;
    switch (letter) {
      case "reply":
      case "error":
      case "reply lost":
        return this.#outcomeOf(turn);
      case "timer":
        return this.#ring(which);
      case "success":
        if (context.payment.pcrId === null) return null;
        return this.#news("payment_collection_requirement_success", which, this.#bank.capture(which));
      case "failure":
        return this.#news("payment_collection_requirement_failed", which, { code: "DECLINED" });
      case "expiry":
        return this.#news("payment_collection_requirement_expired", which, {});
      case "refund sent back": {
        const failed = this.#bank.sendBack(which);
        if (failed === null) return null;
        const { pspReference, amount, currency } = failed.refund;
        const facts = { pspReference, amount, currency, code: "CLOSED", providerRefundId: failed.providerRefundId };
        return this.#news("payment_refund_failed", 0, facts);
      }
      case "refund sent back unheard":
        this.#bank.sendBack(which);
        return null;
      case "attempt":
        return { type: "ATTEMPT_PAYMENT", method: "UPI", instrumentId: "ins_async" };
      case "cancel":
        return { type: "CANCEL" };
      case "resolution": {
        const undo = which % 2 === 0 ? null : (context.deferred[0] ?? null);
        const pspReference = undo === null ? (context.payment.owed[0]?.pspReference ?? null) : null;
        return {
          type: "RESOLVE",
          resolutionId: `rsl_${this.moments.length}`,
          undo,
          pspReference,
          operator: "ops",
          reference: "T-1",
        };
      }
    }
  }

  #outcomeOf({ letter, which }: Turn): object | null {
    const step = this.#steps[which % Math.max(1, this.#steps.length)];
    if (step === undefined) return null;
    const { context } = this.#last.view;
    if (letter === "reply") return outcomeEvent(step.id, { kind: "done", output: replyOf(step, which, context, this.#bank) });
    // It was done all the same, and nobody knows.
    if (letter === "reply lost") replyOf(step, which, context, this.#bank);
    return outcomeEvent(step.id, letter === "reply lost" || which % 3 > 0 ? TRANSIENT : TERMINAL);
  }

  /** A timer rings when it is due, or late. */
  #ring(which: number): object | null {
    const timers = Object.entries(this.#last.timers).toSorted(([, one], [, other]) => one - other);
    const [type, dueAt] = timers[which % Math.max(1, timers.length)] ?? [];
    if (type === undefined || dueAt === undefined) return null;
    this.#now = Math.max(this.#now, dueAt);
    return { type };
  }

  /** It names the newest attempt, the first one, or none. */
  #news(type: string, which: number, facts: object): object | null {
    const { payment } = this.#last.view.context;
    if (payment.pcrId === null) return null;
    const attemptId = [payment.attemptId, "att_1", null][which % 3] ?? null;
    const notice = { pspReference: "psr_none", amount: 0, currency: "INR", occurredAt: new Date(this.#now).toISOString() };
    const named = attemptId === null ? {} : { attemptId };
    return { type, data: { eventId: `evt_${++this.#eventIds}`, pcrId: payment.pcrId, ...named, ...notice, ...facts } };
  }
}

type Events = Parameters<typeof transitionBreaches>[2]["events"];

const TRANSIENT: Exclude<StepOutcome, { readonly kind: "broken" }> = {
  kind: "failed",
  error: { class: "TRANSIENT", code: "UNAVAILABLE", message: "Later." },
};
const TERMINAL: typeof TRANSIENT = { kind: "failed", error: { class: "TERMINAL", code: "REFUSED", message: "Never." } };
