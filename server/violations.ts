/** What is wrong with a request, one mistake at a time. Values are never repeated: they may be personal. */
import type { z } from "@hono/zod-openapi";
import type { Violation } from "../machines/errors.ts";
import { jsonPointer } from "./json-pointer.ts";
import { problem, type Problem } from "./problems.ts";

/** An answer that lists more than this helps nobody and costs us memory. */
export const VIOLATIONS_MAX = 200;

export function invalid(violations: readonly Violation[]): { readonly kind: "refused"; readonly problem: Problem } {
  const shown = violations.slice(0, VIOLATIONS_MAX);
  const more = violations.length > shown.length ? ` The first ${shown.length} are listed.` : "";
  const detail = `The request is not valid. Correct every violation listed and send it again.${more}`;
  return { kind: "refused", problem: problem("VALIDATION_FAILED", detail, { violations: shown }) };
}

export type Parsed<Value> =
  { readonly kind: "valid"; readonly value: Value } | { readonly kind: "violations"; readonly violations: readonly Violation[] };

/** Every mistake at once. */
export function parseWith<Schema extends z.ZodType>(schema: Schema, body: unknown): Parsed<z.output<Schema>> {
  const result = schema.safeParse(body, { reportInput: true });
  if (result.success) return { kind: "valid", value: result.data };
  return { kind: "violations", violations: result.error.issues.flatMap(violationsOf) };
}

function violationsOf(issue: z.core.$ZodIssue): Violation[] {
  const pointer = jsonPointer(issue.path);
  switch (issue.code) {
    case "unrecognized_keys":
      // One past what is listed, so that the list says that it was cut.
      return issue.keys.slice(0, VIOLATIONS_MAX + 1).map((key) => ({
        pointer: jsonPointer([...issue.path, key]),
        code: "UNKNOWN_FIELD",
        message: "This field is not known here. Leave it out: what is not heard must not look as if it were.",
      }));
    case "invalid_type":
      if (issue.input === undefined) return [{ pointer, code: "MISSING", message: "This field is required." }];
      return [{ pointer, code: "WRONG_TYPE", message: `Must be ${issue.expected}` }];
    case "invalid_value":
      if (issue.input === undefined) return [{ pointer, code: "MISSING", message: "This field is required." }];
      return [{ pointer, code: "NOT_ALLOWED", message: `Must be one of ${issue.values.map(String).join(", ")}` }];
    case "too_big":
    case "too_small": {
      const isCount = issue.origin === "array" || issue.origin === "string";
      const codes = issue.code === "too_big" ? ["TOO_LONG", "TOO_LARGE"] : ["TOO_SHORT", "TOO_SMALL"];
      return [{ pointer, code: (isCount ? codes[0] : codes[1]) ?? issue.code, message: issue.message }];
    }
    case "invalid_format":
      return [{ pointer, code: "INVALID_FORMAT", message: issue.message }];
    case "custom":
      return [{ pointer, code: String(issue.params?.["code"] ?? "INVALID"), message: issue.message }];
    default:
      return [{ pointer, code: "INVALID", message: issue.message }];
  }
}
