/** Deliveries of payment events, signed here by hand: a mistake of the library or of ours can't cancel itself out. */
import { createHmac } from "node:crypto";
import { WEBHOOK_SECRET, type setup } from "./setup.ts";

export const PAYMENT_EVENTS = "/orchestration/payments/events";

type Json = Readonly<Record<string, unknown>>;

/** The documented success; `data` and `rest` replace members, undefined leaves one out. */
export function successEvent(data: Json = {}, rest: Json = {}) {
  return {
    type: "payment_collection_requirement_success",
    timestamp: "2027-01-08T10:05:01Z",
    data: {
      eventId: "evt_1",
      pcrId: "pcr_1",
      attemptId: "att_1",
      pspReference: "psr_1",
      amount: 249900,
      currency: "INR",
      occurredAt: "2027-01-08T10:05:00.000Z",
      ...data,
    },
    ...rest,
  };
}

export interface Signing {
  readonly secret?: string;
  readonly id?: string;
  /** Seconds from now. */
  readonly ageSeconds?: number;
}

/** The headers of a delivery of these bytes. */
export function signatureOf(body: string, { secret = WEBHOOK_SECRET, id = "msg_1", ageSeconds = 0 }: Signing = {}) {
  const timestamp = String(Math.floor(Date.now() / 1000) - ageSeconds);
  const key = Buffer.from(secret.replace("whsec_", ""), "base64");
  const signature = createHmac("sha256", key).update(`${id}.${timestamp}.${body}`).digest("base64");
  return { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": `v1,${signature}` };
}

/** Sends it as a provider does: signed, without an API key. */
export function deliver({ post }: Pick<ReturnType<typeof setup>, "post">, event: object | string, signing?: Signing) {
  const body = typeof event === "string" ? event : JSON.stringify(event);
  return post(PAYMENT_EVENTS, body, signatureOf(body, signing));
}
