import { createServer, request, type IncomingMessage } from "node:http";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { listen, peerAddress, type Listening } from "../../server/listen.ts";
import { problemOf, setup } from "./setup.ts";

const open: Listening[] = [];
afterEach(async () => {
  for (const listening of open.splice(0)) await listening.stop(0);
});

async function start(overrides: Parameters<typeof setup>[0] = {}) {
  const draining = new AbortController();
  const bundle = setup({ draining: draining.signal, peerAddress, ...overrides });
  const listening = await listen({ fetch: (r, env) => bundle.app.fetch(r, env), host: "127.0.0.1", port: 0, draining });
  open.push(listening);
  return { ...bundle, ...listening, draining };
}

describe("a listening server", () => {
  it("is on a free port and knows its peers", async () => {
    const { url } = await start();
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d{4,5}$/);
    expect((await fetch(`${url}/orchestration/checkout`)).status).toBe(200);
  });

  it("refuses a Host header that is no host with a problem", async () => {
    const { url } = await start();
    const sent = request(`${url}/livez`, { headers: { Host: "a/b" } }).end();
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    expect([response.statusCode, response.headers["content-type"]]).toEqual([400, "application/problem+json"]);
    response.resume();
  });

  it("says so when the port is taken", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = taken.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const attempt = listen({ fetch: () => new Response(), host: "127.0.0.1", port, draining: new AbortController() });
    await expect(attempt).rejects.toMatchObject({ code: "EADDRINUSE" });
    taken.close();
  });

  it("finishes what is in flight, closes its connection, and then takes none", async () => {
    let finish = (): void => undefined;
    let arrived = (): void => undefined;
    const hasArrived = new Promise<void>((resolve) => (arrived = resolve));
    const check = () => {
      arrived();
      return new Promise<void>((resolve) => (finish = resolve));
    };
    const server = await start({ readinessChecks: { database: check } });
    const inFlight = fetch(`${server.url}/readyz`);
    await hasArrived;
    const stopped = server.stop(60_000);
    expect(server.stop(60_000)).toBe(stopped);
    finish();
    const response = await inFlight;
    expect(response.headers.get("connection")).toBe("close");
    expect(await problemOf(response)).toMatchObject({ code: "DRAINING" });
    await stopped;
    await expect(fetch(`${server.url}/livez`)).rejects.toThrow("fetch failed");
  });

  it("ends its event streams when it stops", async () => {
    const server = await start();
    const response = await fetch(`${server.url}/orchestration/watch`);
    await server.stop(60_000);
    await response.text();
  });

  it("cuts what does not finish within the grace", async () => {
    let arrived = (): void => undefined;
    const hasArrived = new Promise<void>((resolve) => (arrived = resolve));
    const check = () => {
      arrived();
      return new Promise<void>(() => undefined);
    };
    const server = await start({ readinessChecks: { database: check } });
    const inFlight = fetch(`${server.url}/readyz`);
    const cut = inFlight.catch((error: unknown) => error);
    await hasArrived;
    await server.stop(1);
    expect(await cut).toBeInstanceOf(TypeError);
  });
});
