/** A broker that keeps what it gets, and forgets after a while which ids it has had. */
import type { Bus, CloudEvent } from "../../messaging/bus.ts";
import type { Clock } from "../../steps/ports.ts";
import type { Faults } from "./faults.ts";

/** Shorter than an outage may last: what is published again later is there twice. */
const DEDUP_WINDOW_MS = 10_000;

export class SimulatedBus implements Bus {
  readonly stored: CloudEvent[] = [];
  readonly #seenAt = new Map<string, number>();

  constructor(
    private readonly clock: Pick<Clock, "now">,
    private readonly faults: Faults,
  ) {}

  async publish(event: CloudEvent): Promise<void> {
    if (this.faults.strikes("bus: publication lost")) throw new Error("The publication was lost.");
    const seenAt = this.#seenAt.get(event.id);
    if (seenAt === undefined || seenAt <= this.clock.now() - DEDUP_WINDOW_MS) this.stored.push(event);
    this.#seenAt.set(event.id, this.clock.now());
    if (this.faults.strikes("bus: acknowledgement lost")) throw new Error("The acknowledgement was lost.");
  }

  async ping(): Promise<void> {}

  async stop(): Promise<void> {}
}
