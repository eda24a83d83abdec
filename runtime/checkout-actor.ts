/**
 * One checkout's mailbox: decide (pure), commit, then act. Messages are taken one at a time; nothing is
 * started, told or answered before the transition that asks for it is durable.
 */
import type { CheckoutMachine } from "../machines/checkout.ts";
import { LeaseLostError } from "../machines/errors.ts";
import { viewOf, type CheckoutView } from "../machines/view.ts";
import type { Commit, InboxEvent, InboxKey, StoredAnswer } from "../persistence/store.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import {
  accepts,
  decide,
  dehydrate,
  hashContext,
  outcomeEvent,
  runningSteps,
  runStep,
  statePath,
  toPlainJson,
  type CheckoutSnapshot,
  type Decision,
  type StepOutcome,
  type StampedEvent,
  type StepStart,
  type Timers,
} from "./engine.ts";
import type { Committer } from "./committer.ts";
import type { Counters, Log } from "./telemetry.ts";
import type { TransitionNotice } from "./transition-notice.ts";

/** A checkout that waits longer than this leaves memory; a shorter backoff keeps it. */
const RESIDENT_WAIT_MAX_MS = 5_000;
/** A step that has not answered by then counts as perhaps done, and is tried again under the same key. */
const STEP_TIME_MAX_MS = 30_000;
const INBOX_RETRY_MS = 1_000;
/** No fold is longer than this. */
const CHECKPOINT_EVERY = 50;

export interface ActorDeps {
  readonly machine: CheckoutMachine;
  readonly committer: Committer;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly counters: Counters;
  /** The client's answer for a state that first waits for payment or ends; null for every other state. */
  readonly answerFor: (view: CheckoutView) => StoredAnswer | null;
  readonly loadInbox: (id: string) => Promise<readonly InboxEvent[]>;
  /** After each committed transition. */
  readonly onTransition: (notice: TransitionNotice, view: CheckoutView, answer: StoredAnswer | null) => void;
  /** The actor is done with this checkout and takes nothing more; `unread` are messages that it never handled. */
  readonly onStop: (actor: CheckoutActor, reason: StopReason, unread: readonly Message[]) => void;
}

export type StopReason =
  /** It waits or has ended; the commit gave it up. */
  | { readonly kind: "passivated" }
  /** Somebody else moved on: whatever this actor knew is stale. */
  | { readonly kind: "refused" }
  | { readonly kind: "parked"; readonly error: unknown };

export interface ActorState {
  readonly snapshot: CheckoutSnapshot;
  readonly timers: Timers;
  readonly seq: number;
  readonly fence: number;
  readonly isReleased: boolean;
}

export type Message =
  | { readonly kind: "command"; readonly event: { readonly type: string; readonly [field: string]: unknown } }
  | { readonly kind: "inbox"; readonly event: InboxEvent }
  | { readonly kind: "outcome"; readonly stepId: string; readonly incarnation: number; readonly event: OutcomeEvent }
  | { readonly kind: "timer"; readonly id: string };

type OutcomeEvent = ReturnType<typeof outcomeEvent>;

export class CheckoutActor {
  private readonly mailbox: Message[] = [];
  private readonly running = new Map<string, { readonly incarnation: number; readonly stop: () => void }>();
  /** Payment events that the present state does not take yet. */
  private kept: InboxEvent[] = [];
  private readonly seen = new Set<string>();
  private cancelAlarm: () => void = () => {};
  private incarnations = 0;
  private draining: Promise<void> | null = null;
  private isLeaving = false;
  private isStopped = false;

  constructor(
    readonly id: string,
    private readonly deps: ActorDeps,
    private state: ActorState,
  ) {}

  get view(): CheckoutView {
    return viewOf(this.state.snapshot, this.state.seq);
  }

  get fence(): number {
    return this.state.fence;
  }

  get wakeAt(): number | null {
    return earliest(this.state.timers);
  }

  /** Starts the steps that the state says are running, and its timers: after a crash, a hand-over or a rest. */
  resume(signals: number): void {
    for (const step of runningSteps(this.deps.machine, this.state.snapshot)) this.start(step);
    this.setAlarm();
    if (signals > 0) void this.pullInbox();
  }

  /** Takes a message. False = this actor has stopped; ask for a new one. */
  tell(message: Message): boolean {
    if (this.isStopped) return false;
    this.mailbox.push(message);
    this.draining ??= this.drain();
    return true;
  }

  /** Stops at once and writes nothing. Steps in flight are aborted: they count as perhaps done. Safe twice. */
  halt(): void {
    this.isStopped = true;
    this.mailbox.length = 0;
    this.cancelAlarm();
    for (const { stop } of this.running.values()) stop();
    this.running.clear();
  }

  /** Stops after what is being written is written. Its next owner starts its steps again. */
  async leave(): Promise<void> {
    this.isLeaving = true;
    this.mailbox.length = 0;
    await this.draining;
    this.halt();
  }

  private async drain(): Promise<void> {
    // The caller has to know that we run before the first message can end.
    await Promise.resolve();
    try {
      for (let message = this.mailbox.shift(); message !== undefined && !this.isStopped; message = this.mailbox.shift()) {
        await this.handle(message);
      }
    } catch (error) {
      this.stop(error instanceof LeaseLostError ? { kind: "refused" } : { kind: "parked", error });
    } finally {
      this.draining = null;
      // What was dropped set no alarm; one that rang early must ring again.
      this.setAlarm();
    }
  }

  private async handle(message: Message): Promise<void> {
    if (message.kind === "outcome" && this.running.get(message.stepId)?.incarnation !== message.incarnation) {
      // A stale `xstate.error.actor.*` would put the whole machine into its error state.
      return this.deps.counters.add("stale_outcomes_dropped");
    }
    if (message.kind === "timer" && !this.isDue(message.id)) return this.deps.counters.add("stale_timers_dropped");
    if (message.kind === "inbox" && !accepts(this.state.snapshot, message.event.event.type)) {
      this.kept.push(message.event);
      return;
    }
    if (message.kind === "outcome") this.running.delete(message.stepId);
    const event = this.stamp(message);
    const decision = decide(this.deps.machine, this.state.snapshot, this.state.timers, event);
    await this.apply(decision, event, message.kind === "inbox" ? [message.event] : []);
  }

  private stamp(message: Message): StampedEvent {
    const event =
      message.kind === "timer" ? { type: message.id } : message.kind === "inbox" ? message.event.event : message.event;
    const jitter = "error" in event ? { jitter: this.deps.ids.random() } : {};
    return { ...(toPlainJson(event) as { type: string }), at: this.deps.clock.now(), ...jitter };
  }

  private async apply(decision: Decision, event: StampedEvent, consumes: readonly InboxKey[]): Promise<void> {
    const view = viewOf(decision.snapshot, this.state.seq + 1);
    const answer = this.deps.answerFor(view);
    const commit = this.commitOf(decision, event, view, answer, consumes);
    const result = await this.deps.committer.commit(commit);
    if (this.isStopped) return;
    if (result.kind !== "applied") {
      this.deps.counters.add("commits_refused");
      return this.stop({ kind: "refused" });
    }
    this.deps.counters.add("commits_applied");
    this.state = {
      snapshot: decision.snapshot,
      timers: decision.timers,
      seq: commit.expectedSeq + 1,
      fence: commit.fence,
      isReleased: this.state.isReleased || commit.release !== undefined,
    };
    const { state, status, entry } = commit;
    this.deps.onTransition({ executionContextId: this.id, entry, state, status }, view, answer);
    if (commit.passivate === true) return this.stop({ kind: "passivated" });
    this.act(decision);
    if (result.signals > 0) void this.pullInbox();
    this.retryKept();
  }

  private commitOf(
    decision: Decision,
    event: StampedEvent,
    view: CheckoutView,
    answer: StoredAnswer | null,
    consumes: readonly InboxKey[],
  ): Commit {
    const { seq, fence, snapshot, timers } = this.state;
    const wakeAt = earliest(decision.timers);
    const isPassivating = this.canLeave(decision, wakeAt);
    const mustRelease = !this.state.isReleased && (view.finished || owesOnlyMoney(view));
    return {
      id: this.id,
      expectedSeq: seq,
      fence,
      commitId: this.deps.ids.next("cmt"),
      state: view.state,
      status: view.status,
      entry: {
        seq: seq + 1,
        at: event.at,
        event,
        from: statePath(snapshot),
        to: view.path,
        contextHash: hashContext(decision.snapshot),
      },
      events: decision.emitted,
      ...(wakeAt === earliest(timers) ? {} : { wakeAt }),
      ...(isPassivating ? { passivate: true } : {}),
      ...(isPassivating || (seq + 1) % CHECKPOINT_EVERY === 0
        ? { checkpoint: { snapshot: dehydrate(this.deps.machine, decision.snapshot), timers: decision.timers } }
        : {}),
      ...(answer === null ? {} : { answer }),
      ...(mustRelease ? { release: { completed: view.state === "COMPLETED" } } : {}),
      ...(view.finished && !this.view.finished ? { finished: true } : {}),
      ...(consumes.length === 0 ? {} : { consumes }),
    };
  }

  /** Nothing runs, nothing is queued, and the next timer is far: the commit may give the checkout up. */
  private canLeave(decision: Decision, wakeAt: number | null): boolean {
    const isIdle = runningSteps(this.deps.machine, decision.snapshot).length === 0 && this.mailbox.length === 0;
    return isIdle && this.kept.length === 0 && (wakeAt === null || wakeAt - this.deps.clock.now() > RESIDENT_WAIT_MAX_MS);
  }

  private act(decision: Decision): void {
    if (this.isLeaving) return;
    for (const id of decision.stops) {
      this.running.get(id)?.stop();
      this.running.delete(id);
    }
    for (const step of decision.starts) this.start(step);
    this.setAlarm();
  }

  private start(step: StepStart): void {
    const incarnation = ++this.incarnations;
    const report = (outcome: StepOutcome) => {
      cancelTimeout();
      if (outcome.kind === "failed") {
        const { code } = outcome.error;
        this.deps.log.warn({ executionContextId: this.id, step: step.id, code, err: outcome.cause }, "A step failed");
      }
      if (outcome.kind === "broken") return this.stop({ kind: "parked", error: outcome.error });
      this.tell({ kind: "outcome", stepId: step.id, incarnation, event: outcomeEvent(step.id, outcome) });
    };
    const stopStep = runStep(this.deps.machine, step, report);
    const cancelTimeout = this.deps.clock.after(STEP_TIME_MAX_MS, () => {
      stopStep();
      report({ kind: "failed", error: { class: "TRANSIENT", code: "TIMEOUT", message: `${step.id} gave no answer in time.` } });
    });
    this.running.set(step.id, {
      incarnation,
      stop: () => {
        cancelTimeout();
        stopStep();
      },
    });
  }

  private setAlarm(): void {
    this.cancelAlarm();
    const wakeAt = this.wakeAt;
    if (wakeAt === null || this.isStopped) return;
    this.cancelAlarm = this.deps.clock.after(Math.max(0, wakeAt - this.deps.clock.now()), () => this.ring());
  }

  /** Sends every timer that is due; one that is not (clocks differ) waits on. */
  private ring(): void {
    for (const id of Object.keys(this.state.timers)) if (this.isDue(id)) this.tell({ kind: "timer", id });
    if (this.draining === null) this.setAlarm();
  }

  private isDue(timerId: string): boolean {
    const dueAt = this.state.timers[timerId];
    return dueAt !== undefined && dueAt <= this.deps.clock.now();
  }

  /** Tells the mailbox what waits in the inbox. The owner consumes it inside its next commit. */
  async pullInbox(): Promise<void> {
    try {
      for (const event of await this.deps.loadInbox(this.id)) {
        const key = `${event.source}\n${event.eventId}`;
        if (this.seen.has(key)) continue;
        this.seen.add(key);
        this.tell({ kind: "inbox", event });
      }
    } catch (error) {
      this.deps.log.warn({ executionContextId: this.id, err: error }, "The inbox could not be read; it is read again");
      this.deps.clock.after(INBOX_RETRY_MS, () => void (this.isStopped || this.pullInbox()));
    }
  }

  private retryKept(): void {
    const taken = this.kept.filter((event) => accepts(this.state.snapshot, event.event.type));
    this.kept = this.kept.filter((event) => !taken.includes(event));
    for (const event of taken) this.tell({ kind: "inbox", event });
  }

  private stop(reason: StopReason): void {
    if (this.isStopped) return;
    const unread = [...this.mailbox];
    this.halt();
    this.deps.onStop(this, reason, unread);
  }
}

/** When only money is left to give back, the cart is free for another checkout. */
function owesOnlyMoney(view: CheckoutView): boolean {
  const { deferred } = view.context;
  return view.path.includes("undoing.deferred") && deferred.every((name) => name === "paymentRequest");
}

function earliest(timers: Timers): number | null {
  const due = Object.values(timers);
  return due.length === 0 ? null : Math.min(...due);
}
