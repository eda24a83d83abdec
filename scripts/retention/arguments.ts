import { parseArgs } from "node:util";

export interface RetentionArguments {
  /** How long what finished is kept, in days. */
  readonly days: number;
  readonly isDryRun: boolean;
  /** Of an embedded database; null = as the environment says. */
  readonly dataDir: string | null;
}

export const USAGE = `Usage: npm run retention -- --days N [--dry-run] [--data DIR]

Removes what finished more than N days ago and owes nothing: journal, request, events, answers. A checkout that was asked to
pay leaves a tombstone, so that money that still comes for it is given back; GET still answers, its history says 410.
Orders, payments and the other records of the built-in participants stay. Reads the same environment as the service:
DATABASE_URL, or DATA_DIR for the embedded database. May run beside the service's nodes, and may be stopped at any moment.

  --days N    1 to 36500; idempotency keys are kept as long, hence at least for a day
  --dry-run   only say how much that is
  --data DIR  the embedded database in this data directory, whatever the environment says; its service must be stopped
  --help      print this

Exits 0 when it is done, 64 for wrong arguments, 66 when there is no database, 69 when it doesn't answer, 75 while
a service uses the embedded database, 78 for a wrong configuration.
`;

const DAYS_MAX = 36_500;

/** Null: help was asked for. Throws an Error that says what is wrong with the arguments. */
export function readArguments(given: readonly string[]): RetentionArguments | null {
  const { values } = parseArgs({
    args: [...given],
    strict: true,
    allowPositionals: false,
    options: {
      days: { type: "string" },
      "dry-run": { type: "boolean", default: false },
      data: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  const days = /^\d{1,5}$/.test(values.days ?? "") ? Number(values.days) : 0;
  if (days < 1 || days > DAYS_MAX) throw new Error(`--days must be a whole number from 1 to ${DAYS_MAX}.`);
  if (values.data === "") throw new Error("--data must name the directory that the service has as DATA_DIR.");
  return { days, isDryRun: values["dry-run"], dataDir: values.data ?? null };
}
