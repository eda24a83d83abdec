/** How scripts that look into a database begin and end: their arguments, their usage, and the exit codes that they share. */
import { classify } from "../machines/errors.ts";
import { DataDirectoryLockedError } from "../persistence/data-directory-lock.ts";
import { ConfigError } from "../server/config.ts";
import { NoDatabaseError } from "./existing-database.ts";

/** As in sysexits.h, and as the service's own. */
export const EXIT = {
  fine: 0,
  found: 1,
  usage: 64,
  noDatabase: 66,
  unavailable: 69,
  software: 70,
  locked: 75,
  config: 78,
} as const;

export interface Script<Arguments> {
  readonly usage: string;
  /** Null: help was asked for. Throws an Error that says what is wrong with the arguments. */
  readonly readArguments: (given: readonly string[]) => Arguments | null;
  /** Its exit code. */
  readonly run: (given: Arguments) => Promise<number>;
  /** What is said, before the reason, when it throws. */
  readonly failure: string;
}

export async function runScript<Arguments>({ usage, readArguments, run, failure }: Script<Arguments>): Promise<void> {
  let given: Arguments | null;
  try {
    given = readArguments(process.argv.slice(2));
  } catch (error) {
    process.stderr.write(`${messageOf(error)}\n\n${usage}`);
    process.exitCode = EXIT.usage;
    return;
  }
  if (given === null) return void process.stdout.write(usage);
  try {
    process.exitCode = await run(given);
  } catch (error) {
    process.stderr.write(`${failure}: ${messageOf(error)}\n`);
    process.exitCode = exitCodeFor(error);
  }
}

function exitCodeFor(error: unknown): number {
  if (error instanceof NoDatabaseError) return EXIT.noDatabase;
  if (error instanceof ConfigError) return EXIT.config;
  if (error instanceof DataDirectoryLockedError) return EXIT.locked;
  return classify(error).class === "TRANSIENT" ? EXIT.unavailable : EXIT.software;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
