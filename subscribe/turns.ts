/** One turn of a checkout: at most one event is handled, and recorded, before anything else of that checkout is looked at. */
import { pause, type Clock } from "./clock.ts";
import type { DeadLetters } from "./dead-letters.ts";
import { SubscriptionError } from "./errors.ts";
import type { GapWatch } from "./gaps.ts";
import type { Interest } from "./interest.ts";
import type { Failed, Held, Lane } from "./lane.ts";
import type { Lease } from "./lease.ts";
import type { Settings } from "./options.ts";
import type { Progress } from "./progress.ts";

/**
 * The broker counts deliveries, and a process that crashes takes everything in its hands one further. So nothing is given
 * up before this process saw it fail as often itself.
 */
const REJECTIONS_SEEN_MIN = 2;
const RECORD_FIRST_MS = 100;
const RECORD_MOST_MS = 5_000;

/** What the lane does next: another turn, a look after a while, or nothing until something is delivered. */
export type After = "again" | "look" | "rest";

export interface Parts {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly interest: Interest;
  readonly progress: Progress;
  readonly gaps: GapWatch;
  readonly deadLetters: DeadLetters;
  readonly lease: Pick<Lease, "isTrusted">;
  /** Aborted: nothing is recorded any more. */
  readonly closed: AbortSignal;
}

export class Turns {
  constructor(private readonly parts: Parts) {}

  /** `abort` ends the handler. Rejects where progress can't be read, or not written any more; what is held then stays. */
  async take(lane: Lane, abort: AbortSignal): Promise<After> {
    // Always ours while the lease is, so it is read once; the lane forgets it with the lease.
    lane.last ??= await this.parts.progress.last(lane.checkout);
    this.#acknowledge(lane);
    const { next } = lane;
    if (next === undefined) return "rest";
    if (next.position > lane.last + 1) {
      const skipTo = await this.parts.gaps.look(lane, next);
      if (skipTo === null) {
        lane.last = null;
        return "look";
      }
      // Another look then: somebody else may have gone on from here.
      await this.#record(lane, skipTo);
      return "again";
    }
    lane.gap = null;
    await this.#handle(lane, next, abort);
    return lane.next === undefined ? "rest" : "again";
  }

  async #handle(lane: Lane, next: Held, abort: AbortSignal): Promise<void> {
    if (this.parts.interest.isWanted(next.event)) {
      // By the clock: the process may have stood still since its turn began.
      if (abort.aborted || !this.parts.lease.isTrusted) return this.#giveBack(lane, next.position, 0);
      try {
        await this.#run(next, lane.last ?? 0, abort);
      } catch (error) {
        return this.#rejected(lane, next, error, abort);
      }
    }
    await this.#record(lane, next.position);
  }

  async #run({ event, message, position }: Held, from: number, abort: AbortSignal): Promise<void> {
    const { handler, handlerMs, onError } = this.parts.settings;
    const slow = new AbortController();
    const attempt = message.info.deliveryCount;
    const cancel = this.parts.clock.after(handlerMs, () => {
      const error = new SubscriptionError("HANDLER_SLOW", `The handler of ${event.id} did not end within ${handlerMs} ms.`);
      onError(error, { checkout: event.subject, eventId: event.id, attempt });
      slow.abort(error);
    });
    try {
      await handler(event, { attempt, signal: AbortSignal.any([abort, slow.signal]), from, to: position });
    } finally {
      cancel();
    }
  }

  /** Until it is known: an event that was handled and not recorded would be handled again. Safe without the lease, by `from`. */
  async #record(lane: Lane, to: number): Promise<void> {
    const from = lane.last ?? 0;
    for (let waitMs = RECORD_FIRST_MS; ; waitMs = Math.min(waitMs * 2, RECORD_MOST_MS)) {
      try {
        lane.last = await this.parts.progress.advance(lane.checkout, from, to);
        break;
      } catch (error) {
        this.parts.closed.throwIfAborted();
        this.parts.settings.onError(error, { checkout: lane.checkout });
      }
      await pause(this.parts.clock, waitMs, this.parts.closed);
    }
    if (lane.last < to) {
      const message = `The progress of ${lane.checkout} stands at ${lane.last}, not at ${from}: somebody else set it.`;
      this.parts.settings.onError(new SubscriptionError("PROGRESS_MOVED", message), { checkout: lane.checkout });
    }
    this.#acknowledge(lane);
  }

  /** Only what is recorded. A lost acknowledgement is harmless: it comes again, and is found to be handled. */
  #acknowledge(lane: Lane): void {
    const last = lane.last ?? 0;
    for (const { message } of lane.takeUpTo(last)) message.ack();
    if (lane.failed !== null && lane.failed.position <= last) lane.failed = null;
  }

  async #rejected(lane: Lane, next: Held, error: unknown, abort: AbortSignal): Promise<void> {
    const { settings } = this.parts;
    const { event, message, position } = next;
    const attempt = message.info.deliveryCount;
    // Its end was our wish: no failure, and whoever is active now gets it at once.
    if (abort.aborted) return this.#giveBack(lane, position, 0);
    settings.onError(error, { checkout: lane.checkout, eventId: event.id, attempt });
    const before = lane.failed?.position === position ? lane.failed : { position, times: 0, isTold: false };
    lane.failed = { ...before, times: before.times + 1 };
    const isLast = attempt >= settings.attemptsMax && lane.failed.times >= Math.min(REJECTIONS_SEEN_MIN, settings.attemptsMax);
    if (isLast && (await this.#isOver(lane, lane.failed, next, error))) return;
    // Read anew before the next attempt: the handler's transaction may have recorded it, and only the answer was lost.
    lane.last = null;
    this.#giveBack(lane, position, backoffMs(attempt, settings));
  }

  /** False: it is tried on, by the subscriber's wish, or because it could not be put aside. */
  async #isOver(lane: Lane, failed: Failed, { event, message, position }: Held, error: unknown): Promise<boolean> {
    const { settings, deadLetters, progress } = this.parts;
    const letter = { event, subject: message.subject, attempts: message.info.deliveryCount, error };
    try {
      lane.last = await progress.last(lane.checkout);
      if (lane.last < position && settings.afterAttempts === "stop") {
        if (!failed.isTold) settings.onDeadLetter({ ...letter, outcome: "stopped" });
        lane.failed = { ...failed, isTold: true };
        return false;
      }
      if (lane.last < position) {
        const subject = await deadLetters.keep(message, error);
        settings.onDeadLetter({ ...letter, subject, outcome: "dead-lettered" });
      }
    } catch (failure) {
      settings.onError(failure, { checkout: lane.checkout, eventId: event.id });
      return false;
    }
    if (lane.last < position) await this.#record(lane, position);
    else this.#acknowledge(lane);
    return true;
  }

  #giveBack(lane: Lane, position: number, delayMs: number): void {
    for (const { message } of lane.takeUpTo(position)) message.nak(delayMs);
  }
}

/** `attempt` is 1-based. */
export function backoffMs(attempt: number, limits: { readonly backoffFirstMs: number; readonly backoffMostMs: number }): number {
  return Math.min(limits.backoffFirstMs * 2 ** Math.min(attempt - 1, 30), limits.backoffMostMs);
}
