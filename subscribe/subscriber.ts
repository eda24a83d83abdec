/** The loop: become the active process, pull, and hand over when that ends. */
import type { ConsumerMessages, JetStreamManager } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import { CHECKOUT_STREAM } from "../messaging/subjects.ts";
import { isWithin, pause, type Clock } from "./clock.ts";
import { SubscriptionError } from "./errors.ts";
import type { Lease } from "./lease.ts";
import type { Settings } from "./options.ts";
import type { Workers } from "./workers.ts";

const PULL_MS = 5_000;
/** A pull that a broker forgot in its restart is noticed after twice as long. */
const PULL_HEARTBEAT_MS = 500;
const AGAIN_MS = 500;
const HEARTBEATS_PER_ACK_WAIT = 3;
/** Handlers that were told to end get so long to do so. */
const ABORTED_MS = 1_000;

export interface SubscriberParts {
  readonly connection: NatsConnection;
  readonly manager: JetStreamManager;
  readonly settings: Settings;
  readonly clock: Clock;
  readonly lease: Lease;
  readonly workers: Workers;
  /** Makes what is missing on the broker. */
  readonly ensure: () => Promise<void>;
  /** Told to handlers, when they have to end. */
  readonly ending: AbortController;
  /** Nothing is recorded any more. */
  readonly closed: AbortController;
}

export class Subscriber {
  readonly #stopping = new AbortController();
  #endHeartbeats = () => {};
  #stopped: Promise<void> | null = null;
  readonly #ended: Promise<void>;
  /** Resolves as soon as `stop()` is called. */
  readonly stopping: Promise<void>;

  constructor(private readonly parts: SubscriberParts) {
    this.stopping = new Promise((resolve) => this.#stopping.signal.addEventListener("abort", () => resolve(), { once: true }));
    this.#beatOn();
    this.#ended = this.#work();
  }

  get isStopping(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** Safe twice. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop();
    return this.#stopped;
  }

  #beatOn(): void {
    const { clock, workers, settings } = this.parts;
    this.#endHeartbeats = clock.after(settings.ackWaitMs / HEARTBEATS_PER_ACK_WAIT, () => {
      workers.heartbeat();
      this.#beatOn();
    });
  }

  async #work(): Promise<void> {
    const { lease, workers, settings } = this.parts;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await lease.acquire(signal);
        await this.#pullWhile(AbortSignal.any([signal, lease.term]));
      } catch (error) {
        if (!signal.aborted) settings.onError(error);
      }
      if (signal.aborted) return;
      settings.onError(lease.term.reason);
      workers.drop();
    }
  }

  async #pullWhile(active: AbortSignal): Promise<void> {
    const { clock, workers, manager, settings, ensure } = this.parts;
    const over = new Promise<void>((resolve) => active.addEventListener("abort", () => resolve(), { once: true }));
    while (!active.aborted) {
      const room = workers.room();
      if (room === 0) {
        await Promise.race([workers.changed(), over]);
        continue;
      }
      try {
        const consumer = await manager.jetstream().consumers.get(CHECKOUT_STREAM, settings.durable);
        await this.#pull(
          await consumer.fetch({ max_messages: room, expires: PULL_MS, idle_heartbeat: PULL_HEARTBEAT_MS }),
          active,
        );
      } catch (error) {
        if (active.aborted) return;
        settings.onError(error);
        // The broker may have lost its disk, and our consumer with it.
        await ensure().catch(settings.onError);
        // Aborted: nothing is left to wait for.
        await pause(clock, AGAIN_MS, active).catch(() => {});
      }
    }
  }

  async #pull(messages: ConsumerMessages, active: AbortSignal): Promise<void> {
    const close = () => void messages.close();
    active.addEventListener("abort", close, { once: true });
    if (active.aborted) close();
    try {
      // What came before it was closed comes out of it still, and is given back by the workers.
      for await (const message of messages) this.parts.workers.take(message);
    } finally {
      active.removeEventListener("abort", close);
      close();
    }
  }

  async #stop(): Promise<void> {
    const { clock, workers, settings, lease, ending, closed, connection } = this.parts;
    this.#stopping.abort();
    const drained = Promise.all([workers.drain(), this.#ended]);
    if (!(await isWithin(clock, settings.drainMs, drained))) {
      ending.abort(new SubscriptionError("STOPPED", "The subscription is stopped."));
      await isWithin(clock, ABORTED_MS, drained);
    }
    closed.abort(new SubscriptionError("STOPPED", "The subscription is stopped."));
    this.#endHeartbeats();
    await lease.release();
    // Acknowledgements are only sent; this waits until the broker has them.
    if (!connection.isClosed()) await connection.flush().catch(settings.onError);
  }
}
