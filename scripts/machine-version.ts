/**
 * `npm run machine:version`: writes the hash of the machine's sources (guards and assigns too, not only its
 * structure) into machines/version.ts. It is stored with every checkout; a test fails when it is out of date.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const FOLDER = new URL("../machines/", import.meta.url);

export function machineHash(): string {
  const hash = createHash("sha256");
  const sources = readdirSync(FOLDER).filter((name) => name.endsWith(".ts") && name !== "version.ts");
  for (const name of sources.sort()) hash.update(`${name}\n${readFileSync(new URL(name, FOLDER), "utf8")}\n`);
  return hash.digest("hex").slice(0, 16);
}

export function versionSource(): string {
  return `/** Made by \`npm run machine:version\`; stored with every checkout. */\nexport const MACHINE_HASH = "${machineHash()}";\n`;
}

/** An edited machine under an earlier one's name would be judged, and stored, as that one. */
export function assertVersionWritten(): void {
  if (readFileSync(new URL("version.ts", FOLDER), "utf8") === versionSource()) return;
  throw new Error("machines/version.ts is not the hash of the machine's sources: run `npm run machine:version` first.");
}

if (process.argv[1]?.endsWith("machine-version.ts") === true) writeFileSync(new URL("version.ts", FOLDER), versionSource());
