/**
 * The boundaries that lint has no rule for: who may import whom, clock reads that take the form of
 * `new Date()`, and enums. One table says it all; a folder without a row fails, so that a new one is decided on.
 */
import { dirname, join } from "node:path/posix";

export interface SourceFile {
  /** Relative to the repository's root, with forward slashes. */
  readonly path: string;
  readonly text: string;
}

export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly rule: "import" | "clock" | "enum" | "folder";
  readonly message: string;
}

/** What the runtime and the edge know of an adapter; the broker's names are what subscribers know of it. */
const CONTRACTS = [
  "locking/lock-manager.ts",
  "persistence/store.ts",
  "persistence/inbox-calls.ts",
  "messaging/bus.ts",
  "messaging/subjects.ts",
];
const SERVICE_TABLES = ["persistence/connect.ts", "persistence/schema.ts", "persistence/*-schema.ts"];
const PRODUCT = [
  "machines/",
  "steps/",
  "services/",
  "runtime/",
  "locking/",
  "persistence/",
  "messaging/",
  "subscribe/",
  "server/",
  "console/",
];

/** What each folder may import besides itself: a folder's name ends in a slash, `*` is any part of a file's name, anything else is one file. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  machines: [],
  steps: ["machines/"],
  services: ["machines/", "steps/", ...SERVICE_TABLES],
  runtime: ["machines/", "steps/", ...CONTRACTS],
  locking: ["machines/"],
  persistence: ["machines/"],
  messaging: ["machines/"],
  // For other teams' services: of ours only what an event is, what it goes by, how a broker is named, and a map.
  subscribe: ["messaging/bus.ts", "messaging/nats-address.ts", "messaging/recent.ts", "messaging/subjects.ts"],
  server: ["machines/", "steps/", "runtime/", ...CONTRACTS],
  console: [],
  scripts: PRODUCT,
  bench: PRODUCT,
  examples: PRODUCT,
  test: [...PRODUCT, "scripts/", "examples/", "vitest.config.ts"],
  "": PRODUCT,
};

/** Files that may import more than their folder, each for a reason. */
const EXCEPTIONS: readonly { readonly file: RegExp; readonly may: readonly string[] }[] = [
  // The adapter's table lives with all the others, under one migration history.
  { file: /^locking\/sql-locks\.ts$/, may: ["persistence/connect.ts", "persistence/schema.ts"] },
  // The only places where concrete adapters are named.
  { file: /^server\/(main|participants|wiring|wiring-[a-z-]+)\.ts$/, may: PRODUCT },
];

/** Their time comes in through the Clock, or a simulated run isn't the run. */
const CLOCKLESS = new Set(["machines", "steps", "runtime"]);

export function findViolations(files: readonly SourceFile[]): Violation[] {
  return files.flatMap((file) => {
    const folder = folderOf(file.path);
    if (MAY_IMPORT[folder] === undefined) {
      return [{ path: file.path, line: 1, rule: "folder" as const, message: `${folder}/ has no row in scripts/boundaries.ts` }];
    }
    const code = withoutComments(file.text);
    return [...importViolations(file, code), ...clockViolations(file, code), ...enumViolations(file, code)];
  });
}

function importViolations(file: SourceFile, code: string): Violation[] {
  return relativeImports(file.path, code)
    .filter(({ target }) => !mayImport(file.path, target))
    .map(({ line, target }) => ({ path: file.path, line, rule: "import", message: `may not import ${target}` }));
}

function mayImport(importer: string, target: string): boolean {
  const folder = folderOf(importer);
  if (folderOf(target) === folder) return true;
  const exceptions = EXCEPTIONS.filter(({ file }) => file.test(importer)).flatMap(({ may }) => may);
  return [...(MAY_IMPORT[folder] ?? []), ...exceptions].some((may) => matches(may, target));
}

function matches(may: string, target: string): boolean {
  if (may.endsWith("/")) return target.startsWith(may);
  const [start = "", end] = may.split("*");
  return end === undefined ? target === may : target.startsWith(start) && target.endsWith(end);
}

/** Static, re-exporting, side-effect, dynamic and type imports alike: each ties one file to another. */
const IMPORT = /\b(?:from|import)\s*\(?\s*(["'`])(\.{1,2}\/[^"'`\n]*)\1/g;

function relativeImports(importer: string, code: string): { readonly line: number; readonly target: string }[] {
  return [...code.matchAll(IMPORT)].map((match) => ({
    line: lineAt(code, match.index),
    target: join(dirname(importer), match[2] ?? ""),
  }));
}

/** `new Date()`, `new Date` and `Date()`. `Date.now` and the timers are lint's. */
const CLOCK_READ = /\bnew\s+Date\s*\(\s*\)|\bnew\s+Date\b(?!\s*[(.\w])|(?<!new\s)(?<![\w.])Date\s*\(\s*\)/g;

function clockViolations(file: SourceFile, code: string): Violation[] {
  if (!CLOCKLESS.has(folderOf(file.path))) return [];
  return [...withoutStrings(code).matchAll(CLOCK_READ)].map((match) => ({
    path: file.path,
    line: lineAt(code, match.index),
    rule: "clock",
    message: `reads the clock by ${match[0]}; time comes from the Clock (steps/ports.ts)`,
  }));
}

const ENUM = /^[ \t]*(?:export\s+)?(?:declare\s+)?(?:const\s+)?enum\s+\w+/gm;

function enumViolations(file: SourceFile, code: string): Violation[] {
  return [...withoutStrings(code).matchAll(ENUM)].map((match) => ({
    path: file.path,
    line: lineAt(code, match.index),
    rule: "enum",
    message: "an enum; use a union of string literals",
  }));
}

/** "" for files at the root. */
function folderOf(path: string): string {
  const slash = path.indexOf("/");
  return slash === -1 ? "" : path.slice(0, slash);
}

const COMMENT_OR_STRING = /\/\*[\s\S]*?\*\/|\/\/[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`/g;

/** Of the same length, so that positions stay true. */
function withoutComments(text: string): string {
  return text.replace(COMMENT_OR_STRING, (match) => (match.startsWith("/") ? blank(match) : match));
}

/** Template strings stay: they hold code. */
function withoutStrings(code: string): string {
  return code.replace(COMMENT_OR_STRING, (match) => (match.startsWith("`") ? match : blank(match)));
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, " ");
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split("\n").length;
}
