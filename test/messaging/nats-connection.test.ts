import { createServer, type AddressInfo } from "node:net";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { afterEach, describe, expect, test } from "vitest";
import { connectNats } from "../../messaging/nats-connection.ts";
import { describeOn } from "../support/server.ts";
import { startServer, type StartOptions } from "../support/servers.ts";

const SECRET = ["--user", "shop", "--pass", "s@cret"];

const cleanUps: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function connectTo(url: string) {
  const told: unknown[] = [];
  const link = await connectNats(url, { replicas: 1, onConnectionError: (error) => told.push(error) });
  cleanUps.push(() => link.close());
  return { link, told };
}

describeOn("nats", "a connection to a real NATS", () => {
  async function ownServer(options: StartOptions) {
    const server = await startServer("nats", options);
    if (server === null) throw new Error("This test needs a NATS of its own: npm run setup:servers");
    cleanUps.push(() => server.stop());
    const urlWith = (credentials: string) => `nats://${credentials}@127.0.0.1:${server.port}`;
    return { server, urlWith };
  }

  test("names itself by user and password, or by a token, as its URL says", async () => {
    const { urlWith } = await ownServer({ args: SECRET });
    expect((await connectTo(urlWith("shop:s%40cret"))).link.isUp).toBe(true);
    const other = await ownServer({ args: ["--auth", "t0ken"] });
    expect((await connectTo(other.urlWith("t0ken"))).link.isUp).toBe(true);
  });

  test("credentials that are refused are told at once, without their secret", async () => {
    const { server, urlWith } = await ownServer({ args: SECRET });
    for (const url of [urlWith("shop:hunter2"), server.url]) {
      const failure: unknown = await connectTo(url).catch((error: unknown) => error);
      expect(failure).toMatchObject({ class: "TERMINAL", code: "BROKER_REFUSES_US" });
      expect(String(failure)).not.toContain("hunter2");
    }
  });

  test("a server without TLS is not spoken to where the URL wants TLS", async () => {
    const { server } = await ownServer({});
    const { link, told } = await connectTo(server.url.replace("nats:", "tls:"));
    expect(link.isUp).toBe(false);
    expect(told).toMatchObject([{ code: "BROKER_UNAVAILABLE", cause: { message: expect.stringContaining("'tls'") as string } }]);
  });

  test("a stream that became unfit while we run holds everything up, and says nothing of any event", async () => {
    const { server } = await ownServer({});
    const { link } = await connectTo(server.url);
    const { manager } = await link.broker();
    const { config } = await manager.streams.info("PAYMENTS");
    await manager.streams.update("PAYMENTS", { ...config, max_msgs_per_subject: 5 });
    link.forgetStreams();
    const unfit = { class: "TRANSIENT", code: "BROKER_UNFIT", cause: { code: "STREAM_UNFIT" } };
    await expect(link.broker()).rejects.toMatchObject(unfit);
    await expect(connectTo(server.url)).rejects.toMatchObject({ class: "TERMINAL", code: "STREAM_UNFIT" });
    await manager.streams.update("PAYMENTS", { ...config, max_msgs_per_subject: -1 });
    expect(await link.broker()).toBeTruthy();
  });

  test("credentials that are wrong for a while, while we run, are tried until they are right", async () => {
    const { server, urlWith } = await ownServer({ args: SECRET });
    const { link } = await connectTo(urlWith("shop:s%40cret"));
    await server.kill();
    const again = { port: server.port, directory: server.directory };
    const stranger = await ownServer({ ...again, args: ["--user", "shop", "--pass", "another"] });
    await expect.poll(() => link.isUp).toBe(false);
    // Long enough for it to have been refused more than the twice after which the client gives up by itself.
    await pause(3_000);
    await stranger.server.kill();
    await ownServer({ ...again, args: SECRET });
    await expect.poll(() => link.isUp, { timeout: 10_000 }).toBe(true);
  });
});

describe("a connection to nobody", () => {
  test("is tried until it is closed, and no longer", async () => {
    let attempts = 0;
    const nobody = createServer((socket) => {
      attempts++;
      socket.destroy();
    }).listen(0, "127.0.0.1");
    await once(nobody, "listening");
    cleanUps.push(async () => void nobody.close());
    const { link, told } = await connectTo(`nats://127.0.0.1:${(nobody.address() as AddressInfo).port}`);
    expect(told).toMatchObject([{ class: "TRANSIENT", code: "BROKER_UNAVAILABLE" }]);
    await expect.poll(() => attempts, { timeout: 10_000 }).toBeGreaterThan(2);
    await link.close();
    const before = attempts;
    await pause(1_500);
    expect(attempts).toBe(before);
  });
});
