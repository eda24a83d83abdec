/** What the edge is given, and what each request carries through it. */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { CheckoutOrchestrator } from "../runtime/orchestrator.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import type { ApiKey } from "./api-keys.ts";
import type { Metrics } from "./metrics.ts";
import type { PaymentDoor } from "./payment-events.ts";

export interface AppDeps {
  readonly orchestrator: CheckoutOrchestrator;
  /** Where payment events come in; null = there is no secret to check their signatures with. */
  readonly paymentDoor: PaymentDoor | null;
  /** What /metrics tells. */
  readonly metrics: Metrics;
  /** Empty = only loopback peers are served, as the caller `local`. */
  readonly apiKeys: readonly ApiKey[];
  /** How long an initiate waits for a first answer unless `Prefer: wait` says otherwise. */
  readonly requestWaitMs: number;
  readonly clock: Clock;
  readonly ids: Pick<Ids, "next">;
  readonly log: ServerLog;
  /** Aborted once: from then on nothing new is accepted and every response closes its connection. */
  readonly draining: AbortSignal;
  /** By name; one that throws makes /readyz 503. */
  readonly readinessChecks: Readonly<Record<string, () => Promise<void>>>;
  /** The peer's address of a request, from the server's bindings; null = unknown, which is never loopback. */
  readonly peerAddress: (env: unknown) => string | null;
  /** The product's version, for /openapi.json. */
  readonly version: string;
}

/** The part of pino that the edge uses. Fields hold ids only, never a body, a header or a query. */
export interface ServerLog {
  error(fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** What an answer, and the log, call a request by. */
export interface RequestIds {
  requestId: string;
  /** The caller's own checkout that the request is about, once that is known. */
  executionContextId?: string;
}

export interface EdgeEnv {
  readonly Variables: RequestIds & { caller: string };
}

export type App = OpenAPIHono<EdgeEnv>;
