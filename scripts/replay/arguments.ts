import { parseArgs } from "node:util";

export type ReplayArguments =
  { readonly kind: "context"; readonly executionContextId: string } | { readonly kind: "since"; readonly since: number };

export const USAGE = `Usage: npm run replay -- --context ID
       npm run replay -- --since 2027-01-08T10:00:00Z

Publishes events once more that NATS had acknowledged: those of one checkout, or of all since a time. They go to
checkout.replay.v1.<type>.<executionContextId> (stream CHECKOUT_REPLAY), with the ids and content that they had, so that
no subscriber of checkout.v1 hears them again. Reads the same environment as the service: NATS_URL, and DATABASE_URL or
DATA_DIR.

  --help  print this

Exits 0 when all of them are stored, 1 when that checkout has none or retention removed some, 64 for wrong arguments, 66 when there is no database, 69 when it or NATS doesn't
answer, 75 while a service uses the embedded database, 78 for a wrong configuration.
`;

/** Null: help was asked for. Throws an Error that says what is wrong with the arguments. */
export function readArguments(given: readonly string[]): ReplayArguments | null {
  const { values } = parseArgs({
    args: [...given],
    strict: true,
    allowPositionals: false,
    options: { context: { type: "string" }, since: { type: "string" }, help: { type: "boolean", default: false } },
  });
  if (values.help) return null;
  if ((values.context === undefined) === (values.since === undefined)) throw new Error("Name either --context or --since.");
  if (values.context !== undefined) return { kind: "context", executionContextId: values.context };
  const since = Date.parse(values.since ?? "");
  if (Number.isNaN(since)) throw new Error("--since must be a time, e.g. 2027-01-08T10:00:00Z.");
  return { kind: "since", since };
}
