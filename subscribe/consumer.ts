/** The durable consumer on the broker: one for all processes of a subscriber. */
import { AckPolicy, DeliverPolicy, JetStreamApiCodes, type ConsumerConfig, type JetStreamManager } from "@nats-io/jetstream";
import { CHECKOUT_STREAM } from "../messaging/subjects.ts";
import { isApiError } from "./bucket.ts";
import { SubscriptionError } from "./errors.ts";
import type { Settings } from "./options.ts";

const NS_PER_MS = 1_000_000;

/**
 * From the beginning of the stream where it is new; where it left off otherwise. Its limits become those given.
 * SubscriptionError STREAM_MISSING, DURABLE_TAKEN.
 */
export async function ensureConsumer(
  manager: JetStreamManager,
  filter: string,
  { durable, ackWaitMs, pendingMax }: Pick<Settings, "durable" | "ackWaitMs" | "pendingMax">,
): Promise<void> {
  const found = await existing(manager, durable);
  const isOurs = found === null || (found.filter_subject === filter && found.ack_policy === "explicit");
  if (!isOurs) {
    const what = `its subject is ${found.filter_subject ?? "any"} and its acknowledgement ${found.ack_policy}`;
    // A position counts one type's events, or all: under another filter the same number says something else.
    throw new SubscriptionError(
      "DURABLE_TAKEN",
      `The consumer ${durable} is for something else: ${what}. Take another durable name.`,
    );
  }
  await manager.consumers.add(CHECKOUT_STREAM, {
    durable_name: durable,
    filter_subject: filter,
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: ackWaitMs * NS_PER_MS,
    max_ack_pending: pendingMax,
    // What is given up is for us to say, not for the broker, who would forget it.
    max_deliver: -1,
  });
}

async function existing(manager: JetStreamManager, durable: string): Promise<ConsumerConfig | null> {
  try {
    return (await manager.consumers.info(CHECKOUT_STREAM, durable)).config;
  } catch (error) {
    if (isApiError(error, JetStreamApiCodes.ConsumerNotFound)) return null;
    if (isApiError(error, JetStreamApiCodes.StreamNotFound)) {
      throw new SubscriptionError(
        "STREAM_MISSING",
        `There is no stream ${CHECKOUT_STREAM}. Start checkoutd on this broker first.`,
      );
    }
    throw error;
  }
}
