/**
 * Reads a request's body as JSON that is safe to keep: bounded before it is read, scanned before it is
 * parsed, and free of strings that a database refuses. Nothing here throws for what a client sends.
 */
import { createHash } from "node:crypto";
import type { Violation } from "../machines/errors.ts";
import { jsonPointer } from "./json-pointer.ts";
import { scanJson } from "./json-scan.ts";
import { problem, type Problem } from "./problems.ts";

export const BODY_BYTES_MAX = 256 * 1024;
const JSON_DEPTH_MAX = 32;

export type JsonBody =
  { readonly kind: "json"; readonly value: unknown } | { readonly kind: "refused"; readonly problem: Problem };

export async function readJsonBody(request: Request): Promise<JsonBody> {
  const wrongType = unsupportedMediaType(request.headers);
  if (wrongType !== null) return refused(wrongType);
  const bytes = await readBytes(request);
  if (bytes === null) {
    return refused(problem("PAYLOAD_TOO_LARGE", `A body may have at most ${BODY_BYTES_MAX} bytes. Send less.`));
  }
  return parseJson(bytes);
}

function unsupportedMediaType(headers: Headers): Problem | null {
  const contentType = headers.get("content-type") ?? "";
  if (!/^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i.test(contentType.trim())) {
    return problem("UNSUPPORTED_MEDIA_TYPE", "Send the body as `Content-Type: application/json`, in UTF-8.");
  }
  const encoding = headers.get("content-encoding");
  if (encoding !== null && encoding.toLowerCase() !== "identity") {
    return problem("UNSUPPORTED_MEDIA_TYPE", "Send the body without a Content-Encoding.");
  }
  return null;
}

/** Null = too large. Content-Length is only believed when it already says so: a body may be longer, or chunked. */
async function readBytes(request: Request): Promise<Uint8Array | null> {
  if (Number(request.headers.get("content-length") ?? 0) > BODY_BYTES_MAX) return null;
  if (request.body === null) return new Uint8Array();
  const reader = request.body.getReader();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return Buffer.concat(chunks);
    size += value.byteLength;
    if (size > BODY_BYTES_MAX) {
      await reader.cancel();
      return null;
    }
    chunks.push(value);
  }
}

function parseJson(bytes: Uint8Array): JsonBody {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    // The decoder only says that it is not UTF-8, not where.
    return invalid([{ pointer: "", code: "INVALID_UTF8", message: "The body is not valid UTF-8." }]);
  }
  const scan = scanJson(text, JSON_DEPTH_MAX);
  if (scan.isTooDeep) {
    return invalid([{ pointer: "", code: "TOO_DEEP", message: `The body may nest at most ${JSON_DEPTH_MAX} levels.` }]);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return invalid([{ pointer: "", code: "MALFORMED_JSON", message: malformedMessage(text, error) }]);
  }
  const violations = [
    ...scan.duplicates.map((pointer) => ({ pointer, code: "DUPLICATE_KEY", message: "This key stands twice in one object." })),
    ...unstorable(value),
  ];
  return violations.length > 0 ? invalid(violations) : { kind: "json", value };
}

/** The parser's own message quotes the body, which may hold personal data; its position is enough. */
function malformedMessage(text: string, error: unknown): string {
  if (text.trim() === "") return "The body is empty. Send a JSON object.";
  const position = /position (\d+)/.exec(error instanceof Error ? error.message : "")?.[1];
  return position === undefined ? "The body is not valid JSON." : `The body is not valid JSON: see character ${position}.`;
}

/** Postgres stores neither NUL nor half a surrogate pair: one such string would fail a whole batch of commits. */
function unstorable(root: unknown): Violation[] {
  const violations: Violation[] = [];
  const path: PropertyKey[] = [];
  const add = (code: string, message: string) => {
    if (violations.length < VIOLATIONS_MAX) violations.push({ pointer: jsonPointer(path), code, message });
  };
  const text = (value: string, what: string) => {
    if (value.includes("\0")) add("NUL_CHARACTER", `${what} must not contain the NUL character.`);
    if (/\p{Surrogate}/u.test(value)) add("LONE_SURROGATE", `${what} must not contain half a surrogate pair.`);
  };
  // Recursion is safe: the scan has bounded the depth.
  const visit = (value: unknown): void => {
    if (typeof value === "string") text(value, "This text");
    else if (typeof value === "number" && !Number.isFinite(value)) add("OUT_OF_RANGE", "This number is too large.");
    else if (typeof value === "object" && value !== null) {
      for (const key of Object.keys(value)) {
        path.push(Array.isArray(value) ? Number(key) : key);
        if (!Array.isArray(value)) text(key, "A key");
        if (key === "__proto__") add("UNKNOWN_FIELD", "This field is not known.");
        visit((value as Readonly<Record<string, unknown>>)[key]);
        path.pop();
      }
    }
  };
  visit(root);
  return violations;
}

/** An answer that lists more than this helps nobody and costs us memory. */
export const VIOLATIONS_MAX = 200;

export function invalid(violations: readonly Violation[]): { readonly kind: "refused"; readonly problem: Problem } {
  const shown = violations.slice(0, VIOLATIONS_MAX);
  const more = violations.length > shown.length ? ` The first ${shown.length} are listed.` : "";
  const detail = `The request is not valid. Correct every violation listed and send it again.${more}`;
  return refused(problem("VALIDATION_FAILED", detail, { violations: shown }));
}

function refused(content: Problem): { readonly kind: "refused"; readonly problem: Problem } {
  return { kind: "refused", problem: content };
}

/** The same for bodies that differ only in the order of keys, white space and escapes. */
export function canonicalHash(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}

function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(",")}}`;
}
