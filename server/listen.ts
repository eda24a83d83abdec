/** Puts the app on a socket, and takes it off again without losing a request in flight. */
import { createServer, type IncomingMessage, type Server } from "node:http";
import { getRequestListener } from "@hono/node-server";
import { problemResponse } from "./error-response.ts";
import { problem } from "./problems.ts";

/** From the first byte of a request to its last: whoever is slower holds a socket for nothing. */
const REQUEST_TIME_MS = 30_000;
const HEADERS_TIME_MS = 10_000;
/** How long a draining node still answers, with 503 DRAINING: until those who send traffic have seen it. */
const NOTICE_MS = 1_000;

export interface ListenOptions {
  readonly fetch: (request: Request, env: object) => Response | Promise<Response>;
  readonly host: string;
  /** 0 = any free one; `url` tells which. */
  readonly port: number;
  /** The same as the app's `draining`: `stop` aborts it. A caller may abort it earlier, to be taken out of the traffic first. */
  readonly draining: AbortController;
}

export interface Listening {
  readonly url: string;
  /** Drains: first every new request is refused, then no connection taken; requests in flight finish within `graceMs`, then they are cut. Safe to call twice. */
  stop(graceMs: number): Promise<void>;
}

/** Rejects when the address can't be had (EADDRINUSE, EACCES). */
export async function listen(options: ListenOptions): Promise<Listening> {
  const listener = getRequestListener((request, env) => options.fetch(request, env), {
    // What is no HTTP request for us (a malformed Host, say) never reaches the app.
    errorHandler: () =>
      problemResponse(
        problem("VALIDATION_FAILED", "This is not a request that can be understood: check its URL and Host header."),
      ),
    overrideGlobalObjects: false,
  });
  const server = createServer({ requestTimeout: REQUEST_TIME_MS, headersTimeout: HEADERS_TIME_MS }, (request, response) => {
    response.once("close", () => {
      // A response that began before the draining did not say `Connection: close`; its connection is idle a turn later.
      if (options.draining.signal.aborted) setImmediate(() => server.closeIdleConnections());
    });
    void listener(request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, options.host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  let stopped: Promise<void> | undefined;
  return {
    url: urlOf(server, options.host),
    stop(graceMs) {
      options.draining.abort();
      stopped ??= notice(graceMs).then(() => close(server, graceMs));
      return stopped;
    },
  };
}

/** The peer's address, from the bindings that the server passes along with each request. */
export function peerAddress(env: unknown): string | null {
  const incoming = (env as { readonly incoming?: IncomingMessage } | undefined)?.incoming;
  return incoming?.socket.remoteAddress ?? null;
}

function notice(graceMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.min(NOTICE_MS, graceMs)));
}

function close(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), graceMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}

function urlOf(server: Server, host: string): string {
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return `http://${host.includes(":") && !host.startsWith("[") ? `[${host}]` : host}:${port}`;
}
