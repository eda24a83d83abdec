/**
 * One backend connection, used by one caller at a time. postgres.js 3.4.9 can send BEGIN on a connection
 * that it did not reserve, and hand a reserved one to others (its issues #1189, #1204, #1210), so we don't
 * use its pool: a client of exactly one connection can't be shared by accident.
 */
import postgres from "postgres";
import { TerminalError, TransientError } from "../machines/errors.ts";

export interface ConnectionOptions {
  readonly connectTimeoutMs: number;
  /** The server cancels a statement after this. */
  readonly statementTimeoutMs: number;
  /** How long after that we believe that no answer comes: the network is gone. */
  readonly answerGraceMs: number;
  readonly applicationName: string;
  /** Each transaction may run on another backend (PgBouncer's transaction mode): nothing of a session is relied on. */
  readonly isPooled: boolean;
  /** A notification of a channel that this connection listens to. */
  readonly onNotification?: (payload: string) => void;
}

/** Statement texts kept prepared on a connection; further ones are planned each time, so a server's memory stays bounded. */
const PREPARED_MAX = 300;
/**
 * Of a process that stands still inside a transaction. It keeps rows locked that whoever takes its work over needs; half a
 * node's lease, so that they are free by then.
 */
const IDLE_IN_TRANSACTION_MAX_MS = 5_000;
const RECONNECT_BACKOFF_SECONDS = 0.1;

export type RowMode = "objects" | "arrays";

export class PostgresConnection {
  readonly #client: postgres.Sql;
  readonly #answerTimeoutMs: number;
  readonly #isPooled: boolean;
  readonly #prepared = new Set<string>();
  /** How to reject each statement in flight. */
  readonly #waiting = new Set<(error: TransientError) => void>();
  #lost = false;

  constructor(url: string, options: ConnectionOptions) {
    this.#answerTimeoutMs = options.statementTimeoutMs + options.answerGraceMs;
    this.#isPooled = options.isPooled;
    this.#client = postgres(url, {
      max: 1,
      // It asks for array types on each new connection, and when that connection dies meanwhile, nobody handles the rejection.
      fetch_types: false,
      idle_timeout: 0,
      max_lifetime: null,
      connect_timeout: Math.ceil(options.connectTimeoutMs / 1000),
      backoff: () => RECONNECT_BACKOFF_SECONDS,
      onnotice: () => {},
      onclose: () => this.#lose(connectionLost()),
      connection: {
        application_name: options.applicationName,
        ...(options.isPooled ? {} : sessionSettings(options)),
      },
      types: TYPES,
      ...NOTIFICATIONS(options.onNotification),
    });
  }

  /** A lost connection is never used again: postgres.js would reconnect silently, outside the transaction it was in. */
  get isLost(): boolean {
    return this.#lost;
  }

  async run(text: string, parameters: readonly unknown[], mode: RowMode = "objects"): Promise<unknown[] & { command?: string }> {
    if (this.#lost) throw connectionLost();
    const query = this.#client.unsafe(text, parameters as postgres.ParameterOrJSON<never>[], { prepare: this.#isPrepared(text) });
    // Neither a cut cable, which closes nothing, nor a socket that fails just before our first byte makes
    // postgres.js settle the query: without these two the caller would wait for ever.
    let giveUp: (error: TransientError) => void = () => {};
    const lost = new Promise<never>((_, reject) => (giveUp = reject));
    this.#waiting.add(giveUp);
    const timer = setTimeout(() => this.#lose(noAnswer()), this.#answerTimeoutMs);
    try {
      return await Promise.race([mode === "arrays" ? query.values() : query, lost]);
    } catch (error) {
      if (isSessionRefused(error)) throw sessionRefused();
      throw isCancelled(error) ? tooSlow() : error;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(giveUp);
    }
  }

  /** Ends it at once; what is in flight is rejected as a lost connection. Safe twice. */
  close(): void {
    this.#lose(connectionLost());
  }

  #lose(error: TransientError): void {
    this.#lost = true;
    for (const reject of this.#waiting) reject(error);
    // The connection is given up on, whatever happens to its last bytes.
    this.#client.end({ timeout: 0 }).catch(() => {});
  }

  #isPrepared(text: string): boolean {
    if (this.#isPooled) return false;
    if (this.#prepared.has(text)) return true;
    if (this.#prepared.size >= PREPARED_MAX) return false;
    this.#prepared.add(text);
    return true;
  }
}

/** Without `jit`: where a table has no statistics yet it compiles for 60 ms what then runs in one. */
function sessionSettings({ statementTimeoutMs }: ConnectionOptions) {
  return { jit: false, statement_timeout: statementTimeoutMs, idle_in_transaction_session_timeout: IDLE_IN_TRANSACTION_MAX_MS };
}

/** PgBouncer says so to whoever asks for more than a pooled session can have. */
function isSessionRefused(error: unknown): boolean {
  return error instanceof postgres.PostgresError && error.message.startsWith("unsupported startup parameter");
}

export function sessionRefused(): TerminalError {
  return new TerminalError(
    "NO_SESSION",
    "What answers at DATABASE_URL is a pooler, such as PgBouncer, that keeps no session. Add ?pgbouncer=true to the URL, or name Postgres itself.",
  );
}

// Codes that `classify` knows from the drivers: drizzle wraps what its statements throw, and then only the code tells.

export function connectionLost(): TransientError {
  return new TransientError(
    "CONNECTION_CLOSED",
    "The connection to the database was lost. Read again before you repeat a write.",
  );
}

function noAnswer(): TransientError {
  return new TransientError("ETIMEDOUT", "The database did not answer. Read again before you repeat a write.");
}

/** SQLSTATE query_canceled: our own statement_timeout, as nobody else cancels. */
function isCancelled(error: unknown): boolean {
  return error instanceof postgres.PostgresError && error.code === "57014";
}

function tooSlow(): TransientError {
  return new TransientError("ETIMEDOUT", "The statement took too long and the database cancelled it. Nothing of it was done.");
}

/** An option of the driver that its types don't know: its own `listen` gives up once the server is away for a while. */
const NOTIFICATIONS = (heard: ConnectionOptions["onNotification"]): object =>
  heard === undefined ? {} : { onnotify: (_channel: string, payload: string) => heard(payload) };

const text = (value: string) => value;
const jsonText = (value: unknown) => (typeof value === "string" ? value : JSON.stringify(value));

/** The same shapes as PGlite gives: numbers for int8 and numeric, Dates for timestamptz only, text for other dates. */
const TYPES = {
  number: { to: 20, from: [20, 1700], serialize: String, parse: Number },
  date: {
    to: 1184,
    from: [1184],
    serialize: (value: unknown) => (value instanceof Date ? value.toISOString() : String(value)),
    parse: (value: string) => new Date(value),
  },
  plainDate: { to: 1082, from: [1082, 1114], serialize: text, parse: text },
  // A string is JSON already: drizzle and our own statements serialise first.
  json: { to: 3802, from: [114, 3802], serialize: jsonText, parse: (value: string): unknown => JSON.parse(value) },
};
