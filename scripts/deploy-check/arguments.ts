import { parseArgs } from "node:util";

/** Whose checkouts are judged besides the released versions. */
export type DatabaseChoice =
  { readonly kind: "postgres"; readonly url: string } | { readonly kind: "embedded"; readonly directory: string };

export interface DeployCheckArguments {
  readonly database: DatabaseChoice | null;
}

export const USAGE = `Usage: npm run deploy-check -- [--database URL | --data DIR]

Takes up every state that a released version of the machine can reach, and on request each checkout of a
live database, with the code as it is here. Each goes on, is migrated, is pinned to its own version's
machine (machines/released/registry.ts), or blocks: then this code must not be deployed.

  --database URL  also the checkouts of this Postgres database: postgres://…
  --data DIR      also those of the embedded database in this data directory; its service must be stopped
  --help          print this

Exits 0 when nothing blocks, 1 when something does, 64 for wrong arguments, 66 when there is no database,
69 when it doesn't answer, 75 while a service uses the embedded database.
`;

/** Null: help was asked for. Throws an Error that says what is wrong with the arguments. */
export function readArguments(given: readonly string[]): DeployCheckArguments | null {
  const { values } = parseArgs({
    args: [...given],
    strict: true,
    allowPositionals: false,
    options: {
      database: { type: "string" },
      data: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  return { database: databaseOf(values.database, values.data) };
}

function databaseOf(url: string | undefined, directory: string | undefined): DatabaseChoice | null {
  if (url !== undefined && directory !== undefined) throw new Error("Give either --database or --data, not both.");
  if (directory === "") throw new Error("--data must name the directory that the service has as DATA_DIR.");
  if (directory !== undefined) return { kind: "embedded", directory };
  if (url === undefined) return null;
  // Never repeated in the message: it may hold a password.
  if (!/^postgres(ql)?:\/\/./.test(url) || !URL.canParse(url)) {
    throw new Error("--database must be a URL such as postgres://user@host:5432/database.");
  }
  return { kind: "postgres", url };
}
