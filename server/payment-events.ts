/**
 * The one door for news of payments: a delivery is verified before it is parsed, and kept before it is answered.
 * HTTP is one way to it; the built-in provider sends its own events through it as well.
 */
import type { PaymentNewsEvent } from "../machines/events.ts";
import type { Receipt, Store } from "../persistence/store.ts";
import type { CheckoutOrchestrator } from "../runtime/orchestrator.ts";
import type { Counters, Log } from "../runtime/telemetry.ts";
import { parseJson } from "./json-body.ts";
import { readPaymentEvent, type ReadEvent, type UnmatchedEvent } from "./payment-event-schema.ts";
import { problem, type Problem } from "./problems.ts";
import { invalid } from "./violations.ts";
import { signatureCheck, type Delivery, type SignatureVerdict } from "./webhook-signature.ts";

export interface PaymentDoorDeps {
  /** PAYMENT_WEBHOOK_SECRET, one that `webhookSecretMistake` finds nothing wrong with. */
  readonly secret: string;
  /** With an event's id it names the inbox row: one source a provider, whichever way its events take. */
  readonly source: string;
  readonly orchestrator: Pick<CheckoutOrchestrator, "receivePayment">;
  /** Keeps an event that names no payment requirement, for people to look at. Resolves when it is durable. */
  readonly keepUnmatched: (source: string, event: UnmatchedEvent) => Promise<Receipt>;
  /** What is kept under an event's id, so that only what is new is booked. */
  readonly findReceived: Store["findReceived"];
  /** Books a success at the built-in provider, whose word on its captures the checkout will ask for. Idempotent. */
  readonly bookCapture: (event: CaptureEvent) => Promise<unknown>;
  readonly counters: Pick<Counters, "add">;
  readonly log: Pick<Log, "warn">;
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

const WHY_REFUSED = {
  /** Says no more than that: whoever tries to forge one learns nothing. */
  UNSIGNED:
    "Sign the raw body by the Standard Webhooks scheme (webhook-id, webhook-timestamp, webhook-signature) with the shared secret, anew for every delivery.",
  /** Whoever signed it knows the secret, so may be told. */
  STALE:
    "The signature is right, but webhook-timestamp is more than five minutes from this node's clock. Sign every delivery anew, and compare the clocks.",
} as const satisfies Record<Exclude<SignatureVerdict, "SIGNED">, string>;

export function openPaymentDoor(deps: PaymentDoorDeps): PaymentDoor {
  const verdictOn = signatureCheck(deps.secret);
  return {
    async receive(delivery) {
      const verdict = verdictOn(delivery);
      const answer = verdict === "SIGNED" ? await takeIn(deps, delivery) : unauthenticated(WHY_REFUSED[verdict]);
      deps.counters.add(answer.kind === "admitted" ? COUNTER_OF[answer.status] : "payment_events_refused");
      return answer;
    },
  };
}

async function takeIn(deps: PaymentDoorDeps, { body, subject }: Delivery): Promise<DoorAnswer> {
  const json = parseJson(body);
  if (json.kind === "refused") return json;
  const parsed = readPaymentEvent(json.value);
  if (parsed.kind === "violations") return invalid(parsed.violations);
  if (subject !== undefined && !isAbout(parsed.value, subject)) return { kind: "refused", problem: foreignSubject() };
  return { kind: "admitted", status: await keep(deps, parsed.value) };
}

/** Who may publish on one subject must not be able to speak of another payment. */
function isAbout(read: ReadEvent, { type, pcrId }: NonNullable<Delivery["subject"]>): boolean {
  if (read.kind === "ignored") return true;
  return read.event.type === type && read.kind === "matched" && read.event.data.pcrId === pcrId;
}

function foreignSubject(): Problem {
  return problem("VALIDATION_FAILED", "The event is of another type or payment than its subject, payments.v1.<type>.<pcrId>.");
}

async function keep(deps: PaymentDoorDeps, read: ReadEvent): Promise<Admitted> {
  switch (read.kind) {
    case "ignored":
      return "IGNORED";
    case "unmatched":
      reportContradiction(deps, read.event, await deps.keepUnmatched(deps.source, read.event));
      return "UNMATCHED";
    case "matched": {
      const { event, timestamp } = read;
      if (isCapture(event)) await bookOnce(deps, { ...event, timestamp });
      const receipt = await deps.orchestrator.receivePayment(deps.source, event);
      reportContradiction(deps, event, receipt);
      return receipt.isNew ? "STORED" : "DUPLICATE";
    }
  }
}

/**
 * Booked before it is kept: as soon as the checkout hears of it, it may ask the provider, or give the money back. So what
 * is kept was booked, and what comes under its id is either the same or contradicts it. Two that contradict each other
 * in the same instant may both be booked while one is kept: that is counted and logged, and reconciliation shows the other.
 */
async function bookOnce({ source, findReceived, bookCapture }: PaymentDoorDeps, event: CaptureEvent): Promise<void> {
  if ((await findReceived(source, event.data.eventId)) === null) await bookCapture(event);
}

interface AnyEvent {
  readonly data: { readonly eventId: string; readonly pcrId?: string };
}

/** Its sender is answered as for any duplicate, or it would send it for ever: who is right is for people to find out. */
function reportContradiction({ source, counters, log }: PaymentDoorDeps, { data }: AnyEvent, receipt: Receipt): void {
  if (!receipt.isContradiction) return;
  counters.add("payment_events_contradictory");
  const { eventId, pcrId = null } = data;
  log.warn(
    { source, eventId, pcrId, executionContextId: receipt.contextId },
    "A payment event came again with another content; the first one stands. Ask its provider which one is right.",
  );
}

/** A success over nothing moved no money, so there is nothing to book. */
function isCapture(event: PaymentNewsEvent): event is Extract<PaymentNewsEvent, { readonly type: CaptureEvent["type"] }> {
  return event.type === "payment_collection_requirement_success" && event.data.amount > 0;
}

function unauthenticated(detail: string): DoorAnswer {
  return { kind: "refused", problem: problem("UNAUTHENTICATED", detail) };
}
