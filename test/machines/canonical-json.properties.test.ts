/** One text for equal values, and another text for every other value: hashes are taken over it. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { canonicalJson } from "../../machines/canonical-json.ts";
import { jsonPair, jsonValue, spelling } from "../support/json-spellings.ts";
import { tried } from "../support/properties.ts";

test("is JSON of the same value", () => {
  fc.assert(
    fc.property(jsonValue, (value) => {
      expect(JSON.parse(canonicalJson(value))).toEqual(value);
    }),
    tried(300),
  );
});

test("is the same for its own value again", () => {
  fc.assert(
    fc.property(jsonValue, (value) => {
      const text = canonicalJson(value);
      expect(canonicalJson(JSON.parse(text))).toBe(text);
    }),
    tried(300),
  );
});

test("doesn't hear how the value was spelled: order of keys, white space, escapes, notation of numbers", () => {
  let others = 0;
  fc.assert(
    fc.property(jsonValue, spelling, (value, spell) => {
      const text = spell(value);
      if (text !== JSON.stringify(value)) others++;
      expect(canonicalJson(JSON.parse(text))).toBe(canonicalJson(value));
    }),
    tried(600),
  );
  expect(others).toBeGreaterThan(300);
});

test("differs where the value differs, in its type alone too", () => {
  fc.assert(
    fc.property(jsonPair, ({ value, other }) => {
      expect(canonicalJson(other)).not.toBe(canonicalJson(value));
    }),
    tried(600),
  );
});

test("leaves out what JSON leaves out: a field that is undefined, and nothing else", () => {
  expect(canonicalJson({ b: undefined, a: 1 })).toBe('{"a":1}');
  expect(canonicalJson([undefined, 1])).toBe("[null,1]");
  expect(canonicalJson({ a: null })).not.toBe(canonicalJson({}));
});
