/** The payment provider's way in: the door for its events, and the built-in provider as the first who sends to it. */
import { randomBytes } from "node:crypto";
import type { Store } from "../persistence/store.ts";
import type { CheckoutOrchestrator } from "../runtime/orchestrator.ts";
import type { Counters, Log } from "../runtime/telemetry.ts";
import { openPaymentDoor, type CaptureEvent, type PaymentDoor } from "./payment-events.ts";
import { signedDelivery } from "./webhook-signature.ts";

/** What the door needs of a provider that runs in this process. */
interface BuiltInProvider {
  readonly name: string;
  recordAuthenticatedSuccess(event: CaptureEvent): Promise<unknown>;
  start(send: (event: Parameters<typeof signedDelivery>[1]) => Promise<void>, onError: OnError): () => Promise<void>;
}

type OnError = (error: unknown) => void;

export interface ProviderDoorDeps {
  readonly provider: BuiltInProvider;
  readonly store: Pick<Store, "receivePayment" | "findReceived">;
  readonly orchestrator: Pick<CheckoutOrchestrator, "receivePayment">;
  readonly counters: Counters;
  readonly log: Pick<Log, "warn">;
  /** Null = nobody outside this process can sign an event. */
  readonly secret: string | null;
}

export interface ProviderDoor {
  /** For events from outside; null without a secret. */
  readonly door: PaymentDoor | null;
  /** Lets the provider send its own events, signed as everybody's; returns how to stop. */
  readonly startSending: (onError: OnError) => () => Promise<void>;
}

export function openProviderDoor({ provider, store, orchestrator, counters, log, secret }: ProviderDoorDeps): ProviderDoor {
  const ownSecret = secret ?? `whsec_${randomBytes(32).toString("base64")}`;
  const door = openPaymentDoor({
    secret: ownSecret,
    source: provider.name,
    orchestrator,
    keepUnmatched: (source, event) => store.receivePayment(source, event.data.eventId, null, { ...event }),
    findReceived: (source, eventId) => store.findReceived(source, eventId),
    bookCapture: (event) => provider.recordAuthenticatedSuccess(event),
    counters,
    log,
  });
  return {
    door: secret === null ? null : door,
    startSending: (onError) =>
      provider.start(async (event) => {
        const answer = await door.receive(signedDelivery(ownSecret, event));
        if (answer.kind === "refused") throw new Error(`The provider's own event was refused: ${answer.problem.detail}`);
      }, onError),
  };
}
