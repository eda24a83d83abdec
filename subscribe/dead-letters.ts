/** Where messages go that this subscriber gave up: stream CHECKOUT_DEAD, subject `checkout.dead.v1.<durable>.<type>.<contextId>`. */
import { JetStreamApiCodes, type JetStreamManager, type JsMsg } from "@nats-io/jetstream";
import { headers } from "@nats-io/transport-node";
import { isApiError } from "./bucket.ts";

const STREAM = "CHECKOUT_DEAD";
/** A header holds one line, and brokers limit all of them together. */
const REASON_CHARACTERS_MAX = 500;

export class DeadLetters {
  #made: Promise<void> | null = null;

  constructor(
    private readonly manager: JetStreamManager,
    private readonly durable: string,
    private readonly replicas: number,
  ) {}

  /** Resolves with its subject when it is stored; it may be stored twice. Kept for good: an operator deletes what is done with. */
  async keep(message: JsMsg, reason: unknown): Promise<string> {
    const subject = message.subject.replace(/^checkout\.v1\./, `checkout.dead.v1.${this.durable}.`);
    const sent = headers();
    for (const name of message.headers?.keys() ?? []) {
      if (!name.startsWith("Nats-")) sent.set(name, message.headers?.get(name) ?? "");
    }
    sent.set("Checkout-Dead-Reason", oneLine(reason));
    sent.set("Checkout-Dead-Durable", this.durable);
    sent.set("Checkout-Dead-Attempts", String(message.info.deliveryCount));
    sent.set("Checkout-Dead-Stream-Sequence", String(message.seq));
    await this.#ready();
    await this.manager.jetstream().publish(subject, message.data, { headers: sent, msgID: `${this.durable}:${message.seq}` });
    return subject;
  }

  /** On demand: most subscribers never need it. */
  #ready(): Promise<void> {
    this.#made ??= this.#make().catch((error: unknown) => {
      this.#made = null;
      throw error;
    });
    return this.#made;
  }

  async #make(): Promise<void> {
    try {
      await this.manager.streams.info(STREAM);
    } catch (error) {
      if (!isApiError(error, JetStreamApiCodes.StreamNotFound)) throw error;
      const subjects = ["checkout.dead.v1.>"];
      await this.manager.streams.add({ name: STREAM, subjects, storage: "file", discard: "new", num_replicas: this.replicas });
    }
  }
}

function oneLine(reason: unknown): string {
  const text = reason instanceof Error ? `${reason.name}: ${reason.message}` : String(reason);
  return text.replace(/[^\x20-\x7e]+/g, " ").slice(0, REASON_CHARACTERS_MAX);
}
