/**
 * A migrated, empty PGlite directory as a tarball: a first start unpacks it instead of running initdb
 * and the migrations. Its name carries the hash of what went in, so a stale one is simply not found.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gunzip, gzip } from "node:zlib";
import type { PGlite } from "@electric-sql/pglite";
import { MIGRATIONS_FOLDER } from "./migrate.ts";

const TEMPLATE_FOLDER = fileURLToPath(new URL("./template", import.meta.url));

/** The tarball for this build, or null when there is none. */
export async function readTemplate(): Promise<Blob | null> {
  let packed: Buffer;
  try {
    packed = await readFile(join(TEMPLATE_FOLDER, await templateName()));
  } catch {
    // Missing or unreadable: the caller starts slowly and says so.
    return null;
  }
  // Unpacked here: PGlite's own decompression takes twice as long.
  return new Blob([await promisify(gunzip)(packed)]);
}

/** Writes the template from a migrated, empty database and removes older ones; the path. */
export async function writeTemplate(client: PGlite): Promise<string> {
  const tarball = await client.dumpDataDir("none");
  const packed = await promisify(gzip)(Buffer.from(await tarball.arrayBuffer()));
  await rm(TEMPLATE_FOLDER, { recursive: true, force: true });
  await mkdir(TEMPLATE_FOLDER, { recursive: true });
  const path = join(TEMPLATE_FOLDER, await templateName());
  await writeFile(path, packed);
  return path;
}

export async function hasTemplate(): Promise<boolean> {
  const names = await readdir(TEMPLATE_FOLDER).catch((): string[] => []);
  return names.includes(await templateName());
}

async function templateName(): Promise<string> {
  const hash = createHash("sha256");
  // PGlite's version decides the format of the directory.
  const pglite = createRequire(import.meta.url).resolve("@electric-sql/pglite");
  hash.update(await readFile(join(dirname(pglite), "..", "package.json")));
  for (const name of (await readdir(MIGRATIONS_FOLDER)).filter((file) => file.endsWith(".sql")).toSorted()) {
    hash.update(name).update(await readFile(join(MIGRATIONS_FOLDER, name)));
  }
  return `${hash.digest("hex").slice(0, 16)}.tar.gz`;
}
