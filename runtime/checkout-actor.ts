/**
 * One checkout's mailbox: decide (pure), commit, then act. Messages are taken one at a time; nothing is
 * started, told or answered before the transition that asks for it is durable.
 */
import type { CheckoutMachine } from "../machines/checkout.ts";
import { LeaseLostError } from "../machines/errors.ts";
import { viewOf, type CheckoutView } from "../machines/view.ts";
import type { InboxEvent, InboxKey, StoredAnswer } from "../persistence/store.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import type { Committer } from "./committer.ts";
import { decide, isDeadline, runningSteps, toPlainJson, type Decision, type StampedEvent } from "./engine.ts";
import { RunningSteps, type StepReport } from "./running-steps.ts";
import type { Counters, Log } from "./telemetry.ts";
import { commitOf, earliest, type ActorState } from "./transition-commit.ts";
import type { TransitionNotice } from "./transition-notice.ts";

/** A checkout that waits longer than this leaves memory; a shorter backoff keeps it. */
const RESIDENT_WAIT_MAX_MS = 5_000;
const INBOX_RETRY_MS = 1_000;

export interface ActorDeps {
  readonly machine: CheckoutMachine;
  readonly committer: Committer;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly counters: Counters;
  /** In journal entries, 50 unless told: no fold is longer. */
  readonly checkpointEvery?: number | undefined;
  /** The client's answer for a state that first waits for payment or ends; null for every other state. */
  readonly answerFor: (view: CheckoutView) => StoredAnswer | null;
  readonly loadInbox: (id: string) => Promise<readonly InboxEvent[]>;
  /** After each committed transition. */
  readonly onTransition: (notice: TransitionNotice, view: CheckoutView, answer: StoredAnswer | null) => void;
  /** The actor is done with this checkout and takes nothing more; `unread` are messages that it never handled. */
  readonly onStop: (actor: CheckoutActor, reason: StopReason, unread: readonly Message[]) => void;
}

export type StopReason =
  /** It waits or has ended; the commit gave it up. `signals` = inbox rows that wait for it all the same. */
  | { readonly kind: "passivated"; readonly signals: number }
  /** There is nothing to do for now, and no commit said so: it was woken in vain. */
  | { readonly kind: "idle" }
  /** Somebody else moved on: whatever this actor knew is stale. */
  | { readonly kind: "refused" }
  | { readonly kind: "parked"; readonly error: unknown };

export type Message =
  | { readonly kind: "start" }
  | { readonly kind: "inbox"; readonly event: InboxEvent }
  | { readonly kind: "outcome"; readonly report: StepReport }
  | { readonly kind: "timer"; readonly id: string };

export class CheckoutActor {
  private readonly mailbox: Message[] = [];
  private readonly steps: RunningSteps;
  private readonly seen = new Set<string>();
  private cancelAlarm: () => void = () => {};
  private draining: Promise<void> | null = null;
  /** Looks into the inbox that are under way, or must be repeated. */
  private looks = 0;
  private isLeaving = false;
  private isStopped = false;

  constructor(
    readonly id: string,
    private readonly deps: ActorDeps,
    private state: ActorState,
  ) {
    this.steps = new RunningSteps({
      ...deps,
      executionContextId: id,
      onOutcome: (report) => void this.tell({ kind: "outcome", report }),
      onBroken: (error) => this.stop({ kind: "parked", error }),
    });
  }

  get fence(): number {
    return this.state.fence;
  }

  get wakeAt(): number | null {
    return earliest(this.state.timers);
  }

  /** Starts the steps that the state says are running, and its timers: after a crash, a hand-over or a rest. */
  resume(signals: number): void {
    for (const step of runningSteps(this.state.snapshot)) this.steps.start(step);
    this.setAlarm();
    if (signals > 0) void this.pullInbox();
    else this.restIfIdle();
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
    this.steps.stopAll();
  }

  /** Stops after what is being written is written. Its next owner starts its steps again. */
  async leave(): Promise<void> {
    this.isLeaving = true;
    this.mailbox.length = 0;
    await this.draining;
    this.halt();
  }

  /** Tells the mailbox what waits in the inbox; how many that were. The owner consumes it inside its next commits. */
  async pullInbox(): Promise<number> {
    let told = 0;
    this.looks++;
    try {
      for (const event of await this.deps.loadInbox(this.id)) {
        const key = `${event.source}\n${event.eventId}`;
        if (this.seen.has(key)) continue;
        this.seen.add(key);
        if (this.tell({ kind: "inbox", event })) told++;
      }
      this.looks--;
    } catch (error) {
      this.deps.log.warn({ executionContextId: this.id, err: error }, "The inbox could not be read; it is read again");
      this.deps.clock.after(INBOX_RETRY_MS, () => {
        this.looks--;
        if (!this.isStopped) void this.pullInbox();
      });
    }
    this.restIfIdle();
    return told;
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
      this.restIfIdle();
    }
  }

  /** Whoever has nothing to do leaves memory: another node may be the one that hears of the next event. */
  private restIfIdle(): void {
    if (this.isLeaving || this.draining !== null || this.looks > 0) return;
    if (this.canLeave(this.state)) this.stop({ kind: "idle" });
  }

  private async handle(message: Message): Promise<void> {
    if (message.kind === "outcome" && !this.steps.take(message.report)) {
      // A stale `xstate.error.actor.*` would put the whole machine into its error state.
      return this.deps.counters.add("stale_outcomes_dropped");
    }
    if (message.kind === "timer") {
      if (!this.isDue(message.id)) return this.deps.counters.add("stale_timers_dropped");
      // What has arrived comes before the deadline, however late it was read.
      if (isDeadline(message.id) && (await this.pullInbox()) > 0) return void this.tell(message);
    }
    const event = this.stamp(message);
    const decision = decide(this.deps.machine, this.state.snapshot, this.state.timers, event);
    await this.apply(decision, event, message.kind === "inbox" ? [message.event] : []);
  }

  private stamp(message: Message): StampedEvent {
    const event = eventOf(message);
    const jitter = "error" in event ? { jitter: this.deps.ids.random() } : {};
    return { ...(toPlainJson(event) as { type: string }), at: this.deps.clock.now(), ...jitter };
  }

  private async apply(decision: Decision, event: StampedEvent, consumes: readonly InboxKey[]): Promise<void> {
    const { machine, ids, committer, counters, checkpointEvery } = this.deps;
    const view = viewOf(decision.snapshot, this.state.seq + 1);
    const answer = this.state.isAnswered ? null : this.deps.answerFor(view);
    const commit = commitOf(machine, {
      id: this.id,
      commitId: ids.next("cmt"),
      before: this.state,
      decision,
      event,
      answer,
      consumes,
      isPassivating: this.canLeave(decision),
      checkpointEvery,
    });
    const result = await committer.commit(commit);
    if (this.isStopped) return;
    if (result.kind !== "applied") return this.stop({ kind: "refused" });
    counters.add("commits_applied");
    this.state = {
      snapshot: decision.snapshot,
      timers: decision.timers,
      seq: commit.expectedSeq + 1,
      fence: commit.fence,
      isReleased: this.state.isReleased || commit.release !== undefined,
      isAnswered: this.state.isAnswered || answer !== null,
    };
    const { state, status, entry } = commit;
    this.deps.onTransition({ executionContextId: this.id, entry, state, status }, view, answer);
    if (commit.passivate === true) return this.stop({ kind: "passivated", signals: result.signals });
    this.act(decision);
    if (result.signals > 0) void this.pullInbox();
  }

  /** Nothing runs, nothing is queued, and the next timer is far: the commit may give the checkout up. */
  private canLeave({ snapshot, timers }: Pick<Decision, "snapshot" | "timers">): boolean {
    if (this.mailbox.length > 0 || runningSteps(snapshot).length > 0) return false;
    const wakeAt = earliest(timers);
    return wakeAt === null || wakeAt - this.deps.clock.now() > RESIDENT_WAIT_MAX_MS;
  }

  private act(decision: Decision): void {
    if (this.isLeaving) return;
    for (const id of decision.stops) this.steps.stop(id);
    for (const step of decision.starts) this.steps.start(step);
    this.setAlarm();
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

  private stop(reason: StopReason): void {
    if (this.isStopped) return;
    const unread = [...this.mailbox];
    this.halt();
    this.deps.onStop(this, reason, unread);
  }
}

function eventOf(message: Message): { readonly type: string } {
  switch (message.kind) {
    case "start":
      return { type: "START" };
    case "inbox":
      return message.event.event;
    case "outcome":
      return message.report.event;
    case "timer":
      return { type: message.id };
  }
}
