import { parseArgs } from "node:util";

export interface ReconcileArguments {
  readonly isJson: boolean;
  readonly isDelivering: boolean;
  readonly settleMs: number;
}

export const USAGE = `Usage: npm run reconcile -- [--settle SECONDS] [--json] [--deliver]

Compares what the payment provider says it holds with the checkouts' money ledger. Reads the same
environment as the service: DATABASE_URL, or DATA_DIR for the embedded database.

  --settle SECONDS  leave checkouts alone whose money moved so recently (default 60)
  --json            print the result for machines
  --deliver         put captured payments that their checkout never heard of into its inbox: a running
                    service then settles or refunds them by itself
  --help            print this

Exits 0 when both say the same, 1 when they differ, 64 for wrong arguments, 66 when there is no database,
69 when it doesn't answer, 75 while a service uses the embedded database, 78 for a wrong configuration.
`;

const SETTLE_SECONDS_MAX = 86_400;

/** Null: help was asked for. Throws an Error that says what is wrong with the arguments. */
export function readArguments(given: readonly string[]): ReconcileArguments | null {
  const { values } = parseArgs({
    args: [...given],
    strict: true,
    allowPositionals: false,
    options: {
      settle: { type: "string", default: "60" },
      json: { type: "boolean", default: false },
      deliver: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return null;
  const seconds = /^\d{1,5}$/.test(values.settle) ? Number(values.settle) : Number.POSITIVE_INFINITY;
  if (seconds > SETTLE_SECONDS_MAX)
    throw new Error(`--settle must be a whole number of seconds from 0 to ${SETTLE_SECONDS_MAX}.`);
  return { isJson: values.json, isDelivering: values.deliver, settleMs: seconds * 1000 };
}
