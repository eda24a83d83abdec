/** A later event is there and an earlier one is not: is that an order of delivery, or a loss? The stream knows. */
import type { JetStreamManager, MsgRequest } from "@nats-io/jetstream";
import { CHECKOUT_STREAM } from "../messaging/subjects.ts";
import { eventIn } from "./envelope.ts";
import type { Interest } from "./interest.ts";
import type { Held, Lane } from "./lane.ts";
import type { GapAnswer, Settings } from "./options.ts";

/** A checkout has a dozen events. */
const LOOKED_AT_MAX = 10_000;

export class GapWatch {
  constructor(
    private readonly manager: JetStreamManager,
    private readonly interest: Interest,
    private readonly settings: Settings,
  ) {}

  /**
   * What is stored is on its way: it is being tried, or is delivered when the broker's wait for a dead process is over. So
   * it is told late; what is not stored, at once: an event is published after the ones before it.
   */
  async look(lane: Lane, next: Held): Promise<GapAnswer> {
    const now = performance.now();
    const position = (lane.last ?? 0) + 1;
    const { gapAgainMs } = this.settings;
    if (lane.gap?.position !== position) {
      lane.gap = { position, sinceMs: now, times: 0, tellAtMs: now + gapAgainMs };
      // What failed here is known to be stored.
      if (lane.failed?.position === position || (await this.#isStored(lane.checkout, position))) return "wait";
    } else if (now < lane.gap.tellAtMs) return "wait";
    const times = lane.gap.times + 1;
    lane.gap = { ...lane.gap, times, tellAtMs: now + gapAgainMs };
    return this.settings.onGap({
      checkout: lane.checkout,
      missing: { from: position, to: next.position - 1 },
      waiting: next.event,
      isStored: await this.#isStored(lane.checkout, position),
      times,
      waitedMs: Math.round(now - lane.gap.sinceMs),
    });
  }

  async #isStored(checkout: string, position: number): Promise<boolean> {
    let seq = 1;
    for (let looked = 0; looked < LOOKED_AT_MAX; looked++) {
      const query = { seq, next_by_subj: this.interest.subjectOf(checkout) };
      // The broker answers it since 2.9; the client's type of this call does not name it.
      const message = await this.manager.streams.getMessage(CHECKOUT_STREAM, query as unknown as MsgRequest);
      if (message === null) return false;
      const event = eventIn(message);
      if (event !== null && this.interest.positionOf(event) === position) return true;
      seq = message.seq + 1;
    }
    return false;
  }
}
