/** The connection to NATS: made and kept in the background, because checkouts go on without it. */
import { JetStreamApiError, jetstream, type JetStreamClient, type JetStreamManager } from "@nats-io/jetstream";
import { AuthorizationError, connect, type NatsConnection } from "@nats-io/transport-node";
import { TerminalError, TransientError } from "../machines/errors.ts";
import { natsAddress, type NatsAddress } from "./nats-address.ts";
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
 * Resolves with or without the broker. TerminalError BROKER_REFUSES_US when it is there and does not take our credentials,
 * STREAM_UNFIT when a stream on it would lose or refuse what must stand.
 */
export async function connectNats(url: string, options: NatsOptions): Promise<NatsLink> {
  const link = new NatsLink(options);
  try {
    await link.open(addressIn(url));
    if (link.isUp) await link.broker();
  } catch (error) {
    const { cause } = error as { readonly cause?: unknown };
    const refusal = cause instanceof TerminalError ? cause : error;
    if (refusal instanceof TransientError) return link;
    await link.close();
    throw refusal;
  }
  return link;
}

function addressIn(url: string): NatsAddress {
  try {
    return natsAddress(url.split(",").map((one) => one.trim()));
  } catch (error) {
    throw new TerminalError("NATS_URL_INVALID", `NATS_URL can't be used. ${messageOf(error)}`, { cause: error });
  }
}

export class NatsLink {
  isUp = false;
  #connection: NatsConnection | null = null;
  #publisher: StreamPublisher | null = null;
  #broker: Promise<Broker> | null = null;
  #isClosed = false;
  #endPause = (): void => undefined;
  readonly #listeners = new Set<() => void>();

  constructor(private readonly options: NatsOptions) {}

  /** Resolves when there is a connection, or after a while: it is tried until there is one. Rejects when we are refused. */
  async open(address: NatsAddress): Promise<void> {
    const first = this.#connect(address);
    first.catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const waited = new Promise<"waited">((resolve) => (timer = setTimeout(() => resolve("waited"), CONNECT_WAIT_MS)));
    const failure = await Promise.race([first.then(() => null, asConnectError), waited]);
    clearTimeout(timer);
    if (failure instanceof TerminalError) throw failure;
    if (failure === null) return;
    this.options.onConnectionError(failure === "waited" ? unavailable("NATS does not answer yet") : failure);
    void this.#keepConnecting(address, first);
  }

  /**
   * With all streams there and fit. Rejects with TransientError alone, because it says nothing of what is to be published:
   * BROKER_UNAVAILABLE at once while there is no connection; BROKER_UNFIT, with the TerminalError that says what to change.
   */
  broker(): Promise<Broker> {
    if (!this.isUp) return Promise.reject(unavailable("There is no connection to NATS"));
    this.#broker ??= this.#prepare().catch((error: unknown) => {
      this.forgetStreams();
      throw error instanceof TransientError ? error : unfit(error);
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

  /** Safe twice. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.isUp = false;
    this.#endPause();
    this.#publisher?.stop();
    await this.#connection?.close();
  }

  async #connect(address: NatsAddress): Promise<void> {
    const connection = await connect({
      ...address,
      name: "checkoutd",
      timeout: ANSWER_MAX_MS,
      maxReconnectAttempts: -1,
      reconnectTimeWait: RECONNECT_WAIT_MS,
      // Credentials that are exchanged while we run are wrong for a moment.
      ignoreAuthErrorAbort: true,
      // A stack is taken for each question otherwise, a quarter of what publishing costs; ours tells as much.
      noAsyncTraces: true,
    });
    if (this.#isClosed) return connection.close();
    this.#connection = connection;
    this.#publisher = new StreamPublisher(connection, ANSWER_MAX_MS);
    this.#rise();
    void this.#watch(connection);
  }

  async #keepConnecting(address: NatsAddress, first: Promise<void>): Promise<void> {
    let [attempt, isToldOfRefusal] = [first, false];
    for (;;) {
      const failure = await attempt.then(() => null, asConnectError);
      if (failure === null) return;
      if (failure instanceof TerminalError && !isToldOfRefusal) this.options.onConnectionError(failure);
      isToldOfRefusal ||= failure instanceof TerminalError;
      await this.#pause();
      if (this.#isClosed) return;
      attempt = this.#connect(address);
    }
  }

  async #pause(): Promise<void> {
    if (this.#isClosed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, RECONNECT_WAIT_MS);
      this.#endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
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

function unfit(error: unknown): TransientError {
  const why = `Events wait until the broker's streams are fit: ${messageOf(error)}`;
  return new TransientError("BROKER_UNFIT", why, { cause: error });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function asConnectError(error: unknown): TransientError | TerminalError {
  if (!(error instanceof AuthorizationError)) return unavailable(`NATS can't be reached (${messageOf(error)})`, error);
  const advice = "Name a user and a password that it knows: nats://user:password@host:4222.";
  return new TerminalError("BROKER_REFUSES_US", `NATS refuses our credentials. ${advice}`, { cause: error });
}

/** What the client throws when a question has no answer; what the broker answers stays as it is. */
export function asUnavailable(error: unknown): Error {
  if (error instanceof JetStreamApiError && error.status < 500) return error;
  if (error instanceof Error && "class" in error) return error;
  return new TransientError("BROKER_UNAVAILABLE", "NATS gave no answer; it is asked again.", { cause: error });
}

function unavailable(what: string, cause?: unknown): TransientError {
  return new TransientError("BROKER_UNAVAILABLE", `${what}; it is tried again.`, { cause });
}
