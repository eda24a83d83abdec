/** docs/traceability.md has code and a test for every line of the specification, and names only what exists. */
import { existsSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";

/** How a line without code or test is marked. */
const OPEN = "—";

interface Row {
  readonly line: string;
  readonly code: readonly string[];
  readonly tests: readonly string[];
}

const rows = rowsOf(readFileSync("docs/traceability.md", "utf8"));

it("has every line of the specification, in its order", () => {
  const lines = specifiedLines(readFileSync("docs/specification.md", "utf8"));
  expect(lines.length).toBeGreaterThan(100);
  expect(rows.map(({ line }) => line)).toEqual(lines);
});

it("has code and a test for each line", () => {
  const open = rows.filter(({ code, tests }) => code.length === 0 || tests.length === 0);
  expect(open.map(({ line }) => line)).toEqual([]);
});

it.each([...new Set(rows.flatMap(({ code }) => code))])("names code that exists: %s", (reference) => {
  const [, path = "", name = "", member] = /^([\w./-]+)#(\w+)(?:\.(\w+))?$/.exec(reference) ?? [];
  const text = textOf(path);
  const exported = new RegExp(`^export (?:declare |abstract |async )*(?:function|const|class|interface|type) ${name}\\b`, "m");
  expect(text).toMatch(exported);
  // Members are indented; an interface's and a class's look alike.
  if (member !== undefined)
    expect(text.slice(text.search(exported))).toMatch(new RegExp(`^\\s+(?:async )?${member}\\??[(:]`, "m"));
});

it.each([...new Set(rows.flatMap(({ tests }) => tests))])("names a test that exists: %s", (reference) => {
  const [, path = "", title = ""] = /^`([\w./-]+)` › (.+)$/.exec(reference) ?? [];
  const quoted = ['"', "'", "`"].map((quote) => `${quote}${title}${quote}`);
  const text = textOf(path);
  expect(quoted.filter((title) => text.includes(title))).not.toEqual([]);
});

/** Messages, notes and branches of the diagrams, their edges, and the items of the lists. */
function specifiedLines(markdown: string): string[] {
  return markdown
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => /-->|>>|^(?:Note|alt|else) |^(?:\d+\.|-) /.test(line));
}

function rowsOf(markdown: string): Row[] {
  return markdown
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .map((line) => {
      const [specified = "", code = "", tests = ""] = line
        .split(/(?<!\\)\|/)
        .slice(1)
        .map((cell) => cell.trim());
      return { line: specified.slice(1, -1).replaceAll("\\|", "|"), code: namesOf(code).map(unquoted), tests: namesOf(tests) };
    });
}

function namesOf(cell: string): string[] {
  return cell.split("<br>").filter((name) => name !== "" && name !== OPEN);
}

function unquoted(name: string): string {
  return name.replaceAll("`", "");
}

function textOf(path: string): string {
  expect(existsSync(path), `${path} exists`).toBe(true);
  return readFileSync(path, "utf8");
}
