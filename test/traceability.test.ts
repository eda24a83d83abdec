/** docs/traceability.md has every line of the specification, and names only code and tests that exist. */
import { existsSync, readFileSync } from "node:fs";
import { afterAll, expect, it } from "vitest";

/** Lines without a code or test yet. Lower these as they are filled; 0 makes every open line an error. */
const OPEN_CODE_MAX = 0;
const OPEN_TESTS_MAX = 29;

const OPEN = "—";

interface Row {
  readonly line: string;
  readonly code: readonly string[];
  readonly tests: readonly string[];
}

const rows = rowsOf(readFileSync("docs/traceability.md", "utf8"));
const openCode = rows.filter(({ code }) => code.length === 0);
const openTests = rows.filter(({ tests }) => tests.length === 0);

afterAll(() => {
  const open = openTests.map(({ line }) => `\n  ${line}`).join("");
  process.stdout.write(
    `traceability: ${rows.length} lines, ${openCode.length} without code, ${openTests.length} without a test${open}\n`,
  );
});

it("has every line of the specification, in its order", () => {
  const lines = specifiedLines(readFileSync("docs/specification.md", "utf8"));
  expect(lines.length).toBeGreaterThan(100);
  expect(rows.map(({ line }) => line)).toEqual(lines);
});

it("has no more open lines than agreed", () => {
  expect(openCode.length).toBeLessThanOrEqual(OPEN_CODE_MAX);
  expect(openTests.length).toBeLessThanOrEqual(OPEN_TESTS_MAX);
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
  return cell.split("<br>").filter((name) => name !== OPEN);
}

function unquoted(name: string): string {
  return name.replaceAll("`", "");
}

function textOf(path: string): string {
  expect(existsSync(path), `${path} exists`).toBe(true);
  return readFileSync(path, "utf8");
}
