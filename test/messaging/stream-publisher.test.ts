import { jetstreamManager } from "@nats-io/jetstream";
import { connect, headers } from "@nats-io/transport-node";
import { afterEach, expect, test } from "vitest";
import { StreamPublisher } from "../../messaging/stream-publisher.ts";
import { describeOn } from "../support/server.ts";
import { startServer } from "../support/servers.ts";

const ANSWER_MAX_MS = 300;

describeOn("nats", "a publisher to streams", () => {
  const cleanUps: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  });

  async function setup(answerMaxMs = ANSWER_MAX_MS) {
    const server = await startServer("nats");
    if (server === null) throw new Error("This test stops its server, so it needs nats-server here: npm run setup:servers");
    cleanUps.push(() => server.stop());
    const connection = await connect({ servers: server.url });
    cleanUps.push(() => connection.close());
    await (await jetstreamManager(connection)).streams.add({ name: "NOTES", subjects: ["notes.>"] });
    const publisher = new StreamPublisher(connection, answerMaxMs);
    cleanUps.push(async () => publisher.stop());
    const publish = (subject: string, expected = "") => {
      const sent = headers();
      if (expected !== "") sent.set("Nats-Expected-Last-Subject-Sequence", expected);
      return publisher.publish("NOTES", subject, "{}", sent);
    };
    return { server, connection, publisher, publish };
  }

  test("each message has its own answer, however many are under way", async () => {
    const { publish } = await setup();
    const subjects = Array.from({ length: 2_000 }, (_, place) => `notes.${place}`);
    const acks = await Promise.all(subjects.map((subject) => publish(subject)));
    expect(acks.map(({ stream }) => stream)).toEqual(subjects.map(() => "NOTES"));
    expect(acks.map(({ seq }) => seq)).toEqual(subjects.map((_, place) => place + 1));
  });

  test("a refusal is the broker's own, and says nothing of the others", async () => {
    const { publish } = await setup();
    const [first, refused, other] = await Promise.allSettled([
      publish("notes.a", "0"),
      publish("notes.a", "0"),
      publish("notes.b", "0"),
    ]);
    expect([first.status, other.status]).toEqual(["fulfilled", "fulfilled"]);
    expect(refused).toMatchObject({ status: "rejected", reason: { name: "JetStreamApiError", code: 10_071 } });
  });

  test("a subject that no stream takes is told at once", async () => {
    const { publish } = await setup(60_000);
    await expect(publish("elsewhere")).rejects.toThrow("No stream takes this subject");
  });

  test("a broker that stands still is waited for so long and no longer; once it goes on, so does the publisher", async () => {
    const { server, publish } = await setup();
    await server.pause();
    await expect(Promise.any([publish("notes.a"), publish("notes.b")])).rejects.toMatchObject({
      errors: [{ message: "NATS did not answer in time." }, { message: "NATS did not answer in time." }],
    });
    process.kill(server.pid, "SIGCONT");
    await expect.poll(() => publish("notes.c").catch(() => null), { timeout: 10_000 }).toMatchObject({ stream: "NOTES" });
  });

  test("what is under way is given up when the connection is, and nothing is left that waits", async () => {
    const { server, publisher, publish } = await setup(60_000);
    await server.pause();
    const answers = Promise.allSettled([publish("notes.a"), publish("notes.b")]);
    publisher.abandon("lost");
    expect(await answers).toMatchObject([{ reason: { message: "lost" } }, { reason: { message: "lost" } }]);
    process.kill(server.pid, "SIGCONT");
    publisher.stop();
    publisher.stop();
  });

  test.each(["ok", "{}", "null", '{"stream":"OTHER","seq":1}', '{"stream":"NOTES"}'])(
    "somebody else's answer, %s, is none: the stream's is waited for",
    async (answer) => {
      const { connection, publish } = await setup(60_000);
      connection.subscribe("notes.>", { callback: (_error, message) => void message.respond(answer) });
      await connection.flush();
      for (const seq of [1, 2, 3]) expect(await publish("notes.a")).toMatchObject({ stream: "NOTES", seq });
    },
  );

  test("what is larger than the broker takes is refused before it leaves", async () => {
    const { publisher } = await setup(60_000);
    await expect(publisher.publish("NOTES", "notes.a", "x".repeat(1_100_000), headers())).rejects.toThrow(/max_payload/);
  });
});
