/** Once, in the order of the checkout: in one process, with what brokers do to it. */
import { expect, test } from "vitest";
import { describeOn } from "../support/server.ts";
import { Desk, eventOf, idsOf, signal } from "./desk.ts";

const PATIENT = { timeout: 20_000, interval: 20 };

describeOn("nats", "a subscriber on a real NATS", () => {
  test("8 workers handle 50 checkouts: each event once, in its order, never two of a checkout at once", async () => {
    await using desk = await Desk.start();
    const checkouts = Array.from({ length: 50 }, (_, index) => `ctx_${index}`);
    for (let seq = 1; seq <= 10; seq++) {
      await Promise.all(checkouts.map((checkout) => desk.publish(eventOf(checkout, seq))));
    }
    const [running, violations] = [new Set<string>(), [] as string[]];
    let mostAtOnce = 0;
    await desk.subscribe({
      // Fewer than a checkout's share: pulls and workers overlap in every way.
      inHandMax: 40,
      handler: async ({ id, subject }) => {
        if (running.has(subject)) violations.push(id);
        running.add(subject);
        mostAtOnce = Math.max(mostAtOnce, running.size);
        await new Promise((resolve) => setTimeout(resolve, Number(id.at(-1)) % 3));
        desk.handled.push(id);
        running.delete(subject);
      },
    });
    await expect.poll(() => desk.handled.length, PATIENT).toBe(500);
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    for (const checkout of checkouts) expect(desk.handledOf(checkout)).toEqual(idsOf(checkout, 10));
    expect(violations).toEqual([]);
    expect(mostAtOnce).toBe(8);
    expect(desk.gaps).toEqual([]);
  });

  test("an event that the stream holds twice is handled once, also by the next process", async () => {
    await using desk = await Desk.start();
    const events = [1, 2, 3].map((seq) => eventOf("ctx_a", seq));
    const [first, second, third] = events;
    if (first === undefined || second === undefined || third === undefined) throw new Error("no events");
    await desk.publish(first, first, second, first, third, second);
    const subscription = await desk.subscribe();
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    await subscription.stop();
    await desk.publish(third, eventOf("ctx_a", 4), second);
    await desk.subscribe();
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    expect(desk.handled).toEqual(idsOf("ctx_a", 4));
  });

  test("a handler that outlasts the broker's wait is not run beside itself", async () => {
    await using desk = await Desk.start();
    await desk.publish(eventOf("ctx_a", 1), eventOf("ctx_a", 2));
    let begun = 0;
    await desk.subscribe({
      handler: async (event, { attempt }) => {
        begun++;
        if (event.seq === 1) await new Promise((resolve) => setTimeout(resolve, 2_500));
        desk.handled.push(`${event.id} ${attempt}`);
      },
    });
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    expect(desk.handled).toEqual(["ctx_a:1 1", "ctx_a:2 1"]);
    expect(begun).toBe(2);
  });

  test("one type is counted by typeseq, and other types never reach the process", async () => {
    await using desk = await Desk.start();
    await desk.publish(eventOf("ctx_a", 1, "other", 1), eventOf("ctx_a", 2, "note", 1), eventOf("ctx_a", 3, "other", 2));
    await desk.publish(eventOf("ctx_a", 4, "note", 2), eventOf("ctx_b", 7, "note", 1));
    await desk.subscribe({ types: ["note"] });
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    expect(desk.handledOf("ctx_a")).toEqual(["ctx_a:2", "ctx_a:4"]);
    expect(desk.handledOf("ctx_b")).toEqual(["ctx_b:7"]);
    expect(await desk.value("progress.warehouse.ctx_a")).toBe("2");
  });

  test("several types come in the order between them, and the others are stepped over", async () => {
    await using desk = await Desk.start();
    await desk.publish(eventOf("ctx_a", 1, "started", 1), eventOf("ctx_a", 2, "confirmed", 1), eventOf("ctx_a", 3, "note", 1));
    await desk.publish(eventOf("ctx_a", 4, "reverted", 1), eventOf("ctx_a", 5, "confirmed", 2));
    await desk.subscribe({ types: ["confirmed", "reverted"] });
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    expect(desk.handled).toEqual(["ctx_a:2", "ctx_a:4", "ctx_a:5"]);
    expect(await desk.value("progress.warehouse.ctx_a")).toBe("5");
  });

  test("stop() begins nothing more and awaits what is under way; what was not begun is the next process's", async () => {
    await using desk = await Desk.start();
    await desk.publish(...["ctx_a", "ctx_b", "ctx_c"].flatMap((checkout) => [eventOf(checkout, 1), eventOf(checkout, 2)]));
    const [begun, end] = [signal(), signal()];
    const subscription = await desk.subscribe({
      concurrency: 1,
      drainMs: 10_000,
      handler: async ({ id }) => {
        begun.give();
        await end.given;
        desk.handled.push(id);
      },
    });
    await begun.given;
    const stopped = subscription.stop();
    end.give();
    await stopped;
    expect(desk.handled).toEqual(["ctx_a:1"]);
    expect(await subscription.closed).toBeNull();
    await desk.subscribe();
    await expect.poll(() => desk.unacknowledged(), PATIENT).toBe(0);
    for (const checkout of ["ctx_a", "ctx_b", "ctx_c"]) expect(desk.handledOf(checkout)).toEqual(idsOf(checkout, 2));
  });

  test("stop() aborts the signal of a handler that takes too long, and the event is not lost", async () => {
    await using desk = await Desk.start();
    await desk.publish(eventOf("ctx_a", 1));
    const begun = signal();
    const subscription = await desk.subscribe({
      drainMs: 50,
      handler: (_, { signal: aborted }) => {
        begun.give();
        return new Promise((_resolve, reject) => aborted.addEventListener("abort", () => reject(aborted.reason as Error)));
      },
    });
    await begun.given;
    await subscription.stop();
    await desk.subscribe();
    await expect.poll(() => desk.handled, PATIENT).toEqual(["ctx_a:1"]);
  });

  test.each([
    ["no type", { types: [] }, "OPTIONS_INVALID"],
    ["a type with its prefix", { types: "checkout.v1.note" }, "OPTIONS_INVALID"],
    ["a durable name with a dot", { durable: "ware.house" }, "OPTIONS_INVALID"],
    ["no worker", { concurrency: 0 }, "OPTIONS_INVALID"],
  ])("is refused: %s", async (_, options, code) => {
    await using desk = await Desk.start();
    await expect(desk.subscribe(options)).rejects.toMatchObject({ code });
  });

  test("is refused: the durable name of a subscriber to something else, whose positions count something else", async () => {
    await using desk = await Desk.start();
    await desk.subscribe({ types: "note" });
    await expect(desk.subscribe({ types: "all" })).rejects.toMatchObject({ code: "DURABLE_TAKEN" });
  });

  test("is refused: a broker without the stream", async () => {
    await using desk = await Desk.start();
    await desk.manager.streams.delete("CHECKOUT");
    await expect(desk.subscribe()).rejects.toMatchObject({ code: "STREAM_MISSING" });
  });
});
