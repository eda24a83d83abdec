/**
 * `npm run db:generate`. Nothing is released yet, so there is one initial migration and it is made anew;
 * after the first release this becomes a plain `drizzle-kit generate`.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const FOLDER = "persistence/migrations";

rmSync(FOLDER, { recursive: true, force: true });
drizzleKit("--name=initial");
drizzleKit("--custom", "--name=table_settings");

const [initial, settings] = readdirSync(FOLDER).filter((name) => name.endsWith(".sql"));
if (initial === undefined || settings === undefined) throw new Error(`drizzle-kit left no migrations in ${FOLDER}`);
// `migrate` made the schema already: its own table lives there.
rewrite(initial, (text) => text.replace('CREATE SCHEMA "checkoutd"', 'CREATE SCHEMA IF NOT EXISTS "checkoutd"'));
rewrite(settings, () => readFileSync("persistence/table-settings.sql", "utf8"));

function drizzleKit(...options: string[]): void {
  execFileSync("npx", ["drizzle-kit", "generate", ...options], { stdio: "inherit" });
}

function rewrite(name: string, change: (text: string) => string): void {
  const path = join(FOLDER, name);
  writeFileSync(path, change(readFileSync(path, "utf8")));
}
