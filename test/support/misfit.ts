/** Whether an event is what its published schema says: no more, because nobody would know of it, and no less. */
import { isDeepStrictEqual } from "node:util";
import type { z } from "zod";
import { OUTBOUND_EVENT_TYPES } from "../../machines/events.ts";
import type { CloudEvent } from "../../messaging/bus.ts";
import { eventSchemaOf } from "../../server/outbound-event-schemas.ts";

const SCHEMAS: ReadonlyMap<string, z.ZodType> = new Map(
  OUTBOUND_EVENT_TYPES.map((type) => [`checkout.v1.${type}`, eventSchemaOf(type)]),
);

/** Null: it is. */
export function misfitOf(event: CloudEvent): string | null {
  const { id, type } = event;
  const schema = SCHEMAS.get(type);
  if (schema === undefined) return `${id} ${type} has no schema`;
  const parsed = schema.safeParse(event);
  if (!parsed.success) {
    const issues = parsed.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`);
    return `${id} ${type} is not what its schema says: ${issues.join("; ")}`;
  }
  // What a schema doesn't name is left out of what it parses.
  return isDeepStrictEqual(parsed.data, event) ? null : `${id} ${type} says more than its schema: ${JSON.stringify(event.data)}`;
}
