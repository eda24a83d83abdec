/** Events on NATS JetStream: each stored once, in the order of its checkout, whatever is lost on the way. */
import { JetStreamApiError } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { TerminalError } from "../machines/errors.ts";
import type { Bus, CloudEvent } from "./bus.ts";
import { asUnavailable, type Link } from "./nats-connection.ts";
import { Recent } from "./recent.ts";
import { CHECKOUT_STREAM, REPLAY_STREAM, replaySubjectOf, subjectOf } from "./subjects.ts";

/** So many are remembered: the next event of the same type and checkout then needs no look at the one before. */
const SUBJECTS_MAX = 10_000;
const WRONG_LAST_SEQUENCE = 10_071;
const MESSAGE_TOO_LARGE = 10_054;
const ID_HEADER = "Nats-Msg-Id";
const STREAM_HEADER = "Nats-Expected-Stream";
const LAST_SEQUENCE_HEADER = "Nats-Expected-Last-Subject-Sequence";
const MEDIA_TYPE = "application/cloudevents+json";

interface Last {
  /** Of the newest message of a subject in the stream; 0 = there is none. */
  readonly sequence: number;
  readonly eventId: string | null;
}

interface Place {
  readonly stream: string;
  readonly subject: string;
}

type Broker = Awaited<ReturnType<Link["broker"]>>;

export class NatsBus implements Bus {
  /** By subject, the last that this node published. */
  readonly #published = new Recent<{ readonly typeseq: number; readonly sequence: number }>(SUBJECTS_MAX);

  constructor(private readonly link: Link) {
    link.onUp(() => this.#published.clear());
  }

  /**
   * The broker forgets ids after minutes, a subject's last sequence only with its messages: an event that is published
   * again as long as the stream keeps them is refused by that, and found to be there.
   */
  async publish(event: CloudEvent): Promise<void> {
    const broker = await this.link.broker();
    const subject = subjectOf(event);
    const before = this.#sequenceBefore(event, subject);
    if (before !== null && (await this.#isStoredAfter(broker, event, before))) return;
    const last = await lastOf(broker, subject);
    if (isStored(event, last) || (await this.#isStoredAfter(broker, event, last.sequence))) return;
    throw asUnavailable(new Error(`Somebody else publishes to ${subject} at the same time.`));
  }

  /** Once more, for whoever lost it: beside the stream, whose order is the checkout's. */
  async replay(event: CloudEvent, replayId: string): Promise<void> {
    const broker = await this.link.broker();
    const place = { stream: REPLAY_STREAM, subject: replaySubjectOf(event) };
    await this.#send(broker, place, event, { [ID_HEADER]: `${event.id}:${replayId}` });
  }

  async ping(): Promise<void> {
    await this.link.broker();
  }

  async stop(): Promise<void> {
    await this.link.close();
  }

  /** Of the event before it, of its type and checkout; 0 = it is the first; null = whoever published that one, it was not us. */
  #sequenceBefore({ typeseq }: CloudEvent, subject: string): number | null {
    if (typeseq === 1) return 0;
    const last = this.#published.get(subject);
    return last?.typeseq === typeseq - 1 ? last.sequence : null;
  }

  /** False: another message of its subject is the last one. */
  async #isStoredAfter(broker: Broker, event: CloudEvent, sequence: number): Promise<boolean> {
    const subject = subjectOf(event);
    const expected = { [ID_HEADER]: event.id, [STREAM_HEADER]: CHECKOUT_STREAM, [LAST_SEQUENCE_HEADER]: String(sequence) };
    try {
      const stored = await this.#send(broker, { stream: CHECKOUT_STREAM, subject }, event, expected);
      this.#published.set(subject, { typeseq: event.typeseq, sequence: stored });
      return true;
    } catch (error) {
      if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) return false;
      throw error;
    }
  }

  /** The sequence under which it is stored. TerminalError EVENT_TOO_LARGE; TransientError BROKER_UNAVAILABLE. */
  async #send(
    broker: Broker,
    { stream, subject }: Place,
    event: CloudEvent,
    orders: Readonly<Record<string, string>>,
  ): Promise<number> {
    const sent = headers();
    sent.set("content-type", MEDIA_TYPE);
    if (event.traceparent !== undefined) sent.set("traceparent", event.traceparent);
    for (const [name, value] of Object.entries(orders)) sent.set(name, value);
    try {
      return (await broker.publisher.publish(stream, subject, JSON.stringify(event), sent)).seq;
    } catch (error) {
      if (isTooLarge(error)) {
        throw new TerminalError(
          "EVENT_TOO_LARGE",
          `${event.id} is larger than the broker takes. Raise its limit; a connection that stands learns of it when it is made again.`,
          {
            cause: error,
          },
        );
      }
      if (error instanceof JetStreamApiError && error.code === WRONG_LAST_SEQUENCE) throw error;
      // Without an answer the streams may be gone with the broker's disk.
      this.link.forgetStreams();
      throw asUnavailable(error);
    }
  }
}

async function lastOf({ manager }: Broker, subject: string): Promise<Last> {
  try {
    const message = await manager.streams.getMessage(CHECKOUT_STREAM, { last_by_subj: subject });
    if (message === null) return { sequence: 0, eventId: null };
    return { sequence: message.seq, eventId: message.header.get(ID_HEADER) };
  } catch (error) {
    throw asUnavailable(error);
  }
}

/** A subject holds a checkout's events of one type in their order: what comes later was stored after this one. */
function isStored({ id, subject, seq }: CloudEvent, { eventId }: Last): boolean {
  if (eventId === null || !eventId.startsWith(`${subject}:`)) return eventId === id;
  return Number(eventId.slice(subject.length + 1)) >= seq;
}

/** By the stream's limit, or by the connection's. */
function isTooLarge(error: unknown): boolean {
  if (error instanceof JetStreamApiError) return error.code === MESSAGE_TOO_LARGE;
  return error instanceof Error && /max_?\s?payload/i.test(error.message);
}
