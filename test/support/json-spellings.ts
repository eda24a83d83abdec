/** The same JSON value in other words, and values that differ in one place. */
import fc from "fast-check";
import { seededChance, type Chance } from "./chance.ts";

/** Any value that JSON can say, as a parser gives it. */
export const jsonValue = fc.jsonValue({ maxDepth: 4 }).map((value): unknown => JSON.parse(JSON.stringify(value)));

/** A way to spell: shuffled keys, spaces, escapes and numbers in other notations. */
export const spelling = fc.integer().map((seed) => (value: unknown) => spelled(value, seededChance(seed)));

function spelled(value: unknown, chance: Chance): string {
  const space = () => SPACES[Math.floor(chance() * SPACES.length)] ?? "";
  const padded = (text: string) => `${space()}${text}${space()}`;
  if (typeof value === "number") return padded(spelledNumber(value, chance));
  if (typeof value === "string") return padded(spelledText(value, chance));
  if (Array.isArray(value)) return padded(`[${value.map((item) => spelled(item, chance)).join(",") || space()}]`);
  if (typeof value !== "object" || value === null) return padded(JSON.stringify(value));
  const keyed = Object.entries(value).map(([key, field]) => ({ key, field, rank: chance() }));
  const fields = keyed
    .toSorted((one, other) => one.rank - other.rank)
    .map(({ key, field }) => `${padded(spelledText(key, chance))}:${spelled(field, chance)}`);
  return padded(`{${fields.join(",") || space()}}`);
}

const SPACES = ["", "", " ", "\n", "\t", "\r\n  "];

function spelledNumber(value: number, chance: Chance): string {
  const plain = JSON.stringify(value);
  const exponential = value.toExponential();
  // Not every notation gives a value back to its last bit.
  const ways = [plain, exponential, exponential.toUpperCase(), `${plain}.0`, `${plain}e0`, `${plain}E+00`];
  const same = ways.filter((way) => isNumber(way) && Object.is(JSON.parse(way), value));
  return same[Math.floor(chance() * same.length)] ?? plain;
}

function isNumber(text: string): boolean {
  return /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/.test(text);
}

/** Each UTF-16 unit as it is, or by its number. */
function spelledText(text: string, chance: Chance): string {
  const plain = JSON.stringify(text).slice(1, -1);
  if (chance() < 0.5) return `"${plain}"`;
  const units = Array.from({ length: text.length }, (_, index) => text.charCodeAt(index).toString(16).padStart(4, "0"));
  return `"${units.map((unit) => `\\u${unit}`).join("")}"`;
}

/** A value and another one, which differs in one place. */
export const jsonPair = fc.tuple(jsonValue, fc.integer()).map(([value, seed]) => {
  return { value, other: changed(value, seededChance(seed)) };
});

function changed(value: unknown, chance: Chance): unknown {
  const isHere = chance() < 0.4;
  if (Array.isArray(value)) {
    const at = Math.floor(chance() * value.length);
    if (value.length === 0 || isHere) return chance() < 0.5 ? [...value, null] : Object.fromEntries(Object.entries(value));
    return value.map((item: unknown, index) => (index === at ? changed(item, chance) : item));
  }
  if (typeof value !== "object" || value === null) return changedScalar(value, chance);
  const entries = Object.entries(value);
  const at = Math.floor(chance() * entries.length);
  const [key, field] = entries[at] ?? [];
  if (key === undefined || isHere) return Object.fromEntries([...entries, [freshKey(value), null]]);
  if (chance() < 0.3) return Object.fromEntries(entries.filter((_, index) => index !== at));
  return Object.fromEntries(entries.map((entry, index) => (index === at ? [key, changed(field, chance)] : entry)));
}

/** Its likeness in another type, or its neighbour in its own. */
function changedScalar(value: unknown, chance: Chance): unknown {
  const likenesses = [String(value), [value], { value }, null, false, 0, ""].filter((other) => !Object.is(other, value));
  if (typeof value === "number" && chance() < 0.5) return value === 0 ? 1 : -value;
  if (typeof value === "string" && chance() < 0.5) return `${value} `;
  return likenesses[Math.floor(chance() * likenesses.length)];
}

function freshKey(value: object): string {
  let key = "a";
  while (Object.hasOwn(value, key)) key += "a";
  return key;
}
