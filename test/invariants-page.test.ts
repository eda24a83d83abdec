/** docs/invariants.md: every number that the code cites has a row, and every row names a test that exists. */
import { readdirSync, readFileSync } from "node:fs";
import { expect, it, test } from "vitest";

const page = readFileSync("docs/invariants.md", "utf8");
const rows = page.split("\n").filter((line) => /^\| I\d+ \|/.test(line));
const numbers = rows.map((row) => /^\| (I\d+) /.exec(row)?.[1] ?? row);
const sources = ["machines/invariants.ts", ...readdirSync("scripts/invariants").map((name) => `scripts/invariants/${name}`)];

it("numbers each invariant once, from I1 on without a gap", () => {
  expect(new Set(numbers).size).toBe(numbers.length);
  expect(numbers.toSorted((a, b) => Number(a.slice(1)) - Number(b.slice(1)))).toEqual(numbers.map((_, index) => `I${index + 1}`));
});

test.each(sources)("has every number that %s reports", (path) => {
  const reported = [...readFileSync(path, "utf8").matchAll(/["`](I\d+): /g)].map(([, number]) => number ?? "");
  expect(reported.filter((number) => !numbers.includes(number))).toEqual([]);
});

test.each(rows.map((row) => [/^\| (I\d+) /.exec(row)?.[1] ?? "", row] as const))("%s names tests that exist", (_, row) => {
  const references = [...row.matchAll(/`([\w./-]+\.ts)` › (.+?)(?=<br>| \|$)/g)];
  expect(references.length).toBeGreaterThan(0);
  for (const [, path = "", title] of references) expect(readFileSync(path, "utf8")).toContain(`"${title}"`);
});
