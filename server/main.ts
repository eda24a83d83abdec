#!/usr/bin/env node
/** `npm start`: reads the configuration, starts one node and serves it until it is told to stop. */
import { readFileSync } from "node:fs";
import pino, { type Logger } from "pino";
import { DataDirectoryLockedError } from "../persistence/data-directory-lock.ts";
import { createApp } from "./app.ts";
import { ConfigError, loadConfig, type Config } from "./config.ts";
import { listen, peerAddress } from "./listen.ts";
import { systemClock as clock, systemIds as ids } from "./system-ports.ts";
import { startNode } from "./wiring.ts";

/** As in sysexits.h, so that a supervisor can tell what is worth a restart. */
const EXIT = { drained: 0, unavailable: 69, locked: 75, config: 78 } as const;

async function main(): Promise<void> {
  const config = readConfig();
  const log = pino({ level: config.logLevel, base: { service: "checkoutd" } });
  const node = await startNode(config, log);
  const draining = new AbortController();
  const app = createApp({
    orchestrator: node.orchestrator,
    apiKeys: config.apiKeys,
    requestWaitMs: config.requestWaitMs,
    clock,
    ids,
    log,
    draining: draining.signal,
    readinessChecks: node.readinessChecks,
    peerAddress,
    version: packageVersion(),
  });
  const server = await listen({
    fetch: (request, env) => app.fetch(request, env),
    host: config.host,
    port: config.port,
    draining,
  });
  announce(config, server.url, log);
  stopOnSignal(async () => {
    await server.stop(config.shutdownGraceMs);
    await node.stop();
  }, log);
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
      () => process.exit(EXIT.drained),
      (error: unknown) => {
        log.error({ err: error }, "The drain failed; the journal has everything that was promised");
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
}

function packageVersion(): string {
  for (const path of ["../package.json", "../../package.json"]) {
    try {
      const { version } = JSON.parse(readFileSync(new URL(path, import.meta.url), "utf8")) as { version: string };
      return version;
    } catch {
      // Compiled, this file lies one folder deeper.
    }
  }
  return "0.0.0";
}

function exitWith(code: number, message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}

main().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  if (error instanceof DataDirectoryLockedError) exitWith(EXIT.locked, message);
  exitWith(EXIT.unavailable, `checkoutd can't start: ${message}`);
});
