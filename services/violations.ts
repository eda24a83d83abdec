/** Collects every mistake of a request, each with a JSON pointer to it. */
import type { Violation } from "../machines/errors.ts";

export type Report = (pointer: string, code: string, message: string) => void;

export function collectViolations(): { readonly violations: Violation[]; readonly report: Report } {
  const violations: Violation[] = [];
  return { violations, report: (pointer, code, message) => void violations.push({ pointer, code, message }) };
}

const QUOTE_LENGTH_MAX = 64;

/** A client's own word in a message: short and printable, whatever was sent. */
export function quoted(word: unknown): string {
  const text = typeof word === "string" ? word : typeof word;
  return `"${text.slice(0, QUOTE_LENGTH_MAX).replaceAll(/[^\x20-\x7e]/g, "?")}"`;
}

/** Later uses of a name that must be unique. */
export function reportDuplicates(
  names: readonly string[],
  pointerOf: (index: number) => string,
  report: Report,
  taken = new Set<string>(),
): void {
  for (const [index, name] of names.entries()) {
    if (taken.has(name))
      report(pointerOf(index), "REF_NOT_UNIQUE", `The reference ${quoted(name)} is used twice. Give each entry its own.`);
    taken.add(name);
  }
}
