import { expect, test } from "vitest";
import type { StoredAnswer } from "../../persistence/store.ts";
import { Audience } from "../../runtime/audience.ts";
import type { TransitionNotice } from "../../runtime/transition-notice.ts";
import type { Clock } from "../../steps/ports.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { idle, SILENT } from "../support/ports.ts";

const WAIT_MS = 1_000;
const ANSWER: StoredAnswer = { status: 200, body: "{}" };

function setup() {
  const clock = new VirtualClock();
  const cancelled: number[] = [];
  /** As the clock, and it counts the timers that are taken back. */
  const watched: Clock = {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (delayMs, run) => {
      const cancel = clock.after(delayMs, run);
      return () => (cancelled.push(delayMs), cancel());
    },
  };
  const audience = new Audience({ clock: watched, log: SILENT });
  return { clock, cancelled, audience };
}

/** What a promise came to, as far as it has. */
function outcomeOf<Value>(promise: Promise<Value>) {
  const outcome: { readonly values: Value[] } = { values: [] };
  void promise.then((value) => outcome.values.push(value));
  return outcome.values;
}

function noticeOf(executionContextId: string): TransitionNotice {
  const entry = { seq: 2, at: 0, event: { type: "START" }, from: "INITIALIZED", to: "PROCESSING", contextHash: "hash" };
  return { executionContextId, entry, state: "PROCESSING", status: "PROCESSING" };
}

test("everyone who waits for a checkout's answer gets it, and nobody who waits for another's", async () => {
  const { audience, clock } = setup();
  const waiting = [audience.nextAnswer("ctx_1", WAIT_MS), audience.nextAnswer("ctx_1", WAIT_MS)];
  const other = outcomeOf(audience.nextAnswer("ctx_2", WAIT_MS));
  audience.announce(noticeOf("ctx_1"), ANSWER);
  expect(await Promise.all(waiting)).toEqual([ANSWER, ANSWER]);
  await clock.advance(WAIT_MS - 1);
  expect(other).toEqual([]);
  await clock.advance(1);
  expect(other).toEqual([null]);
});

test("a transition that answers nothing leaves those who wait for the answer waiting", async () => {
  const { audience } = setup();
  const waiting = outcomeOf(audience.nextAnswer("ctx_1", WAIT_MS));
  audience.announce(noticeOf("ctx_1"), null);
  await idle();
  expect(waiting).toEqual([]);
  audience.announce(noticeOf("ctx_1"), ANSWER);
  await idle();
  expect(waiting).toEqual([ANSWER]);
});

test("one who waits longer is still told after another gave up", async () => {
  const { audience, clock } = setup();
  const patient = outcomeOf(audience.nextAnswer("ctx_1", 2 * WAIT_MS));
  const hasty = outcomeOf(audience.nextAnswer("ctx_1", WAIT_MS));
  await clock.advance(WAIT_MS);
  expect({ patient, hasty }).toEqual({ patient: [], hasty: [null] });
  audience.announce(noticeOf("ctx_1"), ANSWER);
  await idle();
  expect(patient).toEqual([ANSWER]);
});

test("an answer leaves no timer behind, and who asks again waits for the next one", async () => {
  const { audience, clock, cancelled } = setup();
  const first = audience.nextAnswer("ctx_1", WAIT_MS);
  audience.announce(noticeOf("ctx_1"), ANSWER);
  await first;
  expect(await clock.runUntilIdle(0)).toBe(true);
  const second = outcomeOf(audience.nextAnswer("ctx_1", WAIT_MS));
  await idle();
  expect(second).toEqual([]);
  audience.announce(noticeOf("ctx_1"), ANSWER);
  await idle();
  expect(second).toEqual([ANSWER]);
  // Once for each of the two: whoever was told is not told again.
  expect(cancelled).toHaveLength(2);
});

test("a checkout that this node gives up interrupts those who wait for it, and no others", async () => {
  const { audience } = setup();
  const [one, other] = [outcomeOf(audience.nextAnswer("ctx_1", WAIT_MS)), outcomeOf(audience.nextAnswer("ctx_2", WAIT_MS))];
  audience.interrupt("ctx_1");
  audience.interrupt("ctx_nobody_waits_for");
  await idle();
  expect({ one, other }).toEqual({ one: [null], other: [] });
});

test("a checkout's next transition is waited for until it comes", async () => {
  const { audience, clock, cancelled } = setup();
  const waiting = outcomeOf(audience.nextTransition("ctx_1", WAIT_MS));
  audience.announce(noticeOf("ctx_2"), ANSWER);
  await idle();
  expect(waiting).toHaveLength(0);
  audience.announce(noticeOf("ctx_1"), null);
  await idle();
  expect(waiting).toHaveLength(1);
  expect(await clock.runUntilIdle(0)).toBe(true);
  // Whoever was told does not listen any more.
  audience.announce(noticeOf("ctx_1"), null);
  expect(cancelled).toHaveLength(1);
});

test("a transition that doesn't come is waited for no longer than asked", async () => {
  const { audience, clock, cancelled } = setup();
  const waiting = outcomeOf(audience.nextTransition("ctx_1", WAIT_MS));
  await clock.advance(WAIT_MS - 1);
  expect(waiting).toHaveLength(0);
  await clock.advance(1);
  expect(waiting).toHaveLength(1);
  audience.announce(noticeOf("ctx_1"), null);
  expect(cancelled).toHaveLength(1);
});

test("watchers hear of every checkout until they stop, whatever befalls another watcher", () => {
  const { audience } = setup();
  const heard: string[] = [];
  audience.watch(() => {
    throw new Error("its socket is closed");
  });
  const stop = audience.watch(({ executionContextId }) => heard.push(executionContextId));
  audience.announce(noticeOf("ctx_1"), ANSWER);
  audience.announce(noticeOf("ctx_2"), null);
  stop();
  audience.announce(noticeOf("ctx_3"), null);
  expect(heard).toEqual(["ctx_1", "ctx_2"]);
});
