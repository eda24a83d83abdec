/** A JetStream key-value bucket, as `nats kv` reads it too, with what we need of it: read, and compare-and-set. */
import { JetStreamApiCodes, JetStreamApiError, type JetStreamManager, type StoredMsg } from "@nats-io/jetstream";

const BUCKET = "checkout-subscribers";
const STREAM = `KV_${BUCKET}`;
const DAY_NS = 86_400_000_000_000;
/** Longer than the events are kept (30 days): a checkout that is silent for longer starts at 0 again, which shows as a gap. */
const KEPT_DAYS = 400;

export interface Entry {
  readonly value: string;
  /** Grows with every write to the bucket; a deleted key has one too, and the value "". */
  readonly revision: number;
}

export interface Bucket {
  get(key: string): Promise<Entry | null>;
  /** Where the key stands at `revision` (0 = it is absent). Resolves with the new one; null = it stands elsewhere, nothing is written. */
  put(key: string, value: string, revision: number): Promise<number | null>;
}

export class NatsBucket implements Bucket {
  constructor(
    private readonly manager: JetStreamManager,
    private readonly replicas: number,
  ) {}

  /** Made where it is missing; one that is there stays as its operator made it. */
  async ensure(): Promise<void> {
    try {
      await this.manager.streams.info(STREAM);
    } catch (error) {
      if (!isApiError(error, JetStreamApiCodes.StreamNotFound)) throw error;
      await this.manager.streams.add({
        name: STREAM,
        subjects: [`$KV.${BUCKET}.>`],
        storage: "file",
        discard: "new",
        max_msgs_per_subject: 1,
        max_age: KEPT_DAYS * DAY_NS,
        allow_rollup_hdrs: true,
        deny_delete: true,
        num_replicas: this.replicas,
      });
    }
  }

  /** From the stream's leader, never from a copy of it: a copy may lag, and an event would be handled again. */
  async get(key: string): Promise<Entry | null> {
    const message = await this.#lastOf(subjectOf(key));
    if (message === null) return null;
    // A key that an operator deleted (`nats kv del`) is a message with a header and no value.
    return { value: message.header.has("KV-Operation") ? "" : message.string(), revision: message.seq };
  }

  /** A broker that lost its disk has no bucket: nothing is known then, of any key. */
  async #lastOf(subject: string): Promise<StoredMsg | null> {
    try {
      return await this.manager.streams.getMessage(STREAM, { last_by_subj: subject });
    } catch (error) {
      if (!isApiError(error, JetStreamApiCodes.StreamNotFound)) throw error;
      await this.ensure();
      return null;
    }
  }

  async put(key: string, value: string, revision: number): Promise<number | null> {
    try {
      const expect = { streamName: STREAM, lastSubjectSequence: revision };
      return (await this.manager.jetstream().publish(subjectOf(key), value, { expect })).seq;
    } catch (error) {
      if (isApiError(error, JetStreamApiCodes.StreamWrongLastSequence)) return null;
      throw error;
    }
  }
}

export function isApiError(error: unknown, code: JetStreamApiCodes): boolean {
  return error instanceof JetStreamApiError && error.code === code;
}

function subjectOf(key: string): string {
  return `$KV.${BUCKET}.${key}`;
}
