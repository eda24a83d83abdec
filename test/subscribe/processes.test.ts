/** Crashes, brokers that go and come, and several processes under one durable name. */
import { expect, test } from "vitest";
import { NatsBucket } from "../../subscribe/bucket.ts";
import { systemClock } from "../../subscribe/clock.ts";
import { Lease } from "../../subscribe/lease.ts";
import { NatsProgress } from "../../subscribe/progress.ts";
import type { Handler, Progress } from "../../subscribe/subscribe.ts";
import { describeOn } from "../support/server.ts";
import { Desk, eventOf, idsOf, signal } from "./desk.ts";

const PATIENT = { timeout: 25_000, interval: 20 };

/** Of a subscriber with a database: the effect and the position change together, or not at all. */
class Database implements Progress {
  readonly effects: string[] = [];
  readonly #positions = new Map<string, number>();

  readonly handle: Handler = async ({ id, subject }, { from, to }) => {
    if ((this.#positions.get(subject) ?? 0) !== from) throw new Error("somebody else did it");
    this.#positions.set(subject, to);
    this.effects.push(id);
  };
  async last(checkout: string) {
    return this.#positions.get(checkout) ?? 0;
  }
  async advance(checkout: string, from: number, to: number) {
    if ((await this.last(checkout)) === from) this.#positions.set(checkout, to);
    return this.last(checkout);
  }
}

describeOn("nats", "a subscriber on a real NATS", () => {
  test("a process that dies between its handler and the record has the handler run again: once is for its transaction to say", async () => {
    await using desk = await Desk.start();
    await desk.publish(eventOf("ctx_a", 1), eventOf("ctx_a", 2));
    const connection = await desk.connection();
    const dying = await desk.subscribe({
      connection,
      servers: undefined as never,
      handler: async ({ id }, { attempt }) => {
        desk.handled.push(`${id} ${attempt}`);
        await connection.close();
      },
    });
    expect(await dying.closed).toMatchObject({ code: "CONNECTION_CLOSED" });
    await desk.subscribe({ handler: async ({ id }, { attempt }) => void desk.handled.push(`${id} ${attempt}`) });
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    expect(desk.handled.slice(0, 2)).toEqual(["ctx_a:1 1", "ctx_a:1 2"]);
    expect(desk.handled.slice(2).map((line) => line.split(" ")[0])).toEqual(["ctx_a:2"]);
  });

  test("with the position in the handler's transaction, that effect happens once", async () => {
    await using desk = await Desk.start();
    await desk.publish(eventOf("ctx_a", 1), eventOf("ctx_a", 2));
    const [database, connection] = [new Database(), await desk.connection()];
    const dying = await desk.subscribe({
      connection,
      servers: undefined as never,
      progress: database,
      handler: async (event, delivery) => {
        await database.handle(event, delivery);
        await connection.close();
      },
    });
    await dying.closed;
    await desk.subscribe({ progress: database, handler: database.handle });
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    expect(database.effects).toEqual(idsOf("ctx_a", 2));
    expect(desk.errors.map(String)).not.toContain("Error: somebody else did it");
  });

  test("a process that dies between the record and the acknowledgement has nothing handled again", async () => {
    await using desk = await Desk.start();
    await desk.publish(eventOf("ctx_a", 1), eventOf("ctx_a", 2));
    const connection = await desk.connection();
    const progress = new NatsProgress(new NatsBucket(desk.manager, 1), "warehouse");
    const dying = await desk.subscribe({
      connection,
      servers: undefined as never,
      progress: {
        last: (checkout) => progress.last(checkout),
        advance: async (checkout, from, to) => {
          const stands = await progress.advance(checkout, from, to);
          await connection.close();
          return stands;
        },
      },
    });
    await dying.closed;
    expect(await desk.unacknowledged()).toBe(2);
    await desk.subscribe();
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    expect(desk.handled).toEqual(idsOf("ctx_a", 2));
  });

  test("a broker that is killed in the middle and comes back with its data: each event once, in order", async () => {
    await using desk = await Desk.start();
    const checkouts = ["ctx_a", "ctx_b", "ctx_c", "ctx_d"];
    for (let seq = 1; seq <= 20; seq++) await desk.publish(...checkouts.map((checkout) => eventOf(checkout, seq)));
    const [middle, back] = [signal(), signal()];
    await desk.subscribe({
      handler: async ({ id }) => {
        desk.handled.push(id);
        if (desk.handled.length < 30) return;
        // Under way while the broker is gone, and recorded when it is back.
        middle.give();
        await back.given;
      },
    });
    await middle.given;
    await desk.server.kill();
    await expect.poll(() => desk.client.isClosed() || desk.errors.length > 0, PATIENT).toBe(true);
    back.give();
    await desk.restart();
    await expect.poll(() => desk.handled.length, PATIENT).toBe(80);
    await expect.poll(() => desk.unacknowledged().catch(() => -1), PATIENT).toBe(0);
    for (const checkout of checkouts) expect(desk.handledOf(checkout)).toEqual(idsOf(checkout, 20));
    expect(desk.gaps).toEqual([]);
  });

  test("a broker that lost its disk: what is published from then on is handled, once its stream is there again", async () => {
    await using desk = await Desk.start();
    await desk.subscribe();
    await desk.publish(...[1, 2, 3].map((seq) => eventOf("ctx_a", seq)));
    await expect.poll(() => desk.handled.length, PATIENT).toBe(3);
    await desk.server.kill();
    await desk.restart("lost");
    await expect.poll(() => desk.errors.length, PATIENT).toBeGreaterThan(0);
    await expect
      .poll(
        () =>
          desk.makeStream().then(
            () => true,
            () => false,
          ),
        PATIENT,
      )
      .toBe(true);
    for (const seq of [1, 2, 3]) await desk.publish(eventOf("ctx_b", seq), eventOf("ctx_c", seq));
    await expect.poll(() => desk.handled.length, PATIENT).toBe(9);
    for (const checkout of ["ctx_b", "ctx_c"]) expect(desk.handledOf(checkout)).toEqual(idsOf(checkout, 3));
  });

  test("two clients of one durable: one works at a time, the other takes over where it stopped, and nothing is handled twice", async () => {
    await using desk = await Desk.start();
    const checkouts = Array.from({ length: 10 }, (_, index) => `ctx_${index}`);
    const publishOnes = (from: number, to: number) => {
      const seqs = Array.from({ length: to - from + 1 }, (_, index) => from + index);
      return desk.publish(...seqs.flatMap((seq) => checkouts.map((checkout) => eventOf(checkout, seq))));
    };
    const by: string[] = [];
    const running = new Set<string>();
    const violations: string[] = [];
    const clientNamed = (name: string) =>
      desk.subscribe({
        handler: async ({ id, subject }) => {
          if (running.has(subject)) violations.push(id);
          running.add(subject);
          await new Promise((resolve) => setTimeout(resolve, 2));
          running.delete(subject);
          desk.handled.push(id);
          by.push(name);
        },
      });
    await publishOnes(1, 10);
    const first = await clientNamed("first");
    await expect.poll(() => by.length, PATIENT).toBeGreaterThan(10);
    const second = await clientNamed("second");
    await publishOnes(11, 20);
    await expect.poll(() => by.length, PATIENT).toBe(200);
    expect(new Set(by)).toEqual(new Set(["first"]));
    await publishOnes(21, 25);
    await first.stop();
    await publishOnes(26, 30);
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    expect(new Set(by)).toEqual(new Set(["first", "second"]));
    for (const checkout of checkouts) expect(desk.handledOf(checkout)).toEqual(idsOf(checkout, 30));
    expect(violations).toEqual([]);
    expect(desk.gaps).toEqual([]);
    await second.stop();
  });

  test("when the active one falls silent, the other takes its lease and, after the broker's wait, its events, in order", async () => {
    await using desk = await Desk.start();
    const connection = await desk.connection();
    await desk.publish(eventOf("ctx_a", 1), eventOf("ctx_a", 2), eventOf("ctx_b", 1));
    const begun = signal();
    // Longer than the lease: event 3 reaches the other one long before events 1 and 2.
    const ackWaitMs = 3_000;
    await desk.subscribe({
      ackWaitMs,
      connection,
      servers: undefined as never,
      handler: async (event) => {
        if (event.subject === "ctx_b") return desk.note(event, undefined as never);
        begun.give();
        await new Promise(() => {});
      },
    });
    await begun.given;
    await expect.poll(() => desk.handled, PATIENT).toEqual(["ctx_b:1"]);
    await desk.subscribe({ ackWaitMs });
    await connection.close();
    await desk.publish(eventOf("ctx_a", 3));
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    expect(desk.handledOf("ctx_a")).toEqual(idsOf("ctx_a", 3));
    expect(desk.handledOf("ctx_b")).toEqual(["ctx_b:1"]);
    // What the silent one had in its hands was stored, and on its way.
    expect(desk.gaps).toEqual([]);
  });

  test("one that wakes after its lease was taken knows it by the clock, before any timer of its own", async () => {
    await using desk = await Desk.start();
    const bucket = new NatsBucket(desk.manager, 1);
    await bucket.ensure();
    const lease = () => new Lease(bucket, systemClock, "lease.x", 300, (error) => void desk.errors.push(error));
    const [first, second] = [lease(), lease()];
    const { signal: forever } = new AbortController();
    await first.acquire(forever);
    expect(first.isTrusted).toBe(true);
    // The whole process is paused: no timer of it runs.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400);
    expect(first.isTrusted).toBe(false);
    await first.release();
    await second.acquire(forever);
    expect([first.isTrusted, second.isTrusted]).toEqual([false, true]);
    await second.release();
  });

  test("a lease is never two's: many that want it hold it one after another", async () => {
    await using desk = await Desk.start();
    const bucket = new NatsBucket(desk.manager, 1);
    await bucket.ensure();
    const { signal: forever } = new AbortController();
    const leases = Array.from(
      { length: 6 },
      () => new Lease(bucket, systemClock, "lease.y", 200, (error) => void desk.errors.push(error)),
    );
    let most = 0;
    await Promise.all(
      leases.map(async (lease) => {
        await lease.acquire(forever);
        most = Math.max(most, leases.filter(({ isTrusted }) => isTrusted).length);
        await lease.release();
      }),
    );
    expect(most).toBe(1);
  });
});
