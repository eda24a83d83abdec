/**
 * The one door for news of payments: a delivery is verified before it is parsed, and kept before it is answered.
 * HTTP is one way to it; the built-in provider sends its own events through it as well.
 */
import type { PaymentNewsEvent } from "../machines/events.ts";
import type { CheckoutOrchestrator } from "../runtime/orchestrator.ts";
import type { Counters } from "../runtime/telemetry.ts";
import { parseJson } from "./json-body.ts";
import { readPaymentEvent, type ReadEvent, type UnmatchedEvent } from "./payment-event-schema.ts";
import { problem, type Problem } from "./problems.ts";
import { invalid } from "./violations.ts";
import { signatureCheck, type Delivery } from "./webhook-signature.ts";

export interface PaymentDoorDeps {
  /** PAYMENT_WEBHOOK_SECRET, one that `webhookSecretMistake` finds nothing wrong with. */
  readonly secret: string;
  /** With an event's id it names the inbox row: one source a provider, whichever way its events take. */
  readonly source: string;
  readonly orchestrator: Pick<CheckoutOrchestrator, "receivePayment">;
  /** Keeps an event that names no payment requirement, for people to look at. Resolves when it is durable. */
  readonly keepUnmatched: (source: string, event: UnmatchedEvent) => Promise<unknown>;
  /** Books a success at the built-in provider, whose word on its captures the checkout will ask for. Idempotent. */
  readonly bookCapture: (event: CaptureEvent) => Promise<unknown>;
  readonly counters: Pick<Counters, "add">;
}

/** As `ProviderEvent` of the built-in provider. */
export type CaptureEvent = Extract<PaymentNewsEvent, { readonly type: "payment_collection_requirement_success" }> & {
  readonly timestamp: string;
};

export type Admitted = "STORED" | "DUPLICATE" | "UNMATCHED" | "IGNORED";

export type DoorAnswer =
  { readonly kind: "admitted"; readonly status: Admitted } | { readonly kind: "refused"; readonly problem: Problem };

export interface PaymentDoor {
  /** Resolves when the event is durable. Rejects when it could not be kept: then its sender must send it again. */
  receive(delivery: Delivery): Promise<DoorAnswer>;
}

const COUNTER_OF = {
  STORED: "payment_events_stored",
  DUPLICATE: "payment_events_duplicate",
  UNMATCHED: "payment_events_unmatched",
  IGNORED: "payment_events_ignored",
} as const satisfies Record<Admitted, string>;

export function openPaymentDoor(deps: PaymentDoorDeps): PaymentDoor {
  const isSigned = signatureCheck(deps.secret);
  return {
    async receive(delivery) {
      const answer = isSigned(delivery) ? await takeIn(deps, delivery.body) : unsigned();
      deps.counters.add(answer.kind === "admitted" ? COUNTER_OF[answer.status] : "payment_events_refused");
      return answer;
    },
  };
}

async function takeIn(deps: PaymentDoorDeps, body: Uint8Array): Promise<DoorAnswer> {
  const json = parseJson(body);
  if (json.kind === "refused") return json;
  const parsed = readPaymentEvent(json.value);
  if (parsed.kind === "violations") return invalid(parsed.violations);
  return { kind: "admitted", status: await keep(deps, parsed.value) };
}

async function keep(deps: PaymentDoorDeps, read: ReadEvent): Promise<Admitted> {
  switch (read.kind) {
    case "ignored":
      return "IGNORED";
    case "unmatched":
      await deps.keepUnmatched(deps.source, read.event);
      return "UNMATCHED";
    case "matched": {
      const { event, timestamp } = read;
      // Booked first: as soon as the checkout hears of it, it may ask the provider, or give the money back.
      if (isCapture(event)) await deps.bookCapture({ ...event, timestamp });
      const receipt = await deps.orchestrator.receivePayment(deps.source, event);
      return receipt.isNew ? "STORED" : "DUPLICATE";
    }
  }
}

/** A success over nothing moved no money, so there is nothing to book. */
function isCapture(event: PaymentNewsEvent): event is Extract<PaymentNewsEvent, { readonly type: CaptureEvent["type"] }> {
  return event.type === "payment_collection_requirement_success" && event.data.amount > 0;
}

/** Says no more than that: whoever tries to forge one learns nothing. */
function unsigned(): DoorAnswer {
  const detail =
    "Sign the raw body by the Standard Webhooks scheme (webhook-id, webhook-timestamp, webhook-signature) with the shared secret, anew for every delivery.";
  return { kind: "refused", problem: problem("UNAUTHENTICATED", detail) };
}
