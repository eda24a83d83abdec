/** The table of removals fits the code: what it takes out is there, and so is the test that has to fail. `npm run removals` runs them. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { REMOVALS } from "./removals.ts";

test.each(REMOVALS)("$invariant: $guard stands in $file, and $test exists", ({ file, text, test: path }) => {
  expect(readFileSync(file, "utf8")).toContain(text);
  expect(readFileSync(path, "utf8")).not.toBe("");
});

test("every invariant has a removal", () => {
  const numbers = [...readFileSync("docs/invariants.md", "utf8").matchAll(/^\| (I\d+) \|/gm)].map(([, number]) => number ?? "");
  expect(numbers.filter((number) => !REMOVALS.some(({ invariant }) => invariant === number))).toEqual([]);
});
