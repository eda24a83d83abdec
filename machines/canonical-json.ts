/**
 * JSON with sorted keys: the same text for equal values, whatever order their keys were written in.
 * Postgres reorders the keys of a jsonb, so hashes are taken over this and not over JSON.stringify.
 */
export function canonicalJson(value: unknown): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item ?? null)).join()}]`;
  // One string that grows: every transition is hashed, and a list of its fields would take twice the time.
  let fields = "";
  for (const key of Object.keys(value).sort()) {
    const field = (value as Readonly<Record<string, unknown>>)[key];
    if (field !== undefined) fields += `${fields === "" ? "" : ","}${named(key)}${canonicalJson(field)}`;
  }
  return `{${fields}}`;
}

/** Ours are a hundred; those of requests are whatever a client sends. */
const NAMES_MAX = 1_000;
const names = new Map<string, string>();

/** A field's name as JSON, quoted once: every transition has the same ones, and quoting them is a third of the work. */
function named(key: string): string {
  const known = names.get(key);
  if (known !== undefined) return known;
  const name = `${JSON.stringify(key)}:`;
  if (names.size < NAMES_MAX) names.set(key, name);
  return name;
}
