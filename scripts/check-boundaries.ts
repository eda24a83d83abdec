/** `tsx scripts/check-boundaries.ts`: exits 1 with a line for each violation. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { findViolations, type SourceFile } from "./boundaries.ts";

const SKIPPED = new Set(["node_modules", "dist", "coverage", "data", "docs"]);

function sourceFiles(directory: string, prefix = ""): SourceFile[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    if (entry.name.startsWith(".") || SKIPPED.has(entry.name)) return [];
    const path = `${prefix}${entry.name}`;
    if (entry.isDirectory()) return sourceFiles(join(directory, entry.name), `${path}/`);
    return /\.[cm]?tsx?$/.test(entry.name) ? [{ path, text: readFileSync(join(directory, entry.name), "utf8") }] : [];
  });
}

const files = sourceFiles(process.cwd());
const violations = findViolations(files);
for (const { path, line, rule, message } of violations) console.error(`${path}:${line} [${rule}] ${message}`);
// A checker that looks at nothing passes; that has happened to others.
if (files.length === 0) console.error("no source files found: run this from the repository's root");
console.log(`boundaries: ${files.length} files, ${violations.length} violations`);
process.exitCode = violations.length > 0 || files.length === 0 ? 1 : 0;
