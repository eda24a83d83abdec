/** What the simulation found, in the fewest steps that show it. */
import type { JetStreamManager, JsMsg } from "@nats-io/jetstream";
import { expect, test } from "vitest";
import type { CloudEvent } from "../../messaging/bus.ts";
import { subjectOf } from "../../messaging/subjects.ts";
import type { Bucket } from "../../subscribe/bucket.ts";
import { pause } from "../../subscribe/clock.ts";
import { DeadLetters } from "../../subscribe/dead-letters.ts";
import { GapWatch } from "../../subscribe/gaps.ts";
import { interestIn } from "../../subscribe/interest.ts";
import { Lease } from "../../subscribe/lease.ts";
import { settingsOf, type DeadLetter, type Gap, type SubscribeOptions } from "../../subscribe/options.ts";
import type { Progress } from "../../subscribe/progress.ts";
import { Turns } from "../../subscribe/turns.ts";
import { Workers } from "../../subscribe/workers.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { eventOf } from "./desk.ts";

const { signal: never } = new AbortController();

/** One process that is the active one, with its progress in memory; what the stream holds is pushed to `stored`. */
function setup(options: Partial<SubscribeOptions> = {}) {
  const clock = new VirtualClock();
  const [answers, letters, gaps, handled] = [[] as string[], [] as DeadLetter[], [] as Gap[], [] as string[]];
  const stored: CloudEvent[] = [];
  const lease = { isTrusted: true, term: never };
  const positions = { last: 0 };
  const progress: Progress = {
    last: async () => positions.last,
    advance: async (_, from, to) => (positions.last === from ? (positions.last = to) : positions.last),
  };
  const encoded = (event: CloudEvent) => new TextEncoder().encode(JSON.stringify(event));
  const stream = {
    getMessage: async (_: string, { seq }: { readonly seq: number }) => {
      const event = stored[seq - 1];
      return event === undefined ? null : { seq, subject: subjectOf(event), data: encoded(event) };
    },
  };
  const manager = { streams: stream } as unknown as JetStreamManager;
  const settings = settingsOf({
    durable: "warehouse",
    types: "all",
    servers: "",
    handler: async ({ id }) => void handled.push(id),
    onError: () => {},
    onGap: (gap) => void gaps.push(gap),
    onDeadLetter: (letter) => void letters.push(letter),
    ...options,
  } as SubscribeOptions);
  const interest = interestIn("all");
  const deadLetters = new DeadLetters(manager, "warehouse", 1);
  const watch = new GapWatch(manager, clock, interest, settings);
  const turns = new Turns({ settings, clock, interest, progress, gaps: watch, deadLetters, lease, closed: never });
  const workers = new Workers({ settings, clock, interest, turns, deadLetters, lease, ending: never });
  const deliver = async (event: CloudEvent, deliveryCount = 1) => {
    const message = {
      seq: event.seq,
      subject: subjectOf(event),
      data: encoded(event),
      info: { deliveryCount },
      ack: () => answers.push(`ack ${event.seq}`),
      nak: () => answers.push(`nak ${event.seq}`),
      working: () => {},
    };
    workers.take(message as unknown as JsMsg);
    await clock.advance(0);
  };
  return { clock, lease, positions, progress, stream, stored, workers, deliver, answers, letters, gaps, handled };
}

/** A handler's transaction that is committed, and whose first answer is lost. */
function setupLostAnswer(options: Partial<SubscribeOptions>) {
  const stage: ReturnType<typeof setup> = setup({
    ...options,
    handler: async ({ id }, { from, to }) => {
      if (stage.positions.last !== from) throw new Error("refused");
      stage.positions.last = to;
      stage.handled.push(id);
      throw new Error("no answer");
    },
  });
  return stage;
}

test("a transaction whose answer was lost is found recorded at the next delivery, instead of being refused for ever", async () => {
  const { deliver, answers, handled, letters } = setupLostAnswer({ attemptsMax: 10 });
  await deliver(eventOf("ctx_a", 1), 1);
  await deliver(eventOf("ctx_a", 1), 2);
  expect([answers, handled, letters]).toEqual([["nak 1", "ack 1"], ["ctx_a:1"], []]);
});

test.each(["stop", "dead-letter"] as const)(
  "a transaction whose last attempt's answer was lost is not given up: %s",
  async (afterAttempts) => {
    const { deliver, answers, letters } = setupLostAnswer({ attemptsMax: 1, afterAttempts });
    await deliver(eventOf("ctx_a", 1));
    expect([answers, letters]).toEqual([["ack 1"], []]);
  },
);

test("a process that stood still past its lease while it read the progress begins no handler", async () => {
  const { deliver, lease, progress, answers, handled } = setup();
  progress.last = async () => {
    lease.isTrusted = false;
    return 0;
  };
  await deliver(eventOf("ctx_a", 1));
  expect([answers, handled]).toEqual([["nak 1"], []]);
});

test("a checkout whose turn came while the lease was overdue goes on when it is renewed", async () => {
  const { clock, deliver, lease, positions, stored, workers, handled } = setup();
  stored.push(eventOf("ctx_a", 1), eventOf("ctx_a", 2));
  await deliver(eventOf("ctx_a", 2));
  lease.isTrusted = false;
  await clock.advance(500);
  lease.isTrusted = true;
  positions.last = 1;
  workers.heartbeat();
  await clock.advance(0);
  expect(handled).toEqual(["ctx_a:2"]);
});

test("a missing event that is published while the stream is asked is not told as one that was taken", async () => {
  const { deliver, stream, gaps } = setup();
  const { getMessage } = stream;
  let asked = 0;
  stream.getMessage = async (name, query) => (asked++ === 0 ? null : getMessage(name, { ...query, seq: 1 }));
  await deliver(eventOf("ctx_a", 2));
  expect(gaps).toMatchObject([{ missing: { from: 1, to: 1 }, isStored: false }]);
  expect(asked).toBe(1);
});

test("a loss is told at once also when the first question to the stream had no answer", async () => {
  const { clock, deliver, stream, gaps } = setup();
  const { getMessage } = stream;
  stream.getMessage = async () => {
    stream.getMessage = getMessage;
    throw new Error("no answer");
  };
  await deliver(eventOf("ctx_a", 2));
  await clock.advance(1_000);
  expect(gaps).toMatchObject([{ missing: { from: 1, to: 1 }, isStored: false, times: 1 }]);
});

test("what is skipped ends before an event that is stored and on its way", async () => {
  const { deliver, stored, positions, handled } = setup({ onGap: () => "skip" });
  stored.push(eventOf("ctx_a", 2), eventOf("ctx_a", 3));
  await deliver(eventOf("ctx_a", 3));
  expect([positions.last, handled]).toEqual([1, []]);
  await deliver(eventOf("ctx_a", 2));
  expect(handled).toEqual(["ctx_a:2", "ctx_a:3"]);
});

/** A bucket with one key, whose answers take as long as the test says. */
function setupLease() {
  const clock = new VirtualClock();
  const entry = { value: "", revision: 0 };
  const answersMs: number[] = [];
  const bucket: Bucket = {
    get: async () => ({ ...entry }),
    put: async (_, value, revision) => {
      const written = revision === entry.revision ? ++entry.revision : null;
      if (written !== null) entry.value = value;
      await pause(clock, answersMs.shift() ?? 0);
      return written;
    },
  };
  return { clock, entry, answersMs, lease: new Lease(bucket, clock, "lease.x", 1_000, () => {}) };
}

test("a lease that is acquired after its process was told to stop is given back", async () => {
  const { clock, entry, answersMs, lease } = setupLease();
  const stopping = new AbortController();
  answersMs.push(300);
  const acquired = lease.acquire(stopping.signal).catch(() => "rejected");
  await clock.advance(100);
  stopping.abort();
  await lease.release();
  expect(await clock.runUntilIdle(60_000)).toBe(true);
  expect([await acquired, entry.value]).toEqual(["rejected", ""]);
});

test("an answer to an older write of the lease, that comes late, takes no trust from the newer one", async () => {
  const { clock, answersMs, lease } = setupLease();
  answersMs.push(0, 1_200);
  await Promise.all([lease.acquire(never), clock.advance(950)]);
  expect(lease.isTrusted).toBe(false);
  await Promise.all([lease.acquire(never), clock.advance(300)]);
  expect(lease.isTrusted).toBe(true);
  // The answer of the first term's renewal, sent at 333 ms, is there.
  await clock.advance(310);
  expect(lease.isTrusted).toBe(true);
});
