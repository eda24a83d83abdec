import { createClient } from "redis";
import { afterEach, describe, expect, test } from "vitest";
import type { AcquireResult } from "../../locking/lock-manager.ts";
import { connectRedisLocks, type RedisLocksOptions } from "../../locking/redis-locks.ts";
import { lockManagerConformance } from "../conformance/lock-manager.ts";
import { describeOn } from "../support/server.ts";
import { startServer, type TestServer } from "../support/servers.ts";

const LONG_MS = 60_000;
const UNAVAILABLE = { class: "TRANSIENT", code: "LOCKS_UNAVAILABLE" };

describeOn("redis", "on a real Redis", (url) => {
  lockManagerConformance("Redis", () => connectRedisLocks(url));

  describe("a Redis that fails", () => {
    const cleanUps: (() => Promise<void>)[] = [];
    afterEach(async () => {
      for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
    });

    /** A server of the test's own, because it is emptied, paused and killed. */
    async function ownServer(port?: number): Promise<TestServer> {
      const server = await startServer("redis", port === undefined ? {} : { port });
      if (server === null) throw new Error("This test kills its server, so it needs redis-server here: npm run setup:servers");
      cleanUps.push(() => server.stop());
      return server;
    }

    async function setup(options: RedisLocksOptions = {}) {
      const server = await ownServer();
      const locks = await connectRedisLocks(server.url, options);
      cleanUps.push(() => locks.stop());
      return { server, locks };
    }

    test("lets two owners in after FLUSHALL, the second with the greater token: only the fence keeps them apart", async () => {
      const { server, locks } = await setup();
      const first = token(await locks.acquire(["cart"], "anna", LONG_MS));
      await flushAll(server.url);
      const second = token(await locks.acquire(["cart"], "ben", LONG_MS));
      expect(second).toBeGreaterThan(first);
      expect(await locks.renew(["cart"], "anna", LONG_MS)).toBe(false);
    });

    test("rejects at once while the server is away, and runs nothing of it when the server is back", async () => {
      const { server, locks } = await setup();
      await server.stop();
      await expect.poll(() => failure(locks.ping()), { interval: 5 }).toMatchObject(UNAVAILABLE);
      expect(await failure(locks.acquire(["cart"], "anna", LONG_MS))).toMatchObject(UNAVAILABLE);
      await ownServer(server.port);
      await expect.poll(() => failure(locks.ping()), { interval: 20, timeout: 5_000 }).toBeNull();
      expect(await locks.acquire(["cart"], "ben", LONG_MS)).toMatchObject({ kind: "acquired" });
    });

    test("stops waiting for a server that hangs", async () => {
      const { server, locks } = await setup({ commandTimeoutMs: 50 });
      await server.pause();
      expect(await failure(locks.acquire(["cart"], "anna", LONG_MS))).toMatchObject(UNAVAILABLE);
      process.kill(server.pid, "SIGCONT");
      await expect.poll(() => failure(locks.ping()), { interval: 5 }).toBeNull();
    });

    test("reports connection errors to its listener instead of ending the process", async () => {
      const { promise: reported, resolve } = signal<Error>();
      const { server } = await setup({ onConnectionError: resolve });
      await server.stop();
      expect(await reported).toBeInstanceOf(Error);
    });

    test("opens without a server, and rejects every call until there is one", async () => {
      const server = await ownServer();
      await server.stop();
      const locks = await connectRedisLocks(server.url);
      expect(await failure(locks.ping())).toMatchObject(UNAVAILABLE);
      await locks.stop();
    });

    test("rejects every call after stop", async () => {
      const { locks } = await setup();
      await locks.stop();
      expect(await failure(locks.ping())).toMatchObject(UNAVAILABLE);
    });
  });
});

function token(result: AcquireResult): number {
  return (result.kind === "acquired" ? result.tokens.cart : undefined) ?? Number.NaN;
}

async function failure(attempt: Promise<unknown>): Promise<unknown> {
  return attempt.then(
    () => null,
    (error: unknown) => error,
  );
}

async function flushAll(url: string): Promise<void> {
  const client = await createClient({ url }).connect();
  await client.flushAll();
  client.destroy();
}

function signal<Value>() {
  let resolve: (value: Value) => void = () => {};
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
