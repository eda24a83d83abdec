/** Handlers that reject, messages that are none, and events that are missing. */
import { expect, test } from "vitest";
import type { Handler, SubscribeOptions } from "../../subscribe/subscribe.ts";
import { backoffMs } from "../../subscribe/turns.ts";
import { describeOn } from "../support/server.ts";
import { Desk, eventOf, idsOf, signal } from "./desk.ts";

const PATIENT = { timeout: 20_000, interval: 20 };
const BAD = "ctx_bad:2";

describeOn("nats", "a subscriber on a real NATS", () => {
  /** Three checkouts of four events; `ctx_bad:2` is never handled, until it is mended. */
  async function setup(options: Partial<SubscribeOptions>) {
    const desk = await Desk.start();
    for (let seq = 1; seq <= 4; seq++) {
      for (const checkout of ["ctx_a", "ctx_bad", "ctx_b"]) await desk.publish(eventOf(checkout, seq));
    }
    const attempts: number[] = [];
    const mended = { is: false };
    const handler: Handler = async (event, { attempt }) => {
      if (event.id === BAD) attempts.push(attempt);
      if (event.id === BAD && !mended.is) throw new Error("no such\nshelf");
      desk.handled.push(event.id);
    };
    const subscription = await desk.subscribe({ handler, attemptsMax: 4, ...options });
    return { desk, attempts, mended, handler, subscription, [Symbol.asyncDispose]: () => desk[Symbol.asyncDispose]() };
  }

  test("one that always fails goes to the dead letters with the reason; its checkout goes on, in order, and others never wait", async () => {
    await using stage = await setup({ afterAttempts: "dead-letter" });
    const { desk, attempts } = stage;
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    expect(attempts).toEqual([1, 2, 3, 4]);
    expect(desk.handledOf("ctx_bad")).toEqual(["ctx_bad:1", "ctx_bad:3", "ctx_bad:4"]);
    for (const checkout of ["ctx_a", "ctx_b"]) {
      expect(desk.handledOf(checkout)).toEqual(idsOf(checkout, 4));
      expect(desk.handled.indexOf(`${checkout}:4`)).toBeLessThan(desk.handled.indexOf("ctx_bad:3"));
    }
    expect(desk.letters).toMatchObject([{ outcome: "dead-lettered", attempts: 4, event: { id: BAD } }]);
    const letter = await desk.manager.streams.getMessage("CHECKOUT_DEAD", { seq: 1 });
    expect(letter?.subject).toBe("checkout.dead.v1.warehouse.note.ctx_bad");
    expect(letter?.json()).toEqual(eventOf("ctx_bad", 2));
    expect(letter?.header.get("Checkout-Dead-Reason")).toBe("Error: no such shelf");
    expect(letter?.header.get("Checkout-Dead-Attempts")).toBe("4");
    expect((await desk.manager.streams.info("CHECKOUT_DEAD")).state.messages).toBe(1);
    expect(desk.gaps).toEqual([]);
  });

  test("by default its checkout waits, is told once, and goes on in order when the handler is mended", async () => {
    await using stage = await setup({});
    const { desk, attempts, mended } = stage;
    await expect.poll(() => attempts.length, PATIENT).toBeGreaterThan(6);
    expect(desk.letters).toMatchObject([{ outcome: "stopped", attempts: 4, event: { id: BAD } }]);
    expect(desk.handledOf("ctx_bad")).toEqual(["ctx_bad:1"]);
    expect(desk.handledOf("ctx_b")).toEqual(idsOf("ctx_b", 4));
    mended.is = true;
    await expect.poll(() => desk.handledOf("ctx_bad"), PATIENT).toEqual(idsOf("ctx_bad", 4));
    expect(desk.gaps).toEqual([]);
  });

  test("so many checkouts that wait that they fill this process do not keep others from being handled", async () => {
    await using desk = await Desk.start();
    const bad = Array.from({ length: 20 }, (_, index) => `ctx_bad_${index}`);
    for (const checkout of bad) await desk.publish(...[1, 2, 3].map((seq) => eventOf(checkout, seq)));
    await desk.publish(eventOf("ctx_good", 1), eventOf("ctx_good", 2));
    await desk.subscribe({
      inHandMax: 12,
      handler: async ({ id, subject }) => {
        if (bad.includes(subject)) throw new Error("bad");
        desk.handled.push(id);
      },
    });
    await expect.poll(() => desk.handled, PATIENT).toEqual(idsOf("ctx_good", 2));
  });

  test("deliveries to processes that stopped are no failures: the event is not given up at its first one", async () => {
    await using desk = await Desk.start();
    await desk.publish(eventOf("ctx_a", 1), eventOf("ctx_a", 2));
    for (let process = 1; process <= 4; process++) {
      const begun = signal();
      const subscription = await desk.subscribe({
        drainMs: 1,
        handler: (_, { signal: aborted }) => {
          begun.give();
          return new Promise((_resolve, reject) => aborted.addEventListener("abort", () => reject(aborted.reason as Error)));
        },
      });
      await begun.given;
      await subscription.stop();
    }
    const failing = new Set(["ctx_a:1"]);
    await desk.subscribe({
      attemptsMax: 3,
      afterAttempts: "dead-letter",
      handler: async ({ id }) => {
        if (failing.delete(id)) throw new Error("once");
        desk.handled.push(id);
      },
    });
    await expect.poll(() => desk.handled, PATIENT).toEqual(idsOf("ctx_a", 2));
    expect(desk.letters).toEqual([]);
  });

  test("a message that is no event is put aside, and told; the next one is handled", async () => {
    await using desk = await Desk.start();
    await desk.manager.jetstream().publish("checkout.v1.note.ctx_a", "not an event");
    await desk.manager.jetstream().publish("checkout.v1.note.ctx_a", JSON.stringify(eventOf("ctx_other", 1)));
    await desk.publish(eventOf("ctx_a", 1));
    await desk.subscribe();
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    expect(desk.handled).toEqual(["ctx_a:1"]);
    expect(desk.letters).toMatchObject([{ event: null, error: { code: "MALFORMED" } }, { event: null }]);
    expect((await desk.manager.streams.info("CHECKOUT_DEAD")).state.messages).toBe(2);
  });

  test("what follows a gap waits; it is told at once, told again later, and goes on when the missing event comes", async () => {
    await using desk = await Desk.start();
    await desk.publish(eventOf("ctx_a", 1), eventOf("ctx_a", 3), eventOf("ctx_a", 4), eventOf("ctx_b", 1));
    await desk.subscribe({ gapAgainMs: 400 });
    await expect.poll(() => desk.gaps.length, PATIENT).toBe(1);
    expect(desk.gaps).toMatchObject([
      { checkout: "ctx_a", missing: { from: 2, to: 2 }, waiting: { id: "ctx_a:3" }, isStored: false },
    ]);
    await expect.poll(() => desk.gaps.map(({ times }) => times), PATIENT).toEqual([1, 2, 3]);
    expect(desk.handled.toSorted()).toEqual(["ctx_a:1", "ctx_b:1"]);
    await desk.publish(eventOf("ctx_a", 2));
    await expect.poll(() => desk.handledOf("ctx_a"), PATIENT).toEqual(idsOf("ctx_a", 4));
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
  });

  test("a gap is told once for all events that wait, and skipped only by the subscriber's own word", async () => {
    await using desk = await Desk.start();
    await desk.publish(eventOf("ctx_a", 5), eventOf("ctx_a", 6));
    await desk.subscribe({
      onGap: (gap) => {
        desk.gaps.push(gap);
        return "skip";
      },
    });
    await expect.poll(() => desk.handled, PATIENT).toEqual(["ctx_a:5", "ctx_a:6"]);
    expect(desk.gaps).toMatchObject([{ missing: { from: 1, to: 4 }, times: 1 }]);
  });

  test("progress that was set back shows as a gap of events that the stream holds", async () => {
    await using desk = await Desk.start();
    await desk.publish(eventOf("ctx_a", 1), eventOf("ctx_a", 2));
    const subscription = await desk.subscribe();
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    await subscription.stop();
    await desk.manager.streams.purge("KV_checkout-subscribers");
    await desk.publish(eventOf("ctx_a", 3));
    await desk.subscribe({ gapAgainMs: 300 });
    await expect.poll(() => desk.gaps.length, PATIENT).toBeGreaterThan(0);
    expect(desk.gaps[0]).toMatchObject({ missing: { from: 1, to: 2 }, isStored: true, times: 1 });
    expect(desk.handled).toEqual(idsOf("ctx_a", 2));
  });
});

test("the time between attempts doubles from the first to the most", () => {
  const limits = { backoffFirstMs: 1_000, backoffMostMs: 60_000 };
  expect([1, 2, 3, 6, 7, 500].map((attempt) => backoffMs(attempt, limits))).toEqual([
    1_000, 2_000, 4_000, 32_000, 60_000, 60_000,
  ]);
});
