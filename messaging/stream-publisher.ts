/**
 * Publishes to streams, thousands at once over one inbox and one timer. The client's own publish takes a timer, a race and
 * an error's stack for each message, which together cost more than the message.
 */
import { JetStreamApiError, type PubAck } from "@nats-io/jetstream";
import { createInbox, type Msg, type MsgHdrs, type NatsConnection, type Subscription } from "@nats-io/transport-node";

interface Waiting {
  readonly stream: string;
  readonly expiresAt: number;
  readonly resolve: (ack: PubAck) => void;
  readonly reject: (error: unknown) => void;
}

/** What a stream answers: stored, or why not. */
type Answer = Partial<PubAck> & { readonly error?: ConstructorParameters<typeof JetStreamApiError>[0] };

const NO_RESPONDERS = 503;

export class StreamPublisher {
  readonly #inbox = createInbox();
  readonly #subscription: Subscription;
  /** In the order of their expiry, for all wait equally long. */
  readonly #waiting = new Map<string, Waiting>();
  #timer: NodeJS.Timeout | undefined;
  #published = 0;

  constructor(
    private readonly connection: NatsConnection,
    private readonly answerMaxMs: number,
  ) {
    // Nothing may be thrown here: it would end the client's reading of the connection.
    const callback = (error: Error | null, message: Msg) =>
      error === null ? this.#settle(message) : this.abandon(error.message);
    this.#subscription = connection.subscribe(`${this.#inbox}.*`, { callback });
  }

  /** Resolves when that stream has it. JetStreamApiError = refused; any other error: whether it is stored is not known. */
  publish(stream: string, subject: string, payload: string, headers: MsgHdrs): Promise<PubAck> {
    const token = String(++this.#published);
    return new Promise((resolve, reject) => {
      this.connection.publish(subject, payload, { headers, reply: `${this.#inbox}.${token}` });
      this.#waiting.set(token, { stream, expiresAt: performance.now() + this.answerMaxMs, resolve, reject });
      this.#timer ??= setTimeout(() => this.#expire(), this.answerMaxMs);
    });
  }

  /** What has no answer by now gets none. */
  abandon(reason: string): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }

  /** Safe twice. */
  stop(): void {
    this.abandon("The connection to NATS is closed.");
    this.#subscription.unsubscribe();
  }

  #settle(message: Msg): void {
    const token = message.subject.slice(this.#inbox.length + 1);
    const waiting = this.#waiting.get(token);
    const outcome = waiting === undefined ? null : outcomeIn(message, waiting.stream);
    // Somebody who listens on the subject and is no stream may answer too: that is no answer.
    if (waiting === undefined || outcome === null) return;
    this.#waiting.delete(token);
    if (outcome instanceof Error) waiting.reject(outcome);
    else waiting.resolve(outcome);
  }

  #expire(): void {
    const now = performance.now();
    for (const [token, { expiresAt, reject }] of this.#waiting) {
      if (expiresAt > now) {
        this.#timer = setTimeout(() => this.#expire(), expiresAt - now);
        return;
      }
      this.#waiting.delete(token);
      reject(new Error("NATS did not answer in time."));
    }
    this.#timer = undefined;
  }
}

/** Null: it says nothing of what was published. */
function outcomeIn(message: Msg, stream: string): PubAck | Error | null {
  if (message.headers?.code === NO_RESPONDERS) return new Error("No stream takes this subject.");
  const answer = jsonIn(message);
  if (answer?.error !== undefined) return new JetStreamApiError(answer.error);
  return answer?.stream === stream && Number.isSafeInteger(answer.seq) ? (answer as PubAck) : null;
}

function jsonIn(message: Msg): Answer | null {
  try {
    return message.json<Answer | null>();
  } catch {
    // No stream answers anything else.
    return null;
  }
}
