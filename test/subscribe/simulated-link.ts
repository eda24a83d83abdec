/** JetStream's client, as far as a subscriber uses it, for one process over the simulated consumer. */
import type { ConsumerMessages, JetStreamManager, JsMsg } from "@nats-io/jetstream";
import type { NatsConnection } from "@nats-io/transport-node";
import type { PullRequest, SimulatedConsumer, Stored } from "./simulated-consumer.ts";
import type { Way } from "./simulated-way.ts";

const DELIVERY_LATE_MAX_MS = 3_000;
/** The client notices by then that nobody knows of its pull. */
const FORGOTTEN_MS = 1_000;

export interface Link {
  readonly manager: JetStreamManager;
  readonly connection: NatsConnection;
}

export interface LinkParts {
  readonly way: Way;
  readonly consumer: SimulatedConsumer;
  /** Stores a dead letter, when the store is reached. */
  readonly bury: (subject: string, data: Uint8Array) => void;
  /** The stream is being read from its beginning for such a subject. */
  readonly asked: (subject: string) => void;
  /** Where a plant gets hold of a message. */
  readonly seen: (message: JsMsg) => JsMsg;
}

export function linkOf({ way, consumer, bury, asked, seen }: LinkParts): Link {
  const isBuryingDown = () => way.faults.strikes("dead letters: down");
  const pull = async ({ max_messages, expires }: { readonly max_messages: number; readonly expires: number }) => {
    const messages = new Pull(way, consumer, max_messages, seen);
    if (way.faults.strikes("call: request lost")) messages.endAfter(FORGOTTEN_MS);
    else messages.ask(expires);
    return messages;
  };
  const client = {
    publish: (subject: string, data: Uint8Array) => way.call(() => bury(subject, data), isBuryingDown),
    consumers: { get: () => way.call(() => ({ fetch: pull })) },
  };
  const manager = {
    jetstream: () => client,
    streams: {
      info: () => way.call(() => ({})),
      getMessage: (_: string, query: { readonly seq: number; readonly next_by_subj: string }) =>
        way.call(() => {
          if (query.seq === 1) asked(query.next_by_subj);
          return consumer.next(query.seq, query.next_by_subj);
        }),
    },
  };
  const connection = { isClosed: () => false, flush: () => way.call(() => {}) };
  // A subscriber uses no more of them than what is here.
  return { manager: manager as unknown as JetStreamManager, connection: connection as unknown as NatsConnection };
}

class Pull implements Pick<ConsumerMessages, "close"> {
  readonly #arrived: JsMsg[] = [];
  readonly #request: PullRequest;
  #left: number;
  #isOver = false;
  #wake = () => {};
  #cancelEnd = () => {};

  constructor(
    private readonly way: Way,
    private readonly consumer: SimulatedConsumer,
    max: number,
    seen: (message: JsMsg) => JsMsg,
  ) {
    this.#left = max;
    const deliver = (stored: Stored, deliveryCount: number) => {
      const { clock, faults } = way;
      if (faults.strikes("delivery: lost")) return;
      const lateMs = faults.strikes("delivery: late") ? faults.draw() * DELIVERY_LATE_MAX_MS : 0;
      clock.after(1 + lateMs, () => {
        // Over meanwhile: it comes again, when the broker's wait is over.
        if (this.#isOver) return;
        this.#arrived.push(seen(messageOf(stored, deliveryCount, way, consumer)));
        if (--this.#left === 0) this.#end();
        this.#wake();
      });
    };
    this.#request = { left: max, deliver };
  }

  ask(expiresMs: number): void {
    this.endAfter(expiresMs);
    this.consumer.ask(this.#request);
  }

  endAfter(ms: number): void {
    this.#cancelEnd = this.way.clock.after(ms, () => this.#end());
  }

  async close(): Promise<undefined> {
    this.#end();
    return undefined;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<JsMsg> {
    for (;;) {
      await this.way.life.turn();
      const message = this.#arrived.shift();
      if (message !== undefined) yield message;
      else if (this.#isOver) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #end(): void {
    this.#isOver = true;
    this.#cancelEnd();
    this.consumer.withdraw(this.#request);
    this.#wake();
  }
}

function messageOf({ seq, subject, data }: Stored, deliveryCount: number, way: Way, consumer: SimulatedConsumer): JsMsg {
  let isAnswered = false;
  const send = (act: () => void) => {
    way.strike();
    if (way.life.isDead || isAnswered) return;
    if (!way.faults.strikes("acknowledgement: lost")) way.clock.after(way.latencyMs(), act);
    way.strike();
  };
  const answer = (act: () => void) => {
    send(act);
    isAnswered = true;
  };
  const message = {
    seq,
    subject,
    data,
    info: { deliveryCount },
    ack: () => answer(() => consumer.acknowledge(seq)),
    nak: (delayMs = 0) => answer(() => consumer.refuse(seq, delayMs)),
    working: () => send(() => consumer.working(seq)),
  };
  return message as unknown as JsMsg;
}
