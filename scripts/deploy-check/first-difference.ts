/** Where two JSON values differ first, in the order of their keys. */
import { canonicalJson } from "../../machines/canonical-json.ts";

/** A value longer than this is cut: the place is what matters. */
const VALUE_CHARACTERS_MAX = 80;

/** E.g. `payment.round is 2, and was 1`; null = they are equal. */
export function firstDifference(then: unknown, now: unknown, place = ""): string | null {
  if (!isTree(then) || !isTree(now)) {
    return canonicalJson(then) === canonicalJson(now)
      ? null
      : `${place === "" ? "it" : place} is ${shown(now)}, and was ${shown(then)}`;
  }
  for (const key of [...new Set([...Object.keys(then), ...Object.keys(now)])].sort()) {
    const found = firstDifference(then[key], now[key], place === "" ? key : `${place}.${key}`);
    if (found !== null) return found;
  }
  return null;
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null;
}

function shown(value: unknown): string {
  if (value === undefined) return "absent";
  const text = canonicalJson(value);
  return text.length > VALUE_CHARACTERS_MAX ? `${text.slice(0, VALUE_CHARACTERS_MAX)}…` : text;
}
