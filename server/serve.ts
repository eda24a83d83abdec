/** One node behind its HTTP edge: what `npm start` runs, and what a team that brings services of its own calls. */
import { readFileSync } from "node:fs";
import type { Logger } from "pino";
import type { CheckoutServices } from "../steps/services.ts";
import { createApp } from "./app.ts";
import type { Config } from "./config.ts";
import { listen, peerAddress, type Listening } from "./listen.ts";
import { systemClock as clock, systemIds as ids } from "./system-ports.ts";
import { startNode, type CheckoutNode } from "./wiring.ts";

export interface ServedNode {
  readonly url: string;
  /** Drains: requests in flight finish within the grace, checkouts are handed over. Safe twice. */
  stop(): Promise<void>;
}

/** `replacements` take the place of the built-in participants of the same name. Rejects when the address can't be had. */
export async function serve(config: Config, log: Logger, replacements: Partial<CheckoutServices> = {}): Promise<ServedNode> {
  const node = await startNode(config, log, replacements);
  try {
    const server = await listenFor(node, config, log);
    return {
      url: server.url,
      stop: async () => {
        await server.stop(config.shutdownGraceMs);
        await node.stop();
      },
    };
  } catch (error) {
    await node.stop();
    throw error;
  }
}

function listenFor(node: CheckoutNode, config: Config, log: Logger): Promise<Listening> {
  const draining = new AbortController();
  const app = createApp({
    orchestrator: node.orchestrator,
    paymentDoor: node.paymentDoor,
    metrics: node.metrics,
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
  return listen({ fetch: (request, env) => app.fetch(request, env), host: config.host, port: config.port, draining });
}

function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string };
  return version;
}
