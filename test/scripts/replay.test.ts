import { connect, type NatsConnection } from "@nats-io/transport-node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { migrate } from "../../persistence/migrate.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { readArguments } from "../../scripts/replay/arguments.ts";
import { commitAfter, commitOne, createdCheckout } from "../conformance/store-fixtures.ts";
import { storedOn } from "../support/broker-reader.ts";
import { runScriptProcess } from "../support/script-process.ts";
import { createTestDatabase, describeOn } from "../support/server.ts";
import { startServer, type TestServer } from "../support/servers.ts";

describe("what replay is told", () => {
  test.each([
    [["--context", "ctx_1"], { kind: "context", executionContextId: "ctx_1" }],
    [["--since", "2027-01-08T10:00:00Z"], { kind: "since", since: Date.UTC(2027, 0, 8, 10) }],
    [["--help"], null],
  ])("%j", (given, expected) => expect(readArguments(given)).toEqual(expected));

  test.each([
    [[], "Name either --context or --since."],
    [["--context", "ctx_1", "--since", "2027-01-08T10:00:00Z"], "Name either --context or --since."],
    [["--since", "yesterday"], "--since must be a time"],
    [["--all"], "Unknown option"],
  ])("%j is refused: %s", (given, message) => expect(() => readArguments(given)).toThrow(message));
});

describeOn("nats", "npm run replay", () => {
  describeOn("postgres", "over a service's database", (postgresUrl) => {
    let server: TestServer;
    let client: NatsConnection;
    let databaseUrl: string;
    const ids: string[] = [];
    const cleanUps: (() => Promise<unknown>)[] = [];

    beforeAll(async () => {
      const started = await startServer("nats");
      if (started === null) throw new Error("This test needs a nats-server of its own: npm run setup:servers");
      server = started;
      client = await connect({ servers: server.url });
      const created = await createTestDatabase(postgresUrl);
      databaseUrl = created.url;
      const database = connectPostgres(databaseUrl);
      cleanUps.push(
        () => created.drop(),
        () => database.close(),
        () => client.close(),
        () => server.stop(),
      );
      await migrate(database);
      const store = new SqlStore(database);
      for (const _ of [1, 2]) {
        const { id } = await createdCheckout(store);
        ids.push(id);
        await commitOne(store, commitAfter(id, 1, { events: ["note", "end"].map((type) => ({ type, data: { of: id } })) }));
      }
      const marks = ids.flatMap((contextId) =>
        [1, 2].map((eventSeq) => ({ contextId, eventSeq, kind: "acknowledged" as const })),
      );
      // The last one has not been published yet.
      await store.markPublished(marks.slice(0, -1));
    });
    afterAll(async () => {
      for (const cleanUp of cleanUps.toReversed()) await cleanUp();
    });

    const replay = (...args: string[]) => runScriptProcess("replay", args, { DATABASE_URL: databaseUrl, NATS_URL: server.url });
    const subjects = async () => (await storedOn(client, "CHECKOUT_REPLAY")).map(({ subject }) => subject);

    test("a checkout's published events go beside the stream, and all since a time; never what was not published", async () => {
      const [first = "", second = ""] = ids;
      const { stdout } = await replay("--context", first);
      expect(stdout).toMatch(/^2 events of 1 checkouts replayed/);
      const ofFirst = [`checkout.replay.v1.note.${first}`, `checkout.replay.v1.end.${first}`];
      expect(await subjects()).toEqual(ofFirst);
      const all = await replay("--since", "2020-01-01T00:00:00Z");
      expect(all.stdout).toMatch(/^3 events of 2 checkouts replayed/);
      expect((await subjects()).slice(2).toSorted()).toEqual([...ofFirst, `checkout.replay.v1.note.${second}`].toSorted());
      const [message] = await storedOn(client, "CHECKOUT_REPLAY");
      expect(message?.json()).toMatchObject({ id: `${first}:1`, type: "checkout.v1.note", subject: first, seq: 1 });
      expect(await storedOn(client, "CHECKOUT")).toEqual([]);
    });

    test("a checkout that nobody was told of is named, and is no success", async () => {
      const { code, stderr } = await replay("--context", "ctx_unknown");
      expect([code, stderr]).toEqual([1, expect.stringContaining("ctx_unknown has no event that was published.")]);
    });

    test("what retention removed is said to be missing, of one checkout and of all", async () => {
      const [first = ""] = ids;
      const database = connectPostgres(databaseUrl);
      const setTypeSeqs = (value: string) =>
        database.rows(`update checkoutd.contexts set type_seqs = ${value}, finished_at = now() where id = $1`, [first]);
      try {
        await setTypeSeqs("'{}'");
        const missing = expect.stringContaining("were removed by retention") as string;
        expect(await replay("--context", first)).toMatchObject({ code: 1, stderr: missing });
        expect(await replay("--since", "2020-01-01T00:00:00Z")).toMatchObject({ code: 1, stderr: missing });
        expect((await replay("--since", "2100-01-01T00:00:00Z")).code).toBe(0);
      } finally {
        await setTypeSeqs("null");
        await database.close();
      }
    });

    test("without a broker to replay to it says what is missing", async () => {
      expect(await runScriptProcess("replay", ["--context", "ctx_1"], { DATABASE_URL: databaseUrl })).toMatchObject({
        code: 78,
        stderr: expect.stringContaining("NATS_URL must be set") as string,
      });
    });
  });
});
