/** The events in this process's hands: so many checkouts at once, each by one worker at a time. */
import type { JsMsg } from "@nats-io/jetstream";
import type { Clock } from "./clock.ts";
import type { DeadLetters } from "./dead-letters.ts";
import { eventIn } from "./envelope.ts";
import { SubscriptionError } from "./errors.ts";
import type { Interest } from "./interest.ts";
import { Lane } from "./lane.ts";
import type { Lease } from "./lease.ts";
import type { Settings } from "./options.ts";
import { backoffMs, type Turns } from "./turns.ts";

const LOOK_FIRST_MS = 100;
const LOOK_MOST_MS = 10_000;
/** What waits for something else goes back to the broker when we are this full; a pull asks for what is then free. */
const ROOM_SHARE = 0.25;
const GIVEN_BACK_MS = 5_000;

export interface Duties {
  readonly settings: Settings;
  readonly clock: Clock;
  readonly interest: Interest;
  readonly turns: Turns;
  readonly deadLetters: DeadLetters;
  readonly lease: Pick<Lease, "isTrusted" | "term">;
  /** Aborted when the handlers under way have to end. */
  readonly ending: AbortSignal;
}

export class Workers {
  readonly #lanes = new Map<string, Lane>();
  readonly #ready: Lane[] = [];
  #running = 0;
  #term = 0;
  #isDraining = false;
  #waiters: (() => void)[] = [];

  constructor(private readonly duties: Duties) {}

  /** How many more events may be taken; when it is too few to ask for, what is blocked goes back. */
  room(): number {
    const { inHandMax } = this.duties.settings;
    const wanted = Math.max(1, Math.floor(inHandMax * ROOM_SHARE));
    if (inHandMax - this.#inHand() < wanted) {
      for (const lane of this.#lanes.values()) if (lane.isBlocked) this.#giveBack(lane, GIVEN_BACK_MS);
    }
    const room = inHandMax - this.#inHand();
    return room < wanted ? 0 : room;
  }

  /** Resolves after the next turn of any checkout. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  take(message: JsMsg): void {
    if (this.#isDraining || !this.duties.lease.isTrusted) return message.nak();
    const event = eventIn(message);
    if (event === null) return void this.#bury(message);
    const lane = this.#lanes.get(event.subject) ?? new Lane(event.subject);
    this.#lanes.set(event.subject, lane);
    lane.add({ message, event, position: this.duties.interest.positionOf(event) });
    this.#queue(lane);
  }

  /** The broker must not think us dead because the one before takes long. */
  heartbeat(): void {
    for (const lane of this.#lanes.values()) for (const { message } of lane.held) message.working();
    // What was held back while the lease was overdue: it may have been renewed, with its term never over.
    this.#begin();
  }

  /** The lease is lost: what was not begun goes to whoever has it now. */
  drop(): void {
    this.#term++;
    this.#ready.length = 0;
    for (const lane of this.#lanes.values()) {
      this.#giveBack(lane, 0);
      if (lane.state !== "running") this.#retire(lane);
    }
  }

  /** Begins nothing more, and resolves when nothing is running. */
  async drain(): Promise<void> {
    this.#isDraining = true;
    this.drop();
    while (this.#running > 0) await this.changed();
  }

  #queue(lane: Lane): void {
    if (lane.state !== "resting") return;
    lane.unset();
    lane.state = "ready";
    this.#ready.push(lane);
    this.#begin();
  }

  #begin(): void {
    const { settings, lease } = this.duties;
    while (this.#running < settings.concurrency && lease.isTrusted && !this.#isDraining) {
      const lane = this.#ready.shift();
      if (lane === undefined) return;
      lane.state = "running";
      this.#running++;
      void this.#turn(lane).finally(() => {
        this.#running--;
        this.#begin();
        for (const resolve of this.#waiters.splice(0)) resolve();
      });
    }
  }

  async #turn(lane: Lane): Promise<void> {
    const { turns, lease, ending, settings } = this.duties;
    if (lane.term !== this.#term) {
      lane.forget();
      lane.term = this.#term;
    }
    const after = await turns.take(lane, AbortSignal.any([lease.term, ending])).catch((error: unknown) => {
      if (!ending.aborted) settings.onError(error, { checkout: lane.checkout });
      return "look" as const;
    });
    lane.state = "resting";
    if (lane.term !== this.#term) {
      this.#giveBack(lane, 0);
      lane.forget();
    }
    if (lane.size === 0) {
      // What failed, and which gap was told, is remembered until it is over.
      if (lane.failed === null && lane.gap === null) this.#retire(lane);
    } else if (after === "look") this.#look(lane);
    else this.#queue(lane);
  }

  /** Somebody else may have moved the progress: an operator, or the process that was active before. */
  #look(lane: Lane): void {
    lane.lookMs = Math.min(Math.max(lane.lookMs * 2, LOOK_FIRST_MS), LOOK_MOST_MS, this.duties.settings.gapAgainMs);
    lane.unset();
    lane.unset = this.duties.clock.after(lane.lookMs, () => this.#queue(lane));
  }

  #giveBack(lane: Lane, delayMs: number): void {
    for (const { message } of lane.takeWaiting()) message.nak(delayMs);
  }

  #retire(lane: Lane): void {
    lane.forget();
    lane.state = "resting";
    if (this.#lanes.get(lane.checkout) === lane) this.#lanes.delete(lane.checkout);
  }

  #inHand(): number {
    let count = 0;
    for (const lane of this.#lanes.values()) count += lane.size;
    return count;
  }

  /** A message without a number has no place in an order that could wait for it. */
  async #bury(message: JsMsg): Promise<void> {
    const { deadLetters, settings } = this.duties;
    const attempts = message.info.deliveryCount;
    const error = new SubscriptionError(
      "MALFORMED",
      `Message ${message.seq} under ${message.subject} is no event of a checkout.`,
    );
    try {
      const subject = await deadLetters.keep(message, error);
      message.ack();
      settings.onDeadLetter({ event: null, subject, attempts, error, outcome: "dead-lettered" });
    } catch (failure) {
      settings.onError(failure);
      message.nak(backoffMs(attempts, settings));
    }
  }
}
