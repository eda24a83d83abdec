/** A later event is there and an earlier one is not: is that an order of delivery, or a loss? The stream knows. */
import type { JetStreamManager, MsgRequest } from "@nats-io/jetstream";
import { CHECKOUT_STREAM } from "../messaging/subjects.ts";
import type { Clock } from "./clock.ts";
import { eventIn } from "./envelope.ts";
import type { Interest } from "./interest.ts";
import type { Held, Lane } from "./lane.ts";
import type { Settings } from "./options.ts";

/** A checkout has a dozen events. */
const LOOKED_AT_MAX = 10_000;

export class GapWatch {
  constructor(
    private readonly manager: JetStreamManager,
    private readonly clock: Clock,
    private readonly interest: Interest,
    private readonly settings: Settings,
  ) {}

  /**
   * What is stored is on its way: it is being tried, or is delivered when the broker's wait for a dead process is over. So
   * it is told late; what is not stored, at once: an event is published after the ones before it. Resolves with the last
   * position that is to be skipped; null = to wait.
   */
  async look(lane: Lane, next: Held): Promise<number | null> {
    const now = this.clock.monotonic();
    const position = (lane.last ?? 0) + 1;
    const { gapAgainMs } = this.settings;
    const seen = lane.gap?.position === position ? lane.gap : null;
    if (seen !== null && now < seen.tellAtMs) return null;
    // What failed here is known to be stored. Asked once: it may come between two answers.
    const stored = lane.failed?.position === position ? position : await this.#firstStored(lane.checkout, position);
    const isStored = stored === position;
    const isTold = seen !== null || !isStored;
    const gap = seen ?? { position, sinceMs: now, times: 0 };
    const times = gap.times + (isTold ? 1 : 0);
    lane.gap = { ...gap, times, tellAtMs: now + gapAgainMs };
    if (!isTold) return null;
    // Not beyond one that is stored and on its way: "skip" would lose it.
    const to = isStored ? next.position - 1 : Math.min(next.position, stored) - 1;
    const answer = await this.settings.onGap({
      checkout: lane.checkout,
      missing: { from: position, to },
      waiting: next.event,
      isStored,
      times,
      waitedMs: Math.round(now - gap.sinceMs),
    });
    return answer === "skip" ? to : null;
  }

  /** The lowest position at `position` or after it; Infinity = there is none. */
  async #firstStored(checkout: string, position: number): Promise<number> {
    let [seq, first] = [1, Number.POSITIVE_INFINITY];
    for (let looked = 0; looked < LOOKED_AT_MAX; looked++) {
      const query = { seq, next_by_subj: this.interest.subjectOf(checkout) };
      // The broker answers it since 2.9; the client's type of this call does not name it.
      const message = await this.manager.streams.getMessage(CHECKOUT_STREAM, query as unknown as MsgRequest);
      if (message === null) break;
      const event = eventIn(message);
      const found = event === null ? 0 : this.interest.positionOf(event);
      if (found === position) return position;
      if (found > position) first = Math.min(first, found);
      seq = message.seq + 1;
    }
    return first;
  }
}
