/** A bounded set of connections. Whoever takes one has it alone until it is given back. */
import { TransientError } from "../machines/errors.ts";
import { PostgresConnection, type ConnectionOptions } from "./postgres-connection.ts";

export interface PoolOptions extends ConnectionOptions {
  readonly connectionsMax: number;
  /** How long a caller waits for a free connection before it is told to come back. */
  readonly acquireTimeoutMs: number;
}

interface Waiter {
  readonly give: (connection: PostgresConnection) => void;
  readonly refuse: (error: Error) => void;
}

export class PostgresPool {
  readonly #idle: PostgresConnection[] = [];
  readonly #waiting: Waiter[] = [];
  readonly #open = new Set<PostgresConnection>();
  #isClosed = false;

  constructor(
    private readonly url: string,
    private readonly options: PoolOptions,
  ) {}

  async use<Result>(work: (connection: PostgresConnection) => Promise<Result>): Promise<Result> {
    const connection = await this.#acquire();
    try {
      return await work(connection);
    } finally {
      this.#release(connection);
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const connection of this.#open) connection.close();
    this.#open.clear();
    this.#idle.length = 0;
    for (const waiter of this.#waiting.splice(0)) waiter.refuse(closed());
  }

  async #acquire(): Promise<PostgresConnection> {
    if (this.#isClosed) throw closed();
    const idle = this.#takeIdle();
    if (idle !== undefined) return idle;
    if (this.#open.size < this.options.connectionsMax) return this.#openOne();
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(busy());
      }, this.options.acquireTimeoutMs);
      const waiter: Waiter = {
        give: (connection) => {
          clearTimeout(timer);
          resolve(connection);
        },
        refuse: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#waiting.push(waiter);
    });
  }

  #release(connection: PostgresConnection): void {
    if (this.#isClosed) return;
    if (connection.isLost) this.#forget(connection);
    const next = this.#waiting.shift();
    if (next !== undefined) next.give(connection.isLost ? this.#openOne() : connection);
    else if (!connection.isLost) this.#idle.push(connection);
  }

  /** The most recently used first, so that the others stay cold and a lost one is noticed early. */
  #takeIdle(): PostgresConnection | undefined {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (!connection.isLost) return connection;
      this.#forget(connection);
    }
    return undefined;
  }

  #openOne(): PostgresConnection {
    const connection = new PostgresConnection(this.url, this.options);
    this.#open.add(connection);
    return connection;
  }

  #forget(connection: PostgresConnection): void {
    this.#open.delete(connection);
    connection.close();
  }
}

// Codes that `classify` knows from the drivers, for when drizzle has wrapped the error.

function busy(): TransientError {
  return new TransientError("CONNECT_TIMEOUT", "Every database connection is in use. Try again shortly.", {
    retryAfterMs: 1_000,
  });
}

function closed(): TransientError {
  return new TransientError("CONNECTION_ENDED", "The database handle was closed. This node is shutting down.");
}
