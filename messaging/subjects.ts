/** The broker's names: streams, and the subjects that messages go by. */
import type { CloudEvent } from "./bus.ts";

/** Everything that checkouts tell, in the order of each checkout. */
export const CHECKOUT_STREAM = "CHECKOUT";
/** Events that somebody asked for once more: never on the stream itself, whose order is the checkout's. */
export const REPLAY_STREAM = "CHECKOUT_REPLAY";
/** Signed news of payments, from providers. */
export const PAYMENT_STREAM = "PAYMENTS";

/** CloudEvents `source`: who says it. */
export const EVENT_SOURCE = "/checkoutd";

/** `checkout.v1.<event type>.<executionContextId>`. */
export function subjectOf({ type, subject }: Pick<CloudEvent, "type" | "subject">): string {
  return `${type}.${subject}`;
}

/** `checkout.replay.v1.<event type>.<executionContextId>`. */
export function replaySubjectOf(event: Pick<CloudEvent, "type" | "subject">): string {
  return subjectOf(event).replace(/^checkout\./, "checkout.replay.");
}
