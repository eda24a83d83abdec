/** The streams on the broker: made where they are missing, and compared with what our promises need. */
import type { JetStreamManager, StreamConfig } from "@nats-io/jetstream";
import { TerminalError } from "../machines/errors.ts";
import { CHECKOUT_STREAM, PAYMENT_STREAM, REPLAY_STREAM } from "./subjects.ts";

const DAY_NS = 86_400_000_000_000;
const MINUTE_NS = 60_000_000_000;
/** An event holds ids, amounts and line items: a cart of hundreds of lines is far below it. */
const MESSAGE_BYTES_MAX = 1_048_576;

type Wanted = Pick<
  StreamConfig,
  "name" | "subjects" | "retention" | "storage" | "discard" | "max_age" | "max_msg_size" | "duplicate_window"
>;

/**
 * Files, because an acknowledged event must survive the broker's restart. A full stream refuses what is new (`discard`):
 * our backlog waits, and says so; it would otherwise forget what a subscriber has not read.
 */
const STREAMS: readonly Wanted[] = [
  stream(CHECKOUT_STREAM, "checkout.v1.>", 30),
  stream(REPLAY_STREAM, "checkout.replay.v1.>", 7),
  stream(PAYMENT_STREAM, "payments.v1.>", 30),
];

function stream(name: string, subject: string, days: number): Wanted {
  return {
    name,
    subjects: [subject],
    retention: "limits",
    storage: "file",
    discard: "new",
    max_age: days * DAY_NS,
    max_msg_size: MESSAGE_BYTES_MAX,
    duplicate_window: 2 * MINUTE_NS,
  };
}

/**
 * One that exists is left as it is: its limits and copies are its operator's. TerminalError STREAM_UNFIT where it would
 * lose or refuse events that must stand: it says what to change.
 */
export async function ensureStreams(manager: JetStreamManager, replicas: number): Promise<void> {
  for (const wanted of STREAMS) {
    const found = await configOf(manager, wanted.name);
    const config = found ?? (await manager.streams.add({ ...wanted, num_replicas: replicas })).config;
    const mistakes = mistakesIn(config, wanted);
    if (mistakes.length > 0) {
      throw new TerminalError("STREAM_UNFIT", `The stream ${wanted.name} can't be used: ${mistakes.join("; ")}.`);
    }
  }
}

async function configOf(manager: JetStreamManager, name: string): Promise<StreamConfig | null> {
  for await (const names of manager.streams.names()) {
    if (names === name) return (await manager.streams.info(name)).config;
  }
  return null;
}

/** What would break a promise, each with what to do. */
function mistakesIn(config: StreamConfig, wanted: Wanted): readonly string[] {
  const mistakes: string[] = [];
  const missing = wanted.subjects.filter((subject) => !config.subjects.includes(subject));
  if (missing.length > 0) mistakes.push(`it does not hold ${missing.join()}; add it to its subjects`);
  if (config.storage !== wanted.storage)
    mistakes.push("it is kept in memory, and a restart would lose it; make it anew on files");
  if (config.retention !== wanted.retention) {
    mistakes.push(`its retention is ${config.retention}, so one subscriber takes events from another; make it anew with limits`);
  }
  if (config.discard !== wanted.discard && hasLimit(config)) {
    mistakes.push("when it is full it forgets its oldest events; set discard to new");
  }
  if ((config.max_msgs_per_subject ?? -1) > 0)
    mistakes.push("it limits the messages of a subject; set max_msgs_per_subject to -1");
  return mistakes;
}

function hasLimit({ max_bytes, max_msgs }: StreamConfig): boolean {
  return max_bytes > 0 || max_msgs > 0;
}
