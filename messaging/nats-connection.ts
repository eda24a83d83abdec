/** The connection to NATS: made and kept in the background, because checkouts go on without it. */
import { JetStreamApiError, jetstream, type JetStreamClient, type JetStreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import { TransientError } from "../machines/errors.ts";
import { ensureStreams } from "./nats-streams.ts";
import { StreamPublisher } from "./stream-publisher.ts";

/** A node starts without its broker too; it waits for it as long. */
const CONNECT_WAIT_MS = 2_000;
const RECONNECT_WAIT_MS = 500;
/** A question without an answer by then has an unknown outcome. */
const ANSWER_MAX_MS = 5_000;

export interface NatsOptions {
  /** Copies of each stream that has to be made, in a cluster of as many brokers. */
  readonly replicas: number;
  /** Told of each lost connection. */
  readonly onConnectionError: (error: unknown) => void;
}

/** What we ask of it. */
export interface Broker {
  readonly client: JetStreamClient;
  readonly publisher: Pick<StreamPublisher, "publish">;
  readonly manager: JetStreamManager;
}

/** What the bus needs of the connection. */
export interface Link extends Pick<NatsLink, "forgetStreams" | "onUp" | "close"> {
  broker(): Promise<{
    readonly publisher: Broker["publisher"];
    readonly manager: { readonly streams: Pick<JetStreamManager["streams"], "getMessage"> };
  }>;
}

/**
 * Resolves with or without the broker. TerminalError STREAM_UNFIT when it is there, and a stream on it would lose or
 * refuse what must stand.
 */
export async function connectNats(url: string, options: NatsOptions): Promise<NatsLink> {
  const link = new NatsLink(options);
  const connecting = connect({
    servers: url.split(",").map((one) => one.trim()),
    name: "checkoutd",
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    waitOnFirstConnect: true,
    // A stack is taken for each question otherwise, a quarter of what publishing costs; ours tells as much.
    noAsyncTraces: true,
  });
  const attached = connecting.then(
    (connection) => link.attach(connection),
    (error: unknown) => options.onConnectionError(error),
  );
  let timer: NodeJS.Timeout | undefined;
  await Promise.race([attached, new Promise((resolve) => (timer = setTimeout(resolve, CONNECT_WAIT_MS)))]);
  clearTimeout(timer);
  if (!link.isUp) {
    options.onConnectionError(unavailable("NATS does not answer yet"));
    return link;
  }
  try {
    await link.broker();
  } catch (error) {
    if (error instanceof TransientError) return link;
    await link.close();
    throw error;
  }
  return link;
}

export class NatsLink {
  isUp = false;
  #connection: NatsConnection | null = null;
  #publisher: StreamPublisher | null = null;
  #broker: Promise<Broker> | null = null;
  #isClosed = false;
  readonly #listeners = new Set<() => void>();

  constructor(private readonly options: NatsOptions) {}

  /** With all streams there. Rejects at once while there is no connection: TransientError BROKER_UNAVAILABLE. */
  broker(): Promise<Broker> {
    if (!this.isUp) return Promise.reject(unavailable("There is no connection to NATS"));
    this.#broker ??= this.#prepare().catch((error: unknown) => {
      this.forgetStreams();
      throw error;
    });
    return this.#broker;
  }

  /** A broker that came back may have other streams, or none. */
  forgetStreams(): void {
    this.#broker = null;
  }

  /** At each connection from now on, and at once when there is one; returns how to unsubscribe. */
  onUp(listener: () => void): () => void {
    this.#listeners.add(listener);
    if (this.isUp) listener();
    return () => this.#listeners.delete(listener);
  }

  attach(connection: NatsConnection): void {
    if (this.#isClosed) return void connection.close();
    this.#connection = connection;
    this.#publisher = new StreamPublisher(connection, ANSWER_MAX_MS);
    this.#rise();
    void this.#watch(connection);
  }

  /** Safe twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.isUp = false;
    this.#publisher?.stop();
    await this.#connection?.close();
  }

  async #prepare(): Promise<Broker> {
    const [connection, publisher] = [this.#connection, this.#publisher];
    if (connection === null || publisher === null) throw unavailable("There is no connection to NATS");
    const client = jetstream(connection, { timeout: ANSWER_MAX_MS });
    const manager = await client.jetstreamManager(false);
    await ensureStreams(manager, this.options.replicas).catch((error: unknown) => {
      throw asUnavailable(error);
    });
    return { client, manager, publisher };
  }

  async #watch(connection: NatsConnection): Promise<void> {
    for await (const { type } of connection.status()) {
      if (type === "disconnect") {
        this.isUp = false;
        this.#publisher?.abandon("The connection to NATS was lost.");
        if (!this.#isClosed) this.options.onConnectionError(unavailable("The connection to NATS is lost"));
      }
      if (type === "reconnect") this.#rise();
    }
  }

  #rise(): void {
    this.isUp = true;
    this.forgetStreams();
    for (const listener of this.#listeners) listener();
  }
}

/** What the client throws when a question has no answer; what the broker answers stays as it is. */
export function asUnavailable(error: unknown): Error {
  if (error instanceof JetStreamApiError && error.status < 500) return error;
  if (error instanceof Error && "class" in error) return error;
  return new TransientError("BROKER_UNAVAILABLE", "NATS gave no answer; it is asked again.", { cause: error });
}

function unavailable(what: string): TransientError {
  return new TransientError("BROKER_UNAVAILABLE", `${what}; it is tried again.`);
}
