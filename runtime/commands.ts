/**
 * What clients and operators ask of a checkout that exists: cancel, another attempt, an operator's resolution. Each is
 * kept in the inbox first, so that it is heard once, in its turn among payment events, on whichever node runs it.
 */
import { ConflictError, TransientError } from "../machines/errors.ts";
import type { ResolveEvent } from "../machines/events.ts";
import type { PaymentAttempt, UndoName } from "../machines/context.ts";
import { attemptsLeft } from "../machines/payment.ts";
import { resolvedBy } from "../machines/rollback.ts";
import { isPastPivot, type CheckoutView } from "../machines/view.ts";
import type { JournaledEvent, JournalEntry, Store } from "../persistence/store.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import type { ActorRegistry } from "./actor-registry.ts";
import type { StoredView } from "./stored-views.ts";

/** Of a command's inbox row: whoever asks, it came through our API. */
const SOURCE = "api";
/** How often a checkout is looked at that another node may be running. */
const LOOK_MS = 250;
/** More entries than an attempt can leave before its reply: it is retried a few times. */
const ENTRIES_MAX = 200;

export interface AttemptCommand {
  readonly executionContextId: string;
  readonly idempotencyKey: string;
  readonly method: string;
  readonly instrumentId: string;
  readonly waitMs: number;
}

export interface AttemptResult {
  readonly view: CheckoutView;
  readonly replayed: boolean;
}

export interface ResolveCommand {
  readonly executionContextId: string;
  readonly idempotencyKey: string;
  readonly operator: string;
  /** Where the operator wrote down what was done; never personal data. */
  readonly reference: string;
  /** What was taken care of: one undo while undoing, or one capture that is owed back after the end. */
  readonly target: { readonly undo: UndoName } | { readonly pspReference: string };
  readonly waitMs: number;
}

export interface CommandsDeps {
  readonly store: Pick<Store, "receiveCommand" | "findReceived" | "history">;
  readonly clock: Clock;
  readonly ids: Pick<Ids, "next">;
  readonly actors: Pick<ActorRegistry, "audience" | "notify">;
  readonly view: (executionContextId: string) => Promise<Pick<StoredView, "view" | "parkedReason" | "isOfOtherVersion"> | null>;
}

export class Commands {
  constructor(private readonly deps: CommandsDeps) {}

  async cancel(id: string, waitMs: number): Promise<CheckoutView> {
    const until = this.deps.clock.monotonic() + waitMs;
    if (fateOf(await this.viewOf(id)) === "open") await this.ask(id, `${id}:cancel`, { type: "CANCEL" });
    const view = await this.lookUntil(id, until, (one) => {
      const fate = fateOf(one);
      return fate === "confirmed" || (fate === "undone" && isAtRest(one));
    });
    switch (fateOf(view)) {
      case "undone":
        return view;
      case "confirmed":
        throw new ConflictError("NOT_CANCELLABLE", "The payment has settled this checkout; it can't be cancelled any more.", {
          details: { executionContextId: id },
        });
      case "open":
        if (view.status === "NEEDS_ATTENTION") return view;
        throw notHeard(id);
    }
  }

  async attemptPayment(command: AttemptCommand): Promise<AttemptResult> {
    const { executionContextId: id, method, instrumentId, waitMs } = command;
    const until = this.deps.clock.monotonic() + waitMs;
    const eventId = `${id}:payment:${command.idempotencyKey}`;
    const replayed = await this.isKept(eventId, { method, instrumentId });
    if (!replayed) {
      const { status, context } = await this.viewOf(id);
      const isExpected = status === "AWAITING_PAYMENT" && attemptsLeft(context) > 0;
      // Its twin may have been heard between the two looks: then this is its repetition.
      if (!isExpected && !(await this.isKept(eventId, { method, instrumentId }))) throw notExpected(id);
      await this.ask(id, eventId, { type: "ATTEMPT_PAYMENT", method, instrumentId });
      // Another request with this key may have come first, with another body.
      await this.isKept(eventId, { method, instrumentId });
    }
    const heard = await this.heard(id, eventId, until);
    if (!heard.hasEffect) throw notExpected(id);
    const view = await this.lookUntil(id, until, (one) => isAtRest(one) && !isRequesting(one.path));
    if (isRequesting(view.path)) throw notHeard(id);
    const later = await this.deps.store.history(id, heard.entry.seq, ENTRIES_MAX);
    if (wasPaidBefore(later)) {
      throw new ConflictError("ALREADY_PAID", "An earlier attempt has paid for this checkout; no other attempt was made.", {
        details: { executionContextId: id },
      });
    }
    return { view, replayed };
  }

  async resolve(command: ResolveCommand): Promise<CheckoutView> {
    const { executionContextId: id, operator, reference, target, waitMs } = command;
    const until = this.deps.clock.monotonic() + waitMs;
    const eventId = `${id}:resolve:${command.idempotencyKey}`;
    const named = { undo: null, pspReference: null, ...target, operator, reference };
    if (!(await this.isKept(eventId, named))) {
      const event: ResolveEvent = { type: "RESOLVE", resolutionId: this.deps.ids.next("rsl"), ...named };
      // A try that is under way ends soon, one way or the other.
      const isNotTried = (one: CheckoutView) => !/\.(deferred|refunding)\.running$/.test(one.path);
      // Of another version only the machine can say it, when it hears of this.
      const { isOfOtherVersion } = await this.standing(id);
      const isWaiting = isOfOtherVersion || isResolvable(await this.lookUntil(id, until, isNotTried), event);
      if (!isWaiting && !(await this.isKept(eventId, named))) throw nothingToResolve(id);
      await this.ask(id, eventId, { ...event });
      await this.isKept(eventId, named);
    }
    if (!(await this.heard(id, eventId, until)).hasEffect) throw nothingToResolve(id);
    return this.lookUntil(id, until, () => true);
  }

  /** Durable first, then told: who misses the call finds the row. */
  private async ask(id: string, eventId: string, event: JournaledEvent): Promise<void> {
    await this.deps.store.receiveCommand(SOURCE, eventId, id, event);
    // A node that can't be reached, or that holds it, hears of it from its own commits or its recovery.
    await this.deps.actors.notify(id).catch(() => undefined);
  }

  /** Whether this key was used for this checkout; ConflictError when it was for something else. */
  private async isKept(eventId: string, asked: Readonly<Record<string, unknown>>): Promise<boolean> {
    const kept = await this.deps.store.findReceived(SOURCE, eventId);
    if (kept === null) return false;
    if (Object.entries(asked).every(([name, value]) => kept.event[name] === value)) return true;
    throw new ConflictError(
      "IDEMPOTENCY_KEY_REUSED",
      "This Idempotency-Key was used for another request to this checkout. Use a new key for a new request.",
    );
  }

  /** The journal entry that consumed this command, and whether it changed anything. */
  private async heard(
    id: string,
    eventId: string,
    until: number,
  ): Promise<{ readonly entry: JournalEntry; readonly hasEffect: boolean }> {
    const seq = await this.look(
      id,
      until,
      async () => (await this.deps.store.findReceived(SOURCE, eventId))?.consumedSeq ?? null,
    );
    if (seq === null) throw notHeard(id);
    const [before, entry] = await this.deps.store.history(id, seq - 2, 2);
    if (before === undefined || entry === undefined) throw notHeard(id);
    return { entry, hasEffect: entry.contextHash !== before.contextHash };
  }

  private async viewOf(id: string): Promise<CheckoutView> {
    return (await this.standing(id)).view;
  }

  private async standing(
    id: string,
  ): Promise<{ readonly view: CheckoutView; readonly isParked: boolean; readonly isOfOtherVersion: boolean }> {
    const stored = await this.deps.view(id);
    if (stored === null) throw notHeard(id);
    const { isOfOtherVersion } = stored;
    const isParked = stored.parkedReason !== null;
    // A parked checkout can't say so itself: its machine is not running.
    return { view: isParked ? { ...stored.view, status: "NEEDS_ATTENTION" } : stored.view, isParked, isOfOtherVersion };
  }

  /**
   * The first view that is what is waited for, or the one that there is when the time is up, or nothing more can follow.
   * Of another version nothing can be told here: the request is kept, and joined where its version is known.
   */
  private async lookUntil(id: string, until: number, isIt: (view: CheckoutView) => boolean): Promise<CheckoutView> {
    const found = await this.look(id, until, async () => {
      const { view, isParked, isOfOtherVersion } = await this.standing(id);
      if (isOfOtherVersion) throw notHeard(id);
      return isParked || isIt(view) ? view : null;
    });
    return found ?? this.viewOf(id);
  }

  private async look<Found>(id: string, until: number, find: () => Promise<Found | null>): Promise<Found | null> {
    for (;;) {
      const found = await find();
      const remainingMs = until - this.deps.clock.monotonic();
      if (found !== null || remainingMs <= 0) return found;
      await this.deps.actors.audience.nextTransition(id, Math.min(remainingMs, LOOK_MS));
    }
  }
}

/** What can still become of a checkout: anything, or only one thing. */
function fateOf(view: CheckoutView): "open" | "undone" | "confirmed" {
  if (isPastPivot(view)) return "confirmed";
  return view.state === "ROLLEDBACK" || view.path.includes("undoing") ? "undone" : "open";
}

/** Nothing more follows by itself, or only after something that may take long. */
function isAtRest(view: CheckoutView): boolean {
  return view.finished || view.status === "NEEDS_ATTENTION" || view.path.endsWith(".awaitingPayment");
}

function isRequesting(path: string): boolean {
  return path.includes("requestingAttempt");
}

function isResolvable(view: CheckoutView, event: ResolveEvent): boolean {
  const isBetweenTries = /\.(deferred|refunding)\.backingOff$/.test(view.path);
  return isBetweenTries && resolvedBy(view.context, event) !== null;
}

/** Whether what ended the request for a new attempt was the capture of an earlier one. `later` follows that request. */
function wasPaidBefore(later: readonly JournalEntry[]): boolean {
  const end = later.findIndex(({ from, to }) => isRequesting(from ?? "") && !isRequesting(to));
  const reply = later[end];
  if (reply === undefined || !reply.to.includes("confirming")) return false;
  const output = reply.event["output"] as PaymentAttempt | undefined;
  // Without a reply nobody knows whose capture it was; the checkout says that it is paid.
  if (output === undefined) return false;
  if (output.isEarlier === true) return true;
  const isOfNewAttempt = ({ event }: JournalEntry) =>
    event.type === "payment_collection_requirement_success" &&
    (event["data"] as { readonly attemptId?: string }).attemptId === output.attemptId;
  return output.outcome.kind !== "captured" && !later.slice(0, end).some(isOfNewAttempt);
}

function notHeard(executionContextId: string): TransientError {
  return new TransientError("RETRY_SCHEDULED", "The request is kept and goes on in the background. Send it again to join it.", {
    details: { executionContextId },
    retryAfterMs: 1_000,
  });
}

function notExpected(executionContextId: string): ConflictError {
  return new ConflictError(
    "PAYMENT_NOT_EXPECTED",
    "This checkout waits for no payment attempt now. Look at it, and at its `payment.attemptsLeft`, before another one.",
    { details: { executionContextId } },
  );
}

function nothingToResolve(executionContextId: string): ConflictError {
  return new ConflictError(
    "NOTHING_TO_RESOLVE",
    "Nothing of that name waits for an operator. What has not failed for long, or is being tried right now, can't be resolved by hand.",
    { details: { executionContextId } },
  );
}
