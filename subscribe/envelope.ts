import type { CloudEvent } from "../messaging/bus.ts";
import { subjectOf } from "../messaging/subjects.ts";

/** What a message says, when it is an event of ours under its own subject; null otherwise. */
export function eventIn({ data, subject }: { readonly data: Uint8Array; readonly subject: string }): CloudEvent | null {
  try {
    const value: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data));
    return isEvent(value) && subjectOf(value) === subject ? value : null;
  } catch {
    // Not JSON: not an event.
    return null;
  }
}

function isEvent(value: unknown): value is CloudEvent {
  if (typeof value !== "object" || value === null) return false;
  const event = value as Partial<Record<keyof CloudEvent, unknown>>;
  const texts = [event.id, event.type, event.subject, event.time, event.source];
  const isNumbered = [event.seq, event.typeseq].every((number) => Number.isSafeInteger(number) && Number(number) >= 1);
  return (
    event.specversion === "1.0" &&
    isNumbered &&
    texts.every((text) => typeof text === "string") &&
    typeof event.data === "object" &&
    event.data !== null
  );
}
