/**
 * A provider's event. Strict about what we use; anything else in it is the provider's own, grows over time and may
 * be personal: it is let through and left out of what is kept.
 */
import { z } from "@hono/zod-openapi";
import type { PaymentNewsEvent, PaymentNotice } from "../machines/events.ts";
import { currency, foreignId } from "./field-schemas.ts";
import { parseWith, type Parsed } from "./violations.ts";

type NewsType = PaymentNewsEvent["type"];

/** An event that names no payment requirement: it can't be ours to act on, but somebody will want to see it. */
export interface UnmatchedEvent {
  readonly type: NewsType;
  readonly data: Omit<PaymentNotice, "pcrId"> & { readonly code?: string; readonly providerRefundId?: string };
}

export type ReadEvent =
  | { readonly kind: "matched"; readonly event: PaymentNewsEvent; readonly timestamp: string }
  | { readonly kind: "unmatched"; readonly event: UnmatchedEvent }
  /** Of a type that we don't know: providers send more than anyone asked for. */
  | { readonly kind: "ignored" };

const instant = z.iso
  .datetime({ offset: true, error: "Must be a time as RFC 3339 has it, e.g. 2027-01-08T10:05:00Z" })
  .openapi({ format: "date-time" });

const notice = z.object({
  eventId: foreignId.openapi({ description: "The same for every delivery of this event" }),
  pcrId: foreignId.nullish().openapi({ description: "Without it the event is kept, and matched to nothing" }),
  attemptId: foreignId.nullish(),
  pspReference: foreignId.openapi({ description: "The provider's own name for the capture" }),
  amount: z.int().min(0).openapi({ description: "Minor units of the currency" }),
  currency,
  occurredAt: instant,
});

/** A word for programs, never a sentence: it is journaled and shown. */
const code = z.string().regex(/^[A-Za-z0-9._:-]{1,64}$/, "Must be a code: 1 to 64 of the characters A-Z a-z 0-9 . _ : -");
const failure = notice.extend({ code });
const refundFailure = failure.extend({
  providerRefundId: foreignId.openapi({ description: "The provider's own id of the refund that failed" }),
});

const success = z.object({ type: z.literal("payment_collection_requirement_success"), timestamp: instant, data: notice });
const failed = z.object({ type: z.literal("payment_collection_requirement_failed"), timestamp: instant, data: failure });
const expired = z.object({ type: z.literal("payment_collection_requirement_expired"), timestamp: instant, data: notice });
const refundFailed = z.object({ type: z.literal("payment_refund_failed"), timestamp: instant, data: refundFailure });

export const paymentEventSchema = z.discriminatedUnion("type", [success, failed, expired, refundFailed]).openapi("PaymentEvent");
type Sent = z.infer<typeof paymentEventSchema>;

const KNOWN_TYPES: ReadonlySet<string> = new Set<NewsType>(
  [success, failed, expired, refundFailed].map((schema) => schema.shape.type.value),
);
const typed = z.object({ type: z.string() });

export function readPaymentEvent(body: unknown): Parsed<ReadEvent> {
  const envelope = parseWith(typed, body);
  if (envelope.kind === "violations") return envelope;
  if (!KNOWN_TYPES.has(envelope.value.type)) return { kind: "valid", value: { kind: "ignored" } };
  const parsed = parseWith(paymentEventSchema, body);
  return parsed.kind === "violations" ? parsed : { kind: "valid", value: readSent(parsed.value) };
}

function readSent(sent: Sent): ReadEvent {
  const { pcrId } = sent.data;
  if (pcrId === undefined || pcrId === null) return { kind: "unmatched", event: { type: sent.type, data: knownData(sent.data) } };
  return { kind: "matched", event: matchedEvent(sent, pcrId), timestamp: sent.timestamp };
}

function matchedEvent(sent: Sent, pcrId: string): PaymentNewsEvent {
  switch (sent.type) {
    case "payment_collection_requirement_failed":
      return { type: sent.type, data: { ...knownData(sent.data), pcrId, code: sent.data.code } };
    case "payment_refund_failed": {
      const { code: why, providerRefundId } = sent.data;
      return { type: sent.type, data: { ...knownData(sent.data), pcrId, code: why, providerRefundId } };
    }
    case "payment_collection_requirement_success":
    case "payment_collection_requirement_expired":
      return { type: sent.type, data: { ...knownData(sent.data), pcrId } };
  }
}

function knownData(sent: Sent["data"]): UnmatchedEvent["data"] {
  const { pcrId: _, attemptId, ...data } = sent;
  return attemptId === undefined || attemptId === null ? data : { ...data, attemptId };
}
