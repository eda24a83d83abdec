/** What can be said about a request with an Idempotency-Key without asking anybody: mistakes in headers and body together. */
import type { Violation } from "../machines/errors.ts";
import { readJsonBody } from "./json-body.ts";
import type { Problem } from "./problems.ts";
import { idempotencyKeyViolation } from "./request-headers.ts";
import { invalid, type Parsed } from "./violations.ts";

export type Admission<Value> =
  | {
      readonly kind: "admitted";
      readonly idempotencyKey: string;
      /** As it was sent, before the parser made it ours. */
      readonly body: unknown;
      readonly value: Value;
    }
  | { readonly kind: "refused"; readonly problem: Problem };

export async function admit<Value>(request: Request, parse: (body: unknown) => Parsed<Value>): Promise<Admission<Value>> {
  const body = await readJsonBody(request);
  const key = request.headers.get("idempotency-key") ?? undefined;
  const keyViolation = idempotencyKeyViolation(key);
  const violations: Violation[] = keyViolation === null ? [] : [keyViolation];
  if (body.kind === "refused") {
    // 413 and 415 stand alone; a 400 lists the header's mistake as well.
    if (body.problem.violations === undefined) return body;
    return invalid([...violations, ...body.problem.violations]);
  }
  const parsed = parse(body.value);
  if (parsed.kind === "violations") return invalid([...violations, ...parsed.violations]);
  if (key === undefined || keyViolation !== null) return invalid(violations);
  return { kind: "admitted", idempotencyKey: key, body: body.value, value: parsed.value };
}
