/**
 * A broker as NATS JetStream is one: it refuses what does not follow the last message of its subject, and forgets after
 * a while which ids it has had. The product's own bus speaks to it.
 */
import { JetStreamApiError } from "@nats-io/jetstream";
import type { MsgHdrs } from "@nats-io/transport-node";
import type { CloudEvent } from "../../messaging/bus.ts";
import type { Link } from "../../messaging/nats-connection.ts";
import { TransientError } from "../../machines/errors.ts";
import type { Clock } from "../../steps/ports.ts";
import type { Chance } from "../support/chance.ts";
import type { Faults } from "./faults.ts";
import type { Life } from "./life.ts";

/** Shorter than an outage may last. */
const DEDUP_WINDOW_MS = 10_000;
const OUTAGE_MAX_MS = 30_000;
/** Of the publications that are lost to their sender. */
const LATE_SHARE = 0.5;
/** Longer than ids are remembered, and than the relay waits until it publishes again. */
const LATE_MAX_MS = 20_000;
const WRONG_LAST_SEQUENCE = 10_071;

interface Message {
  readonly sequence: number;
  readonly subject: string;
  readonly id: string;
  readonly event: CloudEvent;
}

type Broker = Awaited<ReturnType<Link["broker"]>>;

export class SimulatedBroker {
  readonly messages: Message[] = [];
  /** Publications of what was there already. */
  repetitions = 0;
  /** Publications that were given up, and arrived then. */
  late = 0;
  readonly #seenAt = new Map<string, { readonly at: number; readonly sequence: number }>();
  #downUntil = 0;

  constructor(
    private readonly clock: Pick<Clock, "now" | "after">,
    private readonly faults: Faults,
    private readonly chance: Chance,
  ) {}

  /** A node's way to it: once the node is dead, nothing more comes from it. */
  link(life: Pick<Life, "turn">): Link {
    const turn = async <Value>(act: () => Value): Promise<Value> => {
      await life.turn();
      try {
        return act();
      } finally {
        await life.turn();
      }
    };
    const broker = {
      publisher: {
        publish: (_stream: string, subject: string, payload: string, headers: MsgHdrs) =>
          turn(() => this.#publish(subject, payload, headers)),
      },
      manager: {
        streams: { getMessage: (_stream: string, query: { readonly last_by_subj: string }) => turn(() => this.#last(query)) },
      },
    };
    return {
      broker: async () => {
        this.#requireUp();
        // The bus uses no more of an answer than what is here.
        return broker as unknown as Broker;
      },
      forgetStreams: () => {},
      onUp: () => () => {},
      close: async () => {},
    };
  }

  endOutages(): void {
    this.#downUntil = 0;
  }

  #publish(subject: string, payload: string, headers: MsgHdrs) {
    const { clock, faults } = this;
    const id = headers.get("Nats-Msg-Id");
    if (faults.strikes("bus: down")) this.#downUntil = clock.now() + faults.draw() * OUTAGE_MAX_MS;
    this.#requireUp();
    const arrive = () => this.#receive(subject, payload, id, headers.get("Nats-Expected-Last-Subject-Sequence"));
    if (faults.strikes("bus: publication lost")) {
      const drawn = this.chance();
      if (drawn < LATE_SHARE) clock.after((drawn / LATE_SHARE) * LATE_MAX_MS, () => this.#arriveLate(arrive));
      throw new Error("The publication was lost.");
    }
    const stored = arrive();
    if (faults.strikes("bus: acknowledgement lost")) throw new Error("The acknowledgement was lost.");
    return stored;
  }

  /** What a client had on its way when it gave up; by now the broker may be down, or have it from another try. */
  #arriveLate(arrive: () => unknown): void {
    this.late++;
    try {
      this.#requireUp();
      arrive();
    } catch {
      // Nobody waits for the answer.
    }
  }

  #receive(subject: string, payload: string, id: string, expected: string) {
    const seen = this.#seenAt.get(id);
    const isKnown = seen !== undefined && seen.at > this.clock.now() - DEDUP_WINDOW_MS;
    if (isKnown) this.repetitions++;
    const sequence = isKnown ? seen.sequence : this.#store(subject, payload, id, expected);
    return { stream: "CHECKOUT", seq: sequence, duplicate: isKnown };
  }

  #store(subject: string, payload: string, id: string, expected: string): number {
    const last = this.messages.findLast((message) => message.subject === subject)?.sequence ?? 0;
    if (expected !== "" && Number(expected) !== last) {
      this.repetitions++;
      throw new JetStreamApiError({ code: 400, err_code: WRONG_LAST_SEQUENCE, description: `wrong last sequence: ${last}` });
    }
    const sequence = this.messages.length + 1;
    this.messages.push({ sequence, subject, id, event: JSON.parse(payload) as CloudEvent });
    this.#seenAt.set(id, { at: this.clock.now(), sequence });
    return sequence;
  }

  #last({ last_by_subj }: { readonly last_by_subj: string }) {
    this.#requireUp();
    const last = this.messages.findLast(({ subject }) => subject === last_by_subj);
    return last === undefined ? null : { seq: last.sequence, header: { get: () => last.id } };
  }

  #requireUp(): void {
    if (this.clock.now() < this.#downUntil) throw new TransientError("BROKER_UNAVAILABLE", "The broker is down.");
  }
}
