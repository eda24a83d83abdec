/**
 * Who calls. Static API keys map to a caller's name; without any configured, only this machine is
 * served, as the caller `local`. A checkout belongs to the caller that started it.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { LOCAL_CALLER, type ApiKey } from "./api-keys.ts";
import type { AppDeps, EdgeEnv } from "./app-deps.ts";
import { problemResponse } from "./error-response.ts";
import { isLoopback } from "./loopback.ts";
import { problem } from "./problems.ts";

export function authenticate(deps: Pick<AppDeps, "apiKeys" | "peerAddress">): MiddlewareHandler<EdgeEnv> {
  const callerOf = callerLookup(deps.apiKeys);
  return async (c, next) => {
    if (deps.apiKeys.length === 0) {
      const reason = whyNotLocal(c.req.raw, deps.peerAddress(c.env));
      if (reason !== null) return problemResponse(problem("FORBIDDEN", reason));
      c.set("caller", LOCAL_CALLER);
      return next();
    }
    const caller = callerOf(bearerToken(c.req.header("authorization")));
    if (caller === null) {
      const detail = "Send `Authorization: Bearer <API key>` with a key that this service knows.";
      return problemResponse(problem("UNAUTHENTICATED", detail), { "WWW-Authenticate": 'Bearer realm="checkoutd"' });
    }
    c.set("caller", caller);
    return next();
  };
}

/**
 * Keys are compared as SHA-256 digests in constant time, and all of them each time: neither the length
 * nor the place of the first difference can be measured.
 */
export function callerLookup(apiKeys: readonly ApiKey[]): (token: string | null) => string | null {
  const known = apiKeys.map(({ name, key }) => ({ name, digest: digestOf(key) }));
  return (token) => {
    if (token === null) return null;
    const digest = digestOf(token);
    let caller: string | null = null;
    for (const candidate of known) if (timingSafeEqual(candidate.digest, digest)) caller = candidate.name;
    return caller;
  };
}

function bearerToken(header: string | undefined): string | null {
  return /^bearer +([\x21-\x7e]+)$/i.exec(header ?? "")?.[1] ?? null;
}

/**
 * A loopback peer alone proves little: a reverse proxy on this machine is one for everybody, and a web
 * page reaches it through a DNS name of its own that resolves to 127.0.0.1. Both show in the headers.
 */
function whyNotLocal(request: Request, peerAddress: string | null): string | null {
  if (peerAddress === null || !isLoopback(peerAddress)) {
    return "Without API keys only this machine is served. Set API_KEYS and send one as a bearer token.";
  }
  if (request.headers.has("forwarded") || request.headers.has("x-forwarded-for")) {
    return "This request came through a proxy. Set API_KEYS: without them only direct requests of this machine are served.";
  }
  if (!isLoopback(new URL(request.url).hostname)) {
    return "Without API keys the service answers only to localhost, 127.0.0.1 and [::1] as its host name.";
  }
  return null;
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
