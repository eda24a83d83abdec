/** `npm start`: reads the configuration, starts one node and serves it until it is told to stop. */
import type { Logger } from "pino";
import { classify } from "../machines/errors.ts";
import { DataDirectoryLockedError } from "../persistence/data-directory-lock.ts";
import { UnknownVersionsError } from "../runtime/version-watch.ts";
import { ConfigError, loadConfig, type Config } from "./config.ts";
import { createLog } from "./log.ts";
import { serve } from "./serve.ts";

/** As in sysexits.h, so that a supervisor can tell what is worth a restart. */
const EXIT = { drained: 0, unavailable: 69, software: 70, locked: 75, config: 78 } as const;

async function main(): Promise<void> {
  const config = readConfig();
  const log = createLog(config.logLevel);
  const served = await serve(config, log);
  announce(config, served.url, log);
  stopOnSignal(() => served.stop(), log);
}

/** All mistakes at once, on standard error, before anything is opened. */
function readConfig(): Config {
  try {
    return loadConfig(process.env);
  } catch (error) {
    if (error instanceof ConfigError) exitWith(EXIT.config, error.message);
    throw error;
  }
}

function announce({ databaseUrl, dataDir }: Config, url: string, log: Logger): void {
  if (databaseUrl === null) {
    log.warn(
      { dataDir },
      "Embedded database: for trial, not for money (it does not wait for the disk). Set DATABASE_URL to use Postgres.",
    );
  }
  log.info({ url }, "checkoutd is ready");
  process.stdout.write(`\n  checkoutd  ${url}\n\n`);
}

/** The first signal drains; a second one exits at once. Whatever is unfinished goes on after the next start. */
function stopOnSignal(drain: () => Promise<void>, log: Logger): void {
  let isStopping = false;
  const onSignal = (signal: NodeJS.Signals) => {
    if (isStopping) process.exit(1);
    isStopping = true;
    log.info({ signal }, "Draining");
    drain().then(
      () => {
        log.info("Drained; whatever is unfinished goes on after the next start");
        process.exit(EXIT.drained);
      },
      (error: unknown) => {
        log.error({ err: error }, "The drain failed; the journal has everything that was promised");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

function exitWith(code: number, message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}

/** Another process has the port, or this user may not. */
function isAddressRefused(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "EADDRINUSE" || error.code === "EACCES");
}

main().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof ConfigError || error instanceof UnknownVersionsError) exitWith(EXIT.config, message);
  if (error instanceof DataDirectoryLockedError) exitWith(EXIT.locked, message);
  const isPassing = classify(error).class === "TRANSIENT" || isAddressRefused(error);
  exitWith(isPassing ? EXIT.unavailable : EXIT.software, `checkoutd can't start: ${message}`);
});
