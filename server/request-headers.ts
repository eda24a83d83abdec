/** The headers that requests to a checkout have in common. */
import type { Violation } from "../machines/errors.ts";

/** `Prefer: wait` may ask for more patience than REQUEST_WAIT_MS, but no connection is held for longer than this. */
export const PREFERRED_WAIT_MAX_MS = 30_000;

/** Visible ASCII: anything else gets mangled by one proxy or another, and then names another key. */
const IDEMPOTENCY_KEY = /^[\x21-\x7e]{1,255}$/;

export function idempotencyKeyViolation(key: string | undefined): Violation | null {
  if (key === undefined || key === "") {
    return {
      pointer: "",
      code: "IDEMPOTENCY_KEY_MISSING",
      message: "Send an Idempotency-Key header: one new value per checkout, the same one for its retries.",
    };
  }
  if (IDEMPOTENCY_KEY.test(key)) return null;
  return {
    pointer: "",
    code: "IDEMPOTENCY_KEY_INVALID",
    message: "The Idempotency-Key header must be 1 to 255 visible ASCII characters, without spaces, and sent once.",
  };
}

/** How long a request waits, and what its answer says about that. */
export function patience(prefer: string | undefined, presetMs: number): { waitMs: number; headers: Record<string, string> } {
  const preferredMs = preferredWaitMs(prefer);
  if (preferredMs === null) return { waitMs: presetMs, headers: {} };
  return { waitMs: preferredMs, headers: { "Preference-Applied": `wait=${preferredMs / 1000}` } };
}

/** RFC 7240: min(N seconds, PREFERRED_WAIT_MAX_MS); null without a `wait` that we understand, which is then ignored. */
function preferredWaitMs(prefer: string | undefined): number | null {
  for (const preference of (prefer ?? "").split(/[,;]/)) {
    const seconds = /^\s*wait\s*=\s*"?(\d{1,6})"?\s*$/i.exec(preference)?.[1];
    if (seconds !== undefined) return Math.min(Number(seconds) * 1000, PREFERRED_WAIT_MAX_MS);
  }
  return null;
}

/** W3C Trace Context: a malformed one is ignored, the trace then starts here. */
export function validTraceparent(header: string | undefined): string | null {
  const match = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.{1,200})?$/.exec(header ?? "");
  if (match === null) return null;
  const [, version = "", traceId = "", parentId = "", suffix] = match;
  if (version === "ff" || (version === "00" && suffix !== undefined)) return null;
  if (/^0+$/.test(traceId) || /^0+$/.test(parentId)) return null;
  return header?.slice(0, 55) ?? null;
}

/** The client's own id when it is harmless in a log line. */
export function validRequestId(header: string | undefined): string | null {
  return header !== undefined && /^[A-Za-z0-9._:-]{1,128}$/.test(header) ? header : null;
}
