/** What one transition writes: everything of it in one commit, and nothing that did not change. Pure. */
import type { CheckoutMachine } from "../machines/checkout.ts";
import { InvariantError } from "../machines/errors.ts";
import { transitionBreaches } from "../machines/invariants.ts";
import { transfersBetween } from "../machines/ledger.ts";
import { viewOf, type CheckoutView } from "../machines/view.ts";
import type { Commit, InboxKey, StoredAnswer } from "../persistence/store.ts";
import {
  dehydrate,
  hashContext,
  statePath,
  type CheckoutSnapshot,
  type Decision,
  type StampedEvent,
  type Timers,
} from "./engine.ts";

/** In journal entries. */
const CHECKPOINT_EVERY = 50;

/** What an actor knows of its checkout. */
export interface ActorState {
  readonly snapshot: CheckoutSnapshot;
  readonly timers: Timers;
  readonly seq: number;
  readonly fence: number;
  /** The cart and the payment groups are free already. */
  readonly isReleased: boolean;
  /** The client has an answer: every repetition of the request gets that one. */
  readonly isAnswered: boolean;
}

export interface Transition {
  readonly id: string;
  readonly commitId: string;
  readonly before: ActorState;
  readonly decision: Decision;
  readonly event: StampedEvent;
  /** The client's answer, where this state gives one. */
  readonly answer: StoredAnswer | null;
  readonly consumes: readonly InboxKey[];
  /** Nothing is left to do here for now: the commit gives the checkout up. */
  readonly isPassivating: boolean;
  /** In journal entries, 50 unless told: no fold is longer. */
  readonly checkpointEvery?: number | undefined;
}

/** InvariantError when the transition breaks an invariant: then nothing of it may be written. */
export function commitOf(machine: CheckoutMachine, transition: Transition): Commit {
  const {
    id,
    commitId,
    before,
    decision,
    event,
    answer,
    consumes,
    isPassivating,
    checkpointEvery = CHECKPOINT_EVERY,
  } = transition;
  const seq = before.seq + 1;
  const [earlier, view] = [viewOf(before.snapshot, before.seq), viewOf(decision.snapshot, seq)];
  const wakeAt = earliest(decision.timers);
  const mustRelease = !before.isReleased && (view.finished || owesOnlyMoney(view));
  const { pcrId } = view.context.payment;
  const transfers = transfersBetween(earlier, view);
  const breaches = transitionBreaches(earlier, view, { events: decision.emitted, transfers });
  if (breaches.length > 0) throw new InvariantError(`${event.type} after entry ${before.seq} breaks ${breaches.join("; ")}.`);
  return {
    id,
    expectedSeq: before.seq,
    fence: before.fence,
    commitId,
    state: view.state,
    status: view.status,
    entry: {
      seq,
      at: event.at,
      event,
      from: statePath(before.snapshot),
      to: view.path,
      contextHash: hashContext(decision.snapshot),
    },
    events: decision.emitted,
    ...(wakeAt === earliest(before.timers) ? {} : { wakeAt }),
    ...(isPassivating ? { passivate: true } : {}),
    ...(isPassivating || seq % checkpointEvery === 0
      ? { checkpoint: { snapshot: dehydrate(machine, decision.snapshot), timers: decision.timers } }
      : {}),
    ...(answer === null ? {} : { answer }),
    ...(mustRelease ? { release: { completed: view.state === "COMPLETED" } } : {}),
    ...(view.finished && !earlier.finished ? { finished: true } : {}),
    ...(consumes.length === 0 ? {} : { consumes }),
    ...(pcrId !== null && earlier.context.payment.pcrId === null ? { pcrId } : {}),
    ...(transfers.length === 0 ? {} : { transfers }),
  };
}

/** When the next timer is due, in milliseconds since the epoch; null = there is none. */
export function earliest(timers: Timers): number | null {
  const due = Object.values(timers);
  return due.length === 0 ? null : Math.min(...due);
}

/** When only money is left to give back, the cart is free for another checkout. */
function owesOnlyMoney(view: CheckoutView): boolean {
  const { deferred } = view.context;
  return view.path.includes("undoing.deferred") && deferred.every((name) => name === "paymentRequest");
}
