import { mkdtemp, rm } from "node:fs/promises";
import { createServer, connect, type Socket } from "node:net";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "drizzle-orm";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { classify } from "../../machines/errors.ts";
import type { Database } from "../../persistence/connect.ts";
import { openEmbedded } from "../../persistence/embedded-database.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { databaseConformance } from "../conformance/database.ts";
import { createTestDatabase, describeOn } from "../support/server.ts";

const cleanUps: (() => Promise<unknown>)[] = [];
afterAll(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp();
});

databaseConformance("PGlite", async () => {
  const directory = await mkdtemp(join(tmpdir(), "checkoutd-database-"));
  cleanUps.push(() => rm(directory, { recursive: true, force: true }));
  return openEmbedded(directory);
});

test("a server that isn't there is a transient failure", async () => {
  const database = connectPostgres("postgres://postgres@127.0.0.1:1/nothing");
  await expectTransient(database.listen?.("channel", () => {}) ?? Promise.resolve());
  await expectTransient(database.ping());
  await expectTransient(database.transaction(async () => {}));
  await database.close();
});

describeOn("postgres", "on a real Postgres", (server) => {
  databaseConformance("Postgres", async () => {
    const created = await createTestDatabase(server);
    cleanUps.push(() => created.drop());
    return connectPostgres(created.url);
  });

  let url: string;
  let database: Database;
  beforeAll(async () => {
    const created = await createTestDatabase(server);
    url = created.url;
    database = connectPostgres(url, { connectionsMax: 3 });
    await database.rows("create table kept (id int)");
    cleanUps.push(
      () => created.drop(),
      () => database.close(),
    );
  });

  test("a backend that dies in a transaction is a transient failure, and nothing of it stays, nor runs elsewhere", async () => {
    const attempt = database.transaction(async (tx) => {
      await tx.execute(sql`insert into kept values (1)`);
      await expectTransient(tx.execute(sql`select pg_terminate_backend(pg_backend_pid())`));
      // A driver that reconnects behind our back would commit this one by itself.
      await expectTransient(tx.execute(sql`insert into kept values (2)`));
    });
    await expectTransient(attempt);
    expect(await database.rows("select id from kept")).toEqual([]);
  });

  test("recovers when its idle connections were closed by the server", async () => {
    await Promise.all([1, 2, 3].map(() => database.rows("select pg_sleep(0.05)")));
    const other = connectPostgres(url, { connectionsMax: 1 });
    await other.rows(
      "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
    );
    await other.close();
    const answers = await Promise.allSettled([1, 2, 3, 4].map(() => database.ping()));
    for (const answer of answers) if (answer.status === "rejected") expect(classify(answer.reason).class).toBe("TRANSIENT");
    // One that was closed may still be in the pool; it fails once and is gone.
    await vi.waitFor(() => database.ping());
  });

  test("a channel is heard on a connection of its own, until that ends or is lost", async () => {
    const { listen } = database;
    if (listen === null) throw new Error("Postgres can be listened to.");
    const [heard, missed]: [string[], string[]] = [[], []];
    const listening = await listen("tests_channel", (payload) => heard.push(payload));
    const lost = await listen("tests_channel", (payload) => missed.push(payload));
    await database.rows("select pg_notify('tests_channel', $1), pg_notify('tests_other', 'no')", ["1"]);
    await vi.waitFor(() => expect([heard, missed]).toEqual([["1"], ["1"]]));
    await listening.ping();
    const last =
      "select pg_terminate_backend(pid) from pg_stat_activity where query = 'listen tests_channel' order by backend_start desc limit 1";
    await database.rows(last);
    await vi.waitFor(() => expectTransient(lost.ping()));
    await database.rows("select pg_notify('tests_channel', '2')");
    await vi.waitFor(() => expect(heard).toEqual(["1", "2"]));
    expect(missed).toEqual(["1"]);
    listening.end();
    listening.end();
    await expectTransient(listening.ping());
  });

  test("a network that falls silent is a transient failure within the deadline", async () => {
    const proxy = await silenceableProxy(new URL(url));
    const through = new URL(url);
    through.port = String(proxy.port);
    const remote = connectPostgres(through.href, { statementTimeoutMs: 100, answerGraceMs: 100 });
    await remote.ping();
    proxy.silence();
    await expectTransient(remote.ping());
    await remote.close();
    proxy.stop();
  });

  test("a statement that takes too long is cancelled by the server", async () => {
    const impatient = connectPostgres(url, { statementTimeoutMs: 50 });
    await expectTransient(impatient.rows("select pg_sleep(10)"));
    await impatient.close();
  });

  test("callers beyond the pool wait, and are told to come back when it takes too long", async () => {
    const small = connectPostgres(url, { connectionsMax: 1, acquireTimeoutMs: 50 });
    await small.transaction(async () => {
      await expectTransient(small.ping());
      await expectTransient(small.orm.execute(sql`select 1`));
    });
    await small.close();
    const patient = connectPostgres(url, { connectionsMax: 1 });
    await Promise.all(Array.from({ length: 20 }, () => patient.ping()));
    await patient.close();
  });
});

async function expectTransient(promise: PromiseLike<unknown>): Promise<void> {
  const error: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(Error);
  expect(classify(error)).toMatchObject({ class: "TRANSIENT" });
}

/** A TCP proxy that can stop forwarding without closing anything, as a cut cable does. */
async function silenceableProxy(target: URL): Promise<{ port: number; silence(): void; stop(): void }> {
  const sockets = new Set<Socket>();
  let isSilent = false;
  const server = createServer((client) => {
    const upstream = connect(Number(target.port), target.hostname);
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from);
      from.on("data", (chunk) => isSilent || to.write(chunk));
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the proxy has no port");
  return {
    port: address.port,
    silence: () => {
      isSilent = true;
    },
    stop: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
