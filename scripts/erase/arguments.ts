import { parseArgs } from "node:util";

export interface EraseArguments {
  readonly userId: string;
  /** Of an embedded database; null = as the environment says. */
  readonly dataDir: string | null;
}

export const USAGE = `Usage: npm run erase -- --user ID [--data DIR]

Erases a user's personal data in finished checkouts: the request as it was sent, what preferences say, the URLs that payments
return to. Ids stay, and so do orders, payments and the ledger. A checkout that is not finished still needs its data: it is
named and left alone, so run this again after it ended. Reads the same environment as the service: DATABASE_URL, or DATA_DIR
for the embedded database. May run beside the service's nodes; again is harmless.

  --user ID   the userId that the requests have
  --data DIR  the embedded database in this data directory, whatever the environment says; its service must be stopped
  --help      print this

Exits 0 when all is erased, 1 when unfinished checkouts were left, 64 for wrong arguments, 66 when there is no database,
69 when it doesn't answer, 75 while a service uses the embedded database, 78 for a wrong configuration.
`;

/** Null: help was asked for. Throws an Error that says what is wrong with the arguments. */
export function readArguments(given: readonly string[]): EraseArguments | null {
  const { values } = parseArgs({
    args: [...given],
    strict: true,
    allowPositionals: false,
    options: { user: { type: "string" }, data: { type: "string" }, help: { type: "boolean", default: false } },
  });
  if (values.help) return null;
  // As the request's schema has it: any other id is a slip of the pen, and erases nobody.
  if (!/^[A-Za-z0-9._:-]{1,64}$/.test(values.user ?? "")) throw new Error("--user must be a userId such as usr_42.");
  if (values.data === "") throw new Error("--data must name the directory that the service has as DATA_DIR.");
  return { userId: values.user ?? "", dataDir: values.data ?? null };
}
