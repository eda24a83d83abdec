/** The events of one checkout on their way to the bus: one after the other, and no further than the first that fails. */
import { TerminalError, TransientError } from "../machines/errors.ts";
import type { Bus, CloudEvent } from "../messaging/bus.ts";
import type { PublicationMark, PublishedEvent } from "../persistence/store.ts";
import type { Log } from "./telemetry.ts";

const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 60_000;

export interface PublicationDeps {
  readonly bus: Pick<Bus, "publish">;
  readonly log: Pick<Log, "warn" | "error">;
  readonly source: string;
  /** Asked before each event. */
  readonly mayPublish: () => boolean;
}

export interface Publication {
  readonly marks: readonly PublicationMark[];
  /** Why there was nobody to take them, which says nothing of the events; null = there was. */
  readonly outage: TransientError | null;
}

export async function publishInOrder(events: readonly PublishedEvent[], deps: PublicationDeps): Promise<Publication> {
  const marks: PublicationMark[] = [];
  for (const event of events) {
    if (!deps.mayPublish()) break;
    const { contextId, eventSeq } = event;
    try {
      await deps.bus.publish(toCloudEvent(event, deps.source));
      marks.push({ contextId, eventSeq, kind: "acknowledged" });
    } catch (error) {
      if (error instanceof TransientError) return { marks, outage: error };
      marks.push(failureOf(event, error, deps.log));
      break;
    }
  }
  return { marks, outage: null };
}

/** One that the bus will never take is parked; anything else may pass. */
function failureOf({ contextId, eventSeq, tries }: PublishedEvent, error: unknown, log: PublicationDeps["log"]): PublicationMark {
  const about = { executionContextId: contextId, eventSeq, err: error };
  if (error instanceof TerminalError) {
    log.error(about, "An event can't be published; it and what follows it in its checkout wait for an operator");
    return { contextId, eventSeq, kind: "parked", reason: `${error.code}: ${error.message}` };
  }
  log.warn(about, "An event could not be published; it is tried again");
  return { contextId, eventSeq, kind: "failed", retryAfterMs: Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(tries, 10)) };
}

/** Event id = `<contextId>:<event_seq>`: the same at every try, so that a broker can tell a repetition. */
export function toCloudEvent(event: PublishedEvent, source: string): CloudEvent {
  return {
    specversion: "1.0",
    id: `${event.contextId}:${event.eventSeq}`,
    source,
    type: `checkout.v1.${event.type}`,
    subject: event.contextId,
    time: new Date(event.committedAt).toISOString(),
    datacontenttype: "application/json",
    seq: event.eventSeq,
    typeseq: event.typeSeq,
    ...(event.traceparent === null ? {} : { traceparent: event.traceparent }),
    data: event.data,
  };
}
