import { TransientError } from "../machines/errors.ts";
import { checkTtl, inLockOrder } from "./lock-keys.ts";
import type { AcquireResult, LockManager } from "./lock-manager.ts";
import { ACQUIRE, RELEASE, RENEW } from "./redis-scripts.ts";

/** A command without an answer by then has an unknown outcome; a lock that it may have taken ends with its time to live. */
const COMMAND_TIMEOUT_MS = 2_000;
/** A server that hangs keeps every command that was sent to it; more than these are refused at once. */
const COMMANDS_IN_FLIGHT_MAX = 1_000;
const CONNECT_TIMEOUT_MS = 5_000;
const RECONNECT_DELAY_MS_MAX = 2_000;

export interface RedisLocksOptions {
  readonly commandTimeoutMs?: number;
  /** Told of each connection error; calls that are hit by it reject on their own. */
  readonly onConnectionError?: (error: Error) => void;
}

/**
 * Resolves after the first attempt to connect, also when it failed: checkouts go on without locks, so a node must
 * start without them too. While there is no connection every call rejects at once with TransientError
 * `LOCKS_UNAVAILABLE`, and it is established in the background.
 */
export async function connectRedisLocks(url: string, options: RedisLocksOptions = {}): Promise<LockManager> {
  const { createClient } = await import("redis");
  const client = createClient({
    url,
    // Without this, acquires made while disconnected run on reconnection, for callers that have long given up.
    disableOfflineQueue: true,
    socket: {
      connectTimeout: CONNECT_TIMEOUT_MS,
      reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, RECONNECT_DELAY_MS_MAX),
    },
  });
  // An "error" event without a listener ends the process.
  client.on("error", (error: Error) => options.onConnectionError?.(error));
  await new Promise<void>((resolve) => {
    client.once("ready", resolve);
    client.once("error", () => resolve());
    // Rejects only when it is closed before it ever connected.
    client.connect().catch(() => resolve());
  });
  return new RedisLocks(
    {
      evaluate: (script, keys, args) => client.eval(script, { keys: [...keys], arguments: [...args] }),
      ping: () => client.ping(),
      close: () => {
        if (client.isOpen) client.destroy();
      },
    },
    options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS,
  );
}

/** What we need of the connection. */
interface RedisConnection {
  evaluate(script: string, keys: readonly string[], args: readonly string[]): Promise<unknown>;
  ping(): Promise<unknown>;
  close(): void;
}

/** Locks as expiring hashes. Each method is one script, and Redis runs scripts one at a time. */
class RedisLocks implements LockManager {
  private inFlight = 0;

  constructor(
    private readonly connection: RedisConnection,
    private readonly commandTimeoutMs: number,
  ) {}

  async acquire(keys: readonly string[], owner: string, ttlMs: number): Promise<AcquireResult> {
    checkTtl(ttlMs);
    const ordered = inLockOrder(keys);
    if (ordered.length === 0) return { kind: "acquired", tokens: {} };
    const names = [...ordered.map(lockName), ...ordered.map(tokenName)];
    const answer = parseAnswer(await this.command(() => this.connection.evaluate(ACQUIRE, names, [owner, String(ttlMs)])));
    if (answer.outcome === "busy") {
      const [position, remainingMs] = answer.rest;
      return { kind: "busy", key: ordered[Number(position) - 1] ?? "", remainingMs: Math.max(0, Number(remainingMs)) };
    }
    return { kind: "acquired", tokens: Object.fromEntries(ordered.map((key, index) => [key, Number(answer.rest[index])])) };
  }

  async renew(keys: readonly string[], owner: string, ttlMs: number): Promise<boolean> {
    checkTtl(ttlMs);
    const names = inLockOrder(keys).map(lockName);
    if (names.length === 0) return true;
    return (await this.command(() => this.connection.evaluate(RENEW, names, [owner, String(ttlMs)]))) === 1;
  }

  async release(keys: readonly string[], owner: string): Promise<number> {
    const names = inLockOrder(keys).map(lockName);
    if (names.length === 0) return 0;
    return Number(await this.command(() => this.connection.evaluate(RELEASE, names, [owner])));
  }

  async ping(): Promise<void> {
    await this.command(() => this.connection.ping());
  }

  async stop(): Promise<void> {
    this.connection.close();
  }

  /** The driver's own timeout ends with the write, so a server that accepts and never answers would hold the caller for ever. */
  private async command(send: () => Promise<unknown>): Promise<unknown> {
    if (this.inFlight >= COMMANDS_IN_FLIGHT_MAX) throw unavailable(new Error(`${this.inFlight} commands are unanswered`));
    this.inFlight += 1;
    const answer = send().finally(() => {
      this.inFlight -= 1;
    });
    try {
      return await withinTime(answer, this.commandTimeoutMs);
    } catch (error) {
      throw unavailable(error);
    }
  }
}

/** One hash tag for all names, so that a cluster keeps them in one slot and a script may touch them together. */
const lockName = (key: string) => `{checkoutd}:lock:${key}`;
const tokenName = (key: string) => `{checkoutd}:token:${key}`;

function parseAnswer(answer: unknown): { readonly outcome: unknown; readonly rest: readonly unknown[] } {
  if (!Array.isArray(answer)) throw unavailable(new Error(`unexpected answer ${JSON.stringify(answer)}`));
  const [outcome, ...rest] = answer as readonly unknown[];
  return { outcome, rest };
}

async function withinTime<Answer>(answer: Promise<Answer>, timeoutMs: number): Promise<Answer> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    clearTimeout(timer);
  }
}

function unavailable(cause: unknown): TransientError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new TransientError("LOCKS_UNAVAILABLE", `The lock service can't be used: ${reason}. Go on under the fence alone.`, {
    cause,
  });
}
