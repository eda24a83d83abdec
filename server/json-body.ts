/**
 * A body as JSON that is safe to keep: scanned before it is parsed, and free of strings that a database
 * refuses. Nothing here throws for what a client sends.
 */
import { createHash } from "node:crypto";
import { canonicalJson } from "../machines/canonical-json.ts";
import type { Violation } from "../machines/errors.ts";
import { jsonPointer } from "./json-pointer.ts";
import { scanJson } from "./json-scan.ts";
import type { Problem } from "./problems.ts";
import { readJsonBytes } from "./request-bytes.ts";
import { invalid, VIOLATIONS_MAX } from "./violations.ts";

const JSON_DEPTH_MAX = 32;

export type JsonBody =
  { readonly kind: "json"; readonly value: unknown } | { readonly kind: "refused"; readonly problem: Problem };

export async function readJsonBody(request: Request): Promise<JsonBody> {
  const body = await readJsonBytes(request);
  return body.kind === "refused" ? body : parseJson(body.bytes);
}

export function parseJson(bytes: Uint8Array): JsonBody {
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

/** The same for bodies that differ only in the order of keys, white space and escapes. */
export function canonicalHash(value: unknown): string {
  return createHash("sha256").update(canonicalJson(value)).digest("hex");
}
