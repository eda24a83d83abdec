/**
 * The subscriber's half: a handler gets each event of the checkouts once, in the order of its checkout.
 *
 * **Once** is delivery at least once plus a progress check. The broker delivers until it is acknowledged; an event is
 * acknowledged after its handler resolved and its position was recorded; what is at or before the recorded position is
 * acknowledged unseen, and what is not the very next one waits. Between the handler's effect and the record a process can
 * die: then the handler runs again for that event, unless it records the position in its own transaction (`Progress`).
 * With that, the effect happens exactly once. Without, make the effect idempotent by `event.id`.
 *
 * **Several processes.** A pull consumer hands each message to any of the processes that share its name, and knows no
 * order among them: it would give events 1 and 2 of a checkout to two processes at once. nats-server 2.9 can't spread
 * subjects over them either. So one process is active, by a lease in a key-value bucket that is only ever written by
 * compare-and-set (lease.ts), and the others wait to take over: within a fifth of `leaseMs` after a clean stop; after a
 * crash within `leaseMs`, and what the dead one had in its hands within `ackWaitMs`. A claim per checkout would let all
 * work at once; it would cost a second write per event and have processes poll for one another's progress, and the
 * handlers of one process, which wait for I/O, are rarely what limits. More throughput: raise `concurrency`, or subscribe
 * to each type by a durable name of its own.
 *
 * A process that is paused for longer than both times (a stopped machine) may run a handler while the next process does.
 * No lease can prevent that. The progress refuses the later of the two: by the transaction, where it is in one.
 */
import { jetstream } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { natsAddress } from "../messaging/nats-address.ts";
import { NatsBucket } from "./bucket.ts";
import { systemClock } from "./clock.ts";
import { ensureConsumer } from "./consumer.ts";
import { DeadLetters } from "./dead-letters.ts";
import { SubscriptionError } from "./errors.ts";
import { GapWatch } from "./gaps.ts";
import { interestIn } from "./interest.ts";
import { Lease } from "./lease.ts";
import { settingsOf, type Settings, type SubscribeOptions } from "./options.ts";
import { NatsProgress } from "./progress.ts";
import { Subscriber } from "./subscriber.ts";
import { Turns } from "./turns.ts";
import { Workers } from "./workers.ts";

export type { CloudEvent } from "../messaging/bus.ts";
export { SubscriptionError, type SubscriptionCode } from "./errors.ts";
export type { DeadLetter, Delivery, Gap, GapAnswer, Handler, Limits, SubscribeOptions, Where } from "./options.ts";
export type { Progress } from "./progress.ts";

/** A question without an answer by then has an unknown outcome. */
const ANSWER_MAX_MS = 5_000;
const RECONNECT_WAIT_MS = 500;

export interface Subscription {
  /**
   * Begins nothing more, waits `drainMs` for the handlers under way, then aborts their signals, and resolves a second later
   * at most. A connection that was passed in stays open. Safe twice.
   */
  stop(): Promise<void>;
  /** Resolves when the subscription is over: null after `stop()`, CONNECTION_CLOSED when the connection is closed for good. */
  readonly closed: Promise<SubscriptionError | null>;
}

/**
 * Resolves when the durable consumer is there, whether or not this process is the active one. Rejects with SubscriptionError
 * OPTIONS_INVALID, STREAM_MISSING or DURABLE_TAKEN, and with the client's error when the broker does not answer. Afterwards
 * a broker that is away is waited for, and `onError` is told. A connection that is passed in must have
 * `maxReconnectAttempts: -1` for that.
 */
export async function subscribe(options: SubscribeOptions): Promise<Subscription> {
  const settings = settingsOf(options);
  const connection = options.connection ?? (await connectTo(options.servers, settings.durable));
  const isOwn = options.connection === undefined;
  try {
    const subscriber = await start(connection, settings, options);
    const stop = async () => {
      await subscriber.stop();
      if (isOwn) await connection.close();
    };
    return { stop, closed: closedOf(connection, subscriber) };
  } catch (error) {
    if (isOwn) await connection.close();
    throw error;
  }
}

async function start(connection: NatsConnection, settings: Settings, options: SubscribeOptions): Promise<Subscriber> {
  const { durable, replicas, onError } = settings;
  const interest = interestIn(options.types);
  const manager = await jetstream(connection, { timeout: ANSWER_MAX_MS }).jetstreamManager(false);
  const bucket = new NatsBucket(manager, replicas);
  const ensure = async () => {
    await ensureConsumer(manager, interest.filter, settings);
    await bucket.ensure();
  };
  await ensure();
  const clock = systemClock;
  const lease = new Lease(bucket, clock, `lease.${durable}`, settings.leaseMs, onError);
  const progress = options.progress ?? new NatsProgress(bucket, durable);
  const deadLetters = new DeadLetters(manager, durable, replicas);
  const [ending, closed] = [new AbortController(), new AbortController()];
  const gaps = new GapWatch(manager, clock, interest, settings);
  const turns = new Turns({ settings, clock, interest, progress, gaps, deadLetters, lease, closed: closed.signal });
  const workers = new Workers({ settings, clock, interest, turns, deadLetters, lease, ending: ending.signal });
  return new Subscriber({ connection, manager, settings, clock, lease, workers, ensure, ending, closed });
}

function connectTo(servers: string | string[], durable: string): Promise<NatsConnection> {
  return connect({
    ...natsAddress([servers].flat()),
    name: `checkout-subscriber ${durable}`,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
  });
}

async function closedOf(connection: NatsConnection, subscriber: Subscriber): Promise<SubscriptionError | null> {
  const cause = await Promise.race([connection.closed(), subscriber.stopping.then(() => null)]);
  const isOurWish = subscriber.isStopping;
  await subscriber.stop();
  if (isOurWish) return null;
  return new SubscriptionError("CONNECTION_CLOSED", "The connection to the broker is closed for good. Subscribe again.", {
    cause,
  });
}
