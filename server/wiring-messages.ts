/** How a node is heard by others, and hears of payments beside HTTP: in this process, or by NATS. */
import type { Logger } from "pino";
import { TerminalError } from "../machines/errors.ts";
import type { Bus } from "../messaging/bus.ts";
import { InProcessBus } from "../messaging/in-process-bus.ts";
import type { BrokerDelivery } from "../messaging/nats-payments.ts";
import type { Log } from "../runtime/telemetry.ts";
import { ConfigError, type Config } from "./config.ts";
import type { PaymentDoor } from "./payment-events.ts";
import { systemClock as clock } from "./system-ports.ts";

export interface Messages {
  readonly bus: Bus;
  /** Returns how to stop. */
  readonly takePayments: (door: PaymentDoor) => () => Promise<void>;
}

/** ConfigError where a stream on the broker would break what is promised of it. */
export async function openMessages({ natsUrl, natsReplicas: replicas }: Config, log: Logger): Promise<Messages> {
  if (natsUrl === null) return { bus: new InProcessBus(), takePayments: () => async () => {} };
  // Whoever has no broker needs no client for it.
  const [{ connectNats }, { NatsBus }, { takePayments }] = await Promise.all([
    import("../messaging/nats-connection.ts"),
    import("../messaging/nats-bus.ts"),
    import("../messaging/nats-payments.ts"),
  ]);
  const onConnectionError = (error: unknown) =>
    log.warn({ err: error }, "Without NATS checkouts go on, and their events wait for it");
  const link = await connectNats(natsUrl, { replicas, onConnectionError }).catch((error: unknown) => {
    throw error instanceof TerminalError ? new ConfigError([error.message]) : error;
  });
  return {
    bus: new NatsBus(link),
    takePayments: (door) => takePayments({ link, receive: (delivery) => receiveFromBroker(door, delivery, log), clock, log }),
  };
}

export async function receiveFromBroker(
  door: PaymentDoor,
  { header, ...delivery }: BrokerDelivery,
  log: Pick<Log, "warn">,
): Promise<"KEPT" | "REFUSED"> {
  const headers = {
    "webhook-id": header("webhook-id"),
    "webhook-timestamp": header("webhook-timestamp"),
    "webhook-signature": header("webhook-signature"),
  };
  const answer = await door.receive({ headers, ...delivery });
  if (answer.kind === "admitted") return "KEPT";
  log.warn(
    { subject: delivery.subject, code: answer.problem.code },
    "A payment event from NATS was refused, and will not be asked for again",
  );
  return "REFUSED";
}
