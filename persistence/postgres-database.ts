import { drizzle } from "drizzle-orm/postgres-js";
import type { Sql } from "postgres";
import { InvariantError } from "../machines/errors.ts";
import type { Database, Orm } from "./connect.ts";
import type { Listening } from "./inbox-calls.ts";
import { connectionLost, PostgresConnection, sessionRefused, type RowMode } from "./postgres-connection.ts";
import { PostgresPool, type PoolOptions } from "./postgres-pool.ts";

export type PostgresOptions = Partial<PoolOptions>;

const DEFAULTS: PoolOptions = {
  connectionsMax: 10,
  acquireTimeoutMs: 10_000,
  connectTimeoutMs: 5_000,
  statementTimeoutMs: 30_000,
  answerGraceMs: 5_000,
  applicationName: "checkoutd",
  isPooled: false,
};

/** In the URL, as other clients have it: each transaction may run on another backend. */
const POOLED = "pgbouncer";

/** Opens connections when they are needed; a server that is down shows at the first statement, and as TRANSIENT. */
export function connectPostgres(address: string, options: PostgresOptions = {}): Database {
  const { url, isPooled } = addressOf(address);
  const settings = { ...DEFAULTS, isPooled, ...options };
  const pool = new PostgresPool(url, settings);
  const rows = (text: string, parameters: readonly unknown[] = []) => pool.use((connection) => connection.run(text, parameters));
  return {
    kind: "postgres",
    orm: ormOver({
      unsafe: (text, parameters) => lazily((mode) => pool.use((connection) => connection.run(text, parameters, mode))),
      begin: (work) => inTransaction(pool, work),
    }),
    rows: async <Row>(text: string, parameters?: readonly unknown[]) => [...(await rows(text, parameters))] as Row[],
    transaction: (work) => inTransaction(pool, (client) => work(ormOver(client))),
    listen: isPooled
      ? null
      : (channel, heard) => listenOn(new PostgresConnection(url, { ...settings, onNotification: heard }), channel),
    ping: async () => void (await rows("select 1")),
    close: async () => pool.close(),
  };
}

function addressOf(address: string): { readonly url: string; readonly isPooled: boolean } {
  const url = new URL(address);
  const isPooled = url.searchParams.get(POOLED) === "true";
  // The driver would send on what it doesn't know.
  url.searchParams.delete(POOLED);
  return { url: url.href, isPooled };
}

/** TerminalError where a pooler has dropped the session's settings in silence: prepared statements would get lost as well. */
export async function assertSession(database: Database): Promise<void> {
  if (database.kind !== "postgres" || database.listen === null) return;
  const [session] = await database.rows<{ timeout: string }>(
    "select setting as timeout from pg_settings where name = 'statement_timeout'",
  );
  if (session?.timeout === "0") throw sessionRefused();
}

async function listenOn(connection: PostgresConnection, channel: string): Promise<Listening> {
  try {
    await connection.run(`listen ${channel}`, []);
  } catch (error) {
    connection.close();
    throw error;
  }
  return { ping: async () => void (await connection.run("select 1", [])), end: () => connection.close() };
}

/** What drizzle's postgres.js session calls on a client, and all of it that we let it have. */
interface DrizzleClient {
  unsafe(text: string, parameters: readonly unknown[]): PromiseLike<unknown[]> & { values(): Promise<unknown[]> };
  begin: Nested;
  /** Called in place of `begin` from the second level on. */
  savepoint?: Nested;
}

type Nested = <Result>(work: (client: DrizzleClient) => Promise<Result>) => Promise<Result>;

function ormOver(client: DrizzleClient): Orm {
  // Drizzle rewrites the type parsers of the client that it is given: it gets empty ones, ours stay as they are.
  const facade = { ...client, options: { parsers: {}, serializers: {} } };
  return drizzle(facade as unknown as Sql) as unknown as Orm;
}

/** postgres.js starts a query when it is awaited; drizzle relies on it to ask for arrays first. */
function lazily(start: (mode: RowMode) => Promise<unknown[]>): ReturnType<DrizzleClient["unsafe"]> {
  return {
    values: () => start("arrays"),
    // oxlint-disable-next-line unicorn/no-thenable -- the driver's own contract
    then: (onFulfilled, onRejected) => start("objects").then(onFulfilled, onRejected),
  };
}

async function inTransaction<Result>(pool: PostgresPool, work: (client: DrizzleClient) => Promise<Result>): Promise<Result> {
  return pool.use(async (connection) => {
    await connection.run("begin", []);
    let result: Result;
    try {
      result = await work(transactionClient(connection));
    } catch (error) {
      await rollBack(connection);
      throw error;
    }
    const { command } = await connection.run("commit", []);
    // Postgres answers the commit of a failed transaction with ROLLBACK, and no error.
    if (command !== "COMMIT") throw new InvariantError("A statement failed unnoticed: the transaction was rolled back.");
    return result;
  });
}

function transactionClient(connection: PostgresConnection): DrizzleClient {
  let savepoints = 0;
  const nested: Nested = async (work) => {
    const name = `nested_${++savepoints}`;
    await connection.run(`savepoint ${name}`, []);
    try {
      const result = await work(client);
      await connection.run(`release savepoint ${name}`, []);
      return result;
    } catch (error) {
      if (connection.isLost) throw connectionLost();
      await connection.run(`rollback to savepoint ${name}`, []);
      throw error;
    }
  };
  const client: DrizzleClient = {
    unsafe: (text, parameters) => lazily((mode) => connection.run(text, parameters, mode)),
    begin: nested,
    savepoint: nested,
  };
  return client;
}

/** The error that led here is the one to report; a connection that can't even roll back is given up. */
async function rollBack(connection: PostgresConnection): Promise<void> {
  if (connection.isLost) return;
  try {
    await connection.run("rollback", []);
  } catch {
    connection.close();
  }
}
