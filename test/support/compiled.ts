/**
 * An entry file and all that it imports as one JavaScript module: a process that tests start loads it in a quarter of the
 * time that it takes to load 300 TypeScript files and as many of packages. The demo starts the service as users do.
 */
import { rmSync } from "node:fs";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** Packages that look for files or workers beside themselves. All others are a third of a start's time to find and read. */
const ASIDE = ["@electric-sql/pglite", "pino", "drizzle-kit", "esbuild"];
/** For packages in CommonJS, which have none in a module. */
const REQUIRE = `import { createRequire as createRequireOf } from "node:module";
const require = createRequireOf(import.meta.url);`;
/** Below node_modules, where those packages are found. */
const FOLDER = join(ROOT, "node_modules", ".cache", "checkoutd-tests");

const modules = new Map<string, Promise<URL>>();

/** An edit of one source: what a test takes out to see that it is missed. */
export interface SourceEdit {
  /** Relative to the repository's root. */
  readonly file: string;
  /** Wherever it stands in the file. */
  readonly text: string;
  readonly instead: string;
}

/** Once in this process, so that it is what the tests around it have loaded. An edited one has a name of its own. */
export function compiled(entry: URL, edit: SourceEdit | null = null): Promise<URL> {
  const key = `${entry.href} ${JSON.stringify(edit)}`;
  const known = modules.get(key) ?? compile(entry, edit, modules.size);
  modules.set(key, known);
  return known;
}

async function compile(entry: URL, edit: SourceEdit | null, number: number): Promise<URL> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(entry)],
    bundle: true,
    external: ASIDE,
    banner: { js: REQUIRE },
    platform: "node",
    format: "esm",
    write: false,
    plugins: [sources(edit)],
  });
  const name = join(FOLDER, `${basename(entry.pathname, ".ts")}.${process.pid}.${number}.mjs`);
  await mkdir(FOLDER, { recursive: true });
  await writeFile(`${name}.new`, outputFiles[0]?.contents ?? "");
  // Whole or not at all: another process may be starting it.
  await rename(`${name}.new`, name);
  process.once("exit", () => rmSync(name, { force: true }));
  return pathToFileURL(name);
}

/** Files find what lies beside them by their own URL, which is not the bundle's. */
function sources(edit: SourceEdit | null): Plugin {
  return {
    name: "sources",
    setup: (building) => {
      building.onLoad({ filter: /\.ts$/ }, async ({ path }) => ({
        contents: edited(await readFile(path, "utf8"), path, edit).replaceAll(
          "import.meta.url",
          JSON.stringify(pathToFileURL(path).href),
        ),
        loader: "ts",
      }));
    },
  };
}

function edited(source: string, path: string, edit: SourceEdit | null): string {
  if (edit === null || path !== join(ROOT, edit.file)) return source;
  if (!source.includes(edit.text)) throw new Error(`${edit.file} no longer has this: ${edit.text}`);
  return source.replaceAll(edit.text, () => edit.instead);
}
