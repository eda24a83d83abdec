/** Signatures by the Standard Webhooks scheme: over a delivery's id, its time and its bytes as they were sent. */
import { Webhook } from "standardwebhooks";

/** One delivery of an event, whichever transport brought it. */
export interface Delivery {
  readonly headers: SignatureHeaders;
  /** The raw bytes: what was parsed and written again is another text. */
  readonly body: Uint8Array;
}

export interface SignatureHeaders {
  readonly "webhook-id": string;
  readonly "webhook-timestamp": string;
  readonly "webhook-signature": string;
}

/** A shorter key can be guessed; the scheme itself asks for 24. */
const KEY_BYTES_MIN = 16;

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

/** True for a delivery that was signed with this secret less than five minutes from now, before or after. */
export function signatureCheck(secret: string): (delivery: Delivery) => boolean {
  const webhook = new Webhook(secret);
  return ({ headers, body }) => {
    try {
      // The library reads bytes as UTF-8: those that are none must be refused after it.
      webhook.verify(Buffer.from(body), { ...headers }, { jsonParse: false });
      return true;
    } catch {
      // A header that the library can't read is no signature either.
      return false;
    }
  };
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
