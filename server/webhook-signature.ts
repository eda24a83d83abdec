/** Signatures by the Standard Webhooks scheme: over a delivery's id, its time and its bytes as they were sent. */
import { timingSafeEqual } from "node:crypto";
import { Webhook } from "standardwebhooks";

/** One delivery of an event, whichever transport brought it. */
export interface Delivery {
  readonly headers: SignatureHeaders;
  /** The raw bytes: what was parsed and written again is another text. */
  readonly body: Uint8Array;
  /** Where the transport names what it is about: then the event must be that one. */
  readonly subject?: { readonly type: string; readonly pcrId: string };
  /** When the transport took it, in milliseconds since the epoch, where it may have waited there since. Absent: now. */
  readonly arrivedAt?: number;
}

export interface SignatureHeaders {
  readonly "webhook-id": string;
  readonly "webhook-timestamp": string;
  readonly "webhook-signature": string;
}

/** A shorter key can be guessed; the scheme itself asks for 24. */
const KEY_BYTES_MIN = 16;
/** As the library's. */
const TOLERANCE_MS = 300_000;
/** So many digits that a Date still holds it. */
const UNIX_SECONDS = /^\d{1,12}$/;

/** Null = it can be used. Never repeats the secret. */
export function webhookSecretMistake(secret: string): string | null {
  const howTo = 'must be `whsec_` and a key in base64; make one with: echo "whsec_$(openssl rand -base64 32)"';
  try {
    new Webhook(secret);
  } catch {
    // Whatever it says, the way out is the same.
    return howTo;
  }
  const bytes = Buffer.from(secret.replace(/^whsec_/, ""), "base64").byteLength;
  return bytes < KEY_BYTES_MIN ? `has a key of fewer than ${KEY_BYTES_MIN} bytes; it ${howTo}` : null;
}

/** STALE: signed with this secret, but for a time more than five minutes from now, before or after. */
export type SignatureVerdict = "SIGNED" | "STALE" | "UNSIGNED";

export function signatureCheck(secret: string): (delivery: Delivery) => SignatureVerdict {
  const webhook = new Webhook(secret);
  return (delivery) => {
    if (!isSignedForItsTime(webhook, delivery)) return "UNSIGNED";
    // A stream keeps it while all nodes are away: it must have been fresh when it came there.
    if (delivery.arrivedAt !== undefined) return isFresh(delivery, delivery.arrivedAt) ? "SIGNED" : "STALE";
    // The library has the last word; of what is signed for its time, it refuses nothing but the time.
    return isVerified(webhook, delivery) ? "SIGNED" : "STALE";
  };
}

/** By whoever knows the secret, whenever that was. */
function isSignedForItsTime(webhook: Webhook, { headers, body }: Delivery): boolean {
  const { "webhook-id": id, "webhook-timestamp": timestamp, "webhook-signature": signatures } = headers;
  if (id === "" || !UNIX_SECONDS.test(timestamp)) return false;
  // The library reads bytes as UTF-8: those that are none must be refused after it.
  const expected = Buffer.from(webhook.sign(id, new Date(Number(timestamp) * 1000), Buffer.from(body)));
  return signatures.split(" ").some((signature) => {
    const given = Buffer.from(signature);
    return given.byteLength === expected.byteLength && timingSafeEqual(given, expected);
  });
}

function isFresh({ headers }: Delivery, at: number): boolean {
  return Math.abs(Number(headers["webhook-timestamp"]) * 1000 - at) <= TOLERANCE_MS;
}

function isVerified(webhook: Webhook, { headers, body }: Delivery): boolean {
  try {
    webhook.verify(Buffer.from(body), { ...headers }, { jsonParse: false });
    return true;
  } catch {
    // Whatever the library can't take is not verified.
    return false;
  }
}

/** An event as its sender delivers it. Each delivery is signed anew: an old one is refused. */
export function signedDelivery(
  secret: string,
  event: { readonly data: { readonly eventId: string } },
  at: Date = new Date(),
): Delivery {
  const text = JSON.stringify(event);
  const id = event.data.eventId;
  return {
    headers: {
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
      "webhook-signature": new Webhook(secret).sign(id, at, text),
    },
    body: Buffer.from(text),
  };
}
