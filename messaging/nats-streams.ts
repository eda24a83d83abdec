/** The streams on the broker: made where they are missing, and compared with what our promises need. */
import { JetStreamApiError, type JetStreamManager, type StreamConfig } from "@nats-io/jetstream";
import { TerminalError } from "../machines/errors.ts";
import { CHECKOUT_STREAM, PAYMENT_STREAM, REPLAY_STREAM } from "./subjects.ts";

const DAY_NS = 86_400_000_000_000;
const MAX_AGE_MIN_NS = DAY_NS;
const SUBJECTS_OVERLAP = 10_065;
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
    const config = found ?? (await made(manager, { ...wanted, num_replicas: replicas }));
    const mistakes = mistakesIn(config, wanted);
    if (mistakes.length > 0) {
      throw new TerminalError("STREAM_UNFIT", `The stream ${wanted.name} can't be used: ${mistakes.join("; ")}.`);
    }
  }
}

async function made(manager: JetStreamManager, wanted: Wanted & Pick<StreamConfig, "num_replicas">): Promise<StreamConfig> {
  try {
    return (await manager.streams.add(wanted)).config;
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.code !== SUBJECTS_OVERLAP) throw error;
    const subjects = wanted.subjects.join();
    const others = (await Promise.all(wanted.subjects.map((subject) => manager.streams.names(subject).next()))).flat();
    const advice = `Take ${subjects} out of its subjects; we make a stream ${wanted.name} for them`;
    throw new TerminalError("STREAM_UNFIT", `The stream ${others.join()} holds what belongs to ours. ${advice}.`, {
      cause: error,
    });
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
  // A mirror has none.
  const subjects: readonly string[] = config.subjects ?? [];
  const missing = wanted.subjects.filter((subject) => !subjects.includes(subject));
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
  if (config.no_ack === true) mistakes.push("it acknowledges nothing, so nobody knows what it has; set no_ack to false");
  if (config.sealed === true) mistakes.push("it is sealed, and takes nothing more; make it anew");
  if (config.max_age > 0 && config.max_age < MAX_AGE_MIN_NS) {
    mistakes.push("it forgets events before anybody who was away can read them; set max_age to a day at least");
  }
  return mistakes;
}

function hasLimit({ max_bytes, max_msgs }: StreamConfig): boolean {
  return max_bytes > 0 || max_msgs > 0;
}
