/** A broker of the test's own, what is published on it, and what subscribers handled. */
import { jetstreamManager, type JetStreamManager } from "@nats-io/jetstream";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { CloudEvent } from "../../messaging/bus.ts";
import { subjectOf } from "../../messaging/subjects.ts";
import {
  subscribe,
  type DeadLetter,
  type Gap,
  type Handler,
  type SubscribeOptions,
  type Subscription,
} from "../../subscribe/subscribe.ts";
import { startServer, type StartOptions, type TestServer } from "../support/servers.ts";

/** Short, because tests wait for them. */
const LIMITS = { leaseMs: 1_000, ackWaitMs: 1_000, backoffFirstMs: 20, backoffMostMs: 100, drainMs: 500 };
/** The broker's shortest: tests store duplicates. */
const SHORT_WINDOW_NS = 100_000_000;

export class Desk implements AsyncDisposable {
  readonly handled: string[] = [];
  readonly gaps: Gap[] = [];
  readonly letters: DeadLetter[] = [];
  readonly errors: unknown[] = [];
  readonly #cleanUps: (() => Promise<unknown>)[] = [];

  private constructor(
    public server: TestServer,
    readonly client: NatsConnection,
    readonly manager: JetStreamManager,
  ) {}

  static async start(): Promise<Desk> {
    const server = await ownServer();
    const client = await connect({ servers: server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    const manager = await jetstreamManager(client);
    const desk = new Desk(server, client, manager);
    await desk.makeStream();
    desk.#cleanUps.push(
      () => desk.server.stop(),
      () => client.close(),
    );
    return desk;
  }

  /** A connection of a process that the test lets die. */
  async connection(): Promise<NatsConnection> {
    const connection = await connect({ servers: this.server.url, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
    this.#cleanUps.push(() => connection.close());
    return connection;
  }

  async subscribe(options: Partial<SubscribeOptions> = {}): Promise<Subscription> {
    const subscription = await subscribe({
      durable: "warehouse",
      types: "all",
      handler: this.note,
      servers: this.server.url,
      onError: (error) => void this.errors.push(error),
      onGap: (gap) => void this.gaps.push(gap),
      onDeadLetter: (letter) => void this.letters.push(letter),
      ...LIMITS,
      ...options,
    } as SubscribeOptions);
    this.#cleanUps.push(() => subscription.stop());
    return subscription;
  }

  readonly note: Handler = async (event) => {
    this.handled.push(event.id);
  };

  handledOf(checkout: string): readonly string[] {
    return this.handled.filter((id) => id.startsWith(`${checkout}:`));
  }

  /** Stored as it is: without the deduplication of our own publisher. */
  async publish(...events: CloudEvent[]): Promise<void> {
    for (const event of events) await this.manager.jetstream().publish(subjectOf(event), JSON.stringify(event));
  }

  /** What the durable has not got acknowledged. */
  async unacknowledged(durable = "warehouse"): Promise<number> {
    const { num_ack_pending, num_pending } = await this.manager.consumers.info("CHECKOUT", durable);
    return num_ack_pending + num_pending;
  }

  async value(key: string): Promise<string | null> {
    const subject = `$KV.checkout-subscribers.${key}`;
    return (await this.manager.streams.getMessage("KV_checkout-subscribers", { last_by_subj: subject }))?.string() ?? null;
  }

  /** On its port, with its data or without. */
  async restart(disk: "kept" | "lost" = "kept"): Promise<void> {
    const { port, directory } = this.server;
    this.server = await ownServer(disk === "kept" ? { port, directory } : { port });
  }

  /** As the service does; with a short window. */
  async makeStream(): Promise<void> {
    const duplicate_window = SHORT_WINDOW_NS;
    await this.manager.streams.add({ name: "CHECKOUT", subjects: ["checkout.v1.>"], duplicate_window });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const cleanUp of this.#cleanUps.reverse()) await cleanUp();
  }
}

async function ownServer(options: StartOptions = {}): Promise<TestServer> {
  const server = await startServer("nats", options);
  if (server === null) throw new Error("This test kills its server, so it needs nats-server here: npm run setup:servers");
  return server;
}

export function eventOf(checkout: string, seq: number, type = "note", typeseq = seq): CloudEvent {
  return {
    specversion: "1.0",
    id: `${checkout}:${seq}`,
    source: "/test",
    type: `checkout.v1.${type}`,
    subject: checkout,
    time: "2027-01-08T10:00:00.000Z",
    datacontenttype: "application/json",
    seq,
    typeseq,
    data: { n: seq },
  };
}

export function idsOf(checkout: string, seqMax: number): string[] {
  return Array.from({ length: seqMax }, (_, index) => `${checkout}:${index + 1}`);
}

/** Something that a test lets happen at its time. */
export function signal(): { readonly given: Promise<void>; give(): void } {
  let give = () => {};
  const given = new Promise<void>((resolve) => (give = resolve));
  return { given, give };
}
