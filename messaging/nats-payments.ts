/** News of payments from the stream PAYMENTS: `payments.v1.<event type>.<pcrId>`, the bytes and headers of a webhook. */
import { AckPolicy, type ConsumerMessages, type JsMsg } from "@nats-io/jetstream";
import type { NatsLink } from "./nats-connection.ts";
import { PAYMENT_STREAM } from "./subjects.ts";

/** One for all nodes: each message goes to one of them. */
const CONSUMER = "checkoutd";
/** Longer than it takes to keep an event; then another node gets it. */
const ACK_WAIT_NS = 30_000_000_000;
/** What could not be kept comes again after so long. */
const RETRY_MS = 1_000;
const LISTEN_AGAIN_MS = 1_000;
/** Over all nodes: what is not acknowledged by then holds the others back. */
const MESSAGES_AT_ONCE_MAX = 64;

export interface BrokerDelivery {
  readonly header: (name: string) => string;
  readonly body: Uint8Array;
  /** What its subject says that it is about. */
  readonly subject: { readonly type: string; readonly pcrId: string };
  /** When the broker stored it, in milliseconds since the epoch: it may have waited there since. */
  readonly arrivedAt: number;
}

export interface PaymentInboxDeps {
  readonly link: Pick<NatsLink, "onUp" | "broker" | "forgetStreams">;
  /** REFUSED: it will never be taken. Rejects when it could not be kept: then it comes again. */
  readonly receive: (delivery: BrokerDelivery) => Promise<"KEPT" | "REFUSED">;
  /** Returns how to cancel. */
  readonly clock: { after(delayMs: number, run: () => void): () => void };
  readonly log: { warn(fields: Readonly<Record<string, unknown>>, message: string): void };
}

/** Listens whenever there is a connection, until it is stopped; what is being kept by then is kept first. */
export function takePayments(deps: PaymentInboxDeps): () => Promise<void> {
  let messages: ConsumerMessages | null = null;
  let isStopped = false;
  let listening: Promise<void> | null = null;
  const underWay = new Set<Promise<void>>();
  let cancelRetry = (): void => undefined;

  const listen = async (): Promise<void> => {
    try {
      messages = await consume(deps);
      if (isStopped) messages.stop();
      for await (const message of messages) {
        const work = settle(deps, message).finally(() => underWay.delete(work));
        underWay.add(work);
      }
    } catch (error) {
      // The stream may be gone too.
      deps.link.forgetStreams();
      if (!isStopped) deps.log.warn({ err: error }, "Payment events from NATS can't be read; it is tried again");
    }
  };
  const keepListening = () => {
    if (isStopped || listening !== null) return;
    listening = listen().finally(() => {
      listening = null;
      if (!isStopped) cancelRetry = deps.clock.after(LISTEN_AGAIN_MS, keepListening);
    });
  };
  const forget = deps.link.onUp(keepListening);
  return async () => {
    isStopped = true;
    forget();
    cancelRetry();
    messages?.stop();
    await listening;
    await Promise.all(underWay);
  };
}

async function consume({ link }: PaymentInboxDeps): Promise<ConsumerMessages> {
  const { manager, client } = await link.broker();
  await manager.consumers.add(PAYMENT_STREAM, {
    durable_name: CONSUMER,
    filter_subject: "payments.v1.>",
    ack_policy: AckPolicy.Explicit,
    ack_wait: ACK_WAIT_NS,
    max_ack_pending: MESSAGES_AT_ONCE_MAX,
    max_deliver: -1,
  });
  const consumer = await client.consumers.get(PAYMENT_STREAM, CONSUMER);
  // A broker that lost its disk has no consumer: it is listened to anew then.
  return consumer.consume({ max_messages: MESSAGES_AT_ONCE_MAX, abort_on_missing_resource: true });
}

/** Acknowledged once it is kept, or refused for good. */
async function settle({ receive, log }: PaymentInboxDeps, message: JsMsg): Promise<void> {
  const [, , type = "", ...rest] = message.subject.split(".");
  const delivery = {
    header: (name: string) => message.headers?.get(name) ?? "",
    body: message.data,
    subject: { type, pcrId: rest.join(".") },
    arrivedAt: message.info.timestampNanos / 1_000_000,
  };
  try {
    const fate = await receive(delivery);
    if (fate === "KEPT") message.ack();
    else message.term();
  } catch (error) {
    log.warn({ subject: message.subject, err: error }, "A payment event from NATS could not be kept; it comes again");
    message.nak(RETRY_MS);
  }
}
