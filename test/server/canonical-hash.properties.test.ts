/** The hash that an Idempotency-Key is compared by: of what a body says, not of how it is written. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalHash, parseJson } from "../../server/json-body.ts";
import { jsonPair, spelling } from "../support/json-spellings.ts";
import { tried } from "../support/properties.ts";

/** Null: the edge refuses the body (NUL, half a surrogate pair, too deep), so it never comes to a hash. */
function hashOf(text: string): string | null {
  const body = parseJson(new TextEncoder().encode(text));
  return body.kind === "json" ? canonicalHash(body.value) : null;
}

test("two spellings of a body have one hash, or both are refused; a body that differs has another", () => {
  let hashed = 0;
  fc.assert(
    fc.property(jsonPair, spelling, spelling, ({ value, other }, spell, spellAgain) => {
      const hash = hashOf(spell(value));
      expect(hashOf(spellAgain(value))).toBe(hash);
      if (hash === null) return;
      hashed++;
      expect(hash).toMatch(/^[0-9a-f]{64}$/);
      expect(hashOf(spell(other))).not.toBe(hash);
    }),
    tried(600),
  );
  expect(hashed).toBeGreaterThan(300);
});
