/** What an actor makes of its inbox, of leaving, and of what is not its business: the fields of a commit that others write. */
import { expect, test } from "vitest";
import { InvariantError, TransientError } from "../../machines/errors.ts";
import type { InboxEvent } from "../../persistence/store.ts";
import { begin } from "../../runtime/engine.ts";
import { idle } from "../support/ports.ts";
import { backingOff, CANCEL, creatingGroups, INPUT, last, setup, started } from "./actor-desk.ts";

const AT_REST = { timers: {}, seq: 1, fence: 4, isReleased: false, isAnswered: false };

function eventOf(eventId: string): InboxEvent {
  return { source: "webhook", eventId, event: { type: "payment_collection_requirement_failed", data: {} } };
}

function resting() {
  const bundle = setup();
  return { ...bundle, actor: bundle.newActor({ ...AT_REST, snapshot: begin(bundle.machine, INPUT) }) };
}

test("a woken actor reads its inbox when something is there, and not otherwise", async () => {
  const { actor, controls, commits } = resting();
  controls.inbox = [CANCEL.event];
  expect(actor.fence).toBe(4);
  actor.resume(1);
  await idle();
  expect(last(commits).commit).toMatchObject({ fence: 4, entry: { event: { type: "CANCEL" } } });
  const unread = resting();
  unread.controls.inbox = [CANCEL.event];
  unread.actor.resume(0);
  await idle();
  expect(unread.commits).toEqual([]);
  expect(unread.stops.map(({ reason }) => reason.kind)).toEqual(["idle"]);
});

test("each event of the inbox is taken once, however often it is read", async () => {
  const { actor, controls, commits } = await started();
  controls.inbox = [eventOf("evt_1"), eventOf("evt_2"), { ...eventOf("evt_1"), source: "api" }];
  expect(await actor.pullInbox()).toBe(3);
  expect(await actor.pullInbox()).toBe(0);
  const taken: unknown[] = [];
  for (let index = 0; index < 3; index++) {
    await idle();
    taken.push(last(commits).commit.consumes?.map(({ source, eventId }) => `${source} ${eventId}`));
    await last(commits).answer();
  }
  expect(taken).toEqual([["webhook evt_1"], ["webhook evt_2"], ["api evt_1"]]);
});

test("an inbox that can't be read is read again after a second, and nobody leaves meanwhile", async () => {
  const { actor, controls, clock, stops, commits } = resting();
  controls.loadInbox = () => Promise.reject(new Error("The store is down."));
  actor.resume(1);
  await idle();
  expect(stops).toEqual([]);
  controls.loadInbox = async () => [CANCEL.event];
  clock.advance(999);
  await idle();
  expect(commits).toEqual([]);
  clock.advance(1);
  await idle();
  expect(last(commits).commit.entry.event).toMatchObject({ type: "CANCEL" });
});

test("an inbox that turns out empty at last lets the actor go, and a halted one does not read again", async () => {
  const { actor, controls, clock, stops } = resting();
  controls.loadInbox = () => Promise.reject(new Error("The store is down."));
  actor.resume(1);
  await idle();
  controls.loadInbox = async () => [];
  clock.advance(1_000);
  await idle();
  expect(stops.map(({ reason }) => reason.kind)).toEqual(["idle"]);
  const halted = resting();
  let reads = 0;
  halted.controls.loadInbox = () => (reads++, Promise.reject(new Error("The store is down.")));
  halted.actor.resume(1);
  await idle();
  halted.actor.halt();
  halted.clock.advance(1_000);
  await idle();
  expect(reads).toBe(1);
});

test("nobody leaves while the inbox is being read, whatever else was in vain", async () => {
  const { actor, controls, stops } = resting();
  let answer: (events: readonly InboxEvent[]) => void = () => {};
  controls.loadInbox = () => new Promise((resolve) => (answer = resolve));
  actor.resume(1);
  actor.tell({ kind: "timer", id: "xstate.after.nothing" });
  await idle();
  expect(stops).toEqual([]);
  answer([]);
  await idle();
  expect(stops.map(({ reason }) => reason.kind)).toEqual(["idle"]);
});

test("nobody leaves while a commit is being written, although the inbox was read in vain", async () => {
  const { actor, commits, steps, stops } = await started();
  actor.tell({ kind: "inbox", event: eventOf("evt_1") });
  await idle();
  await last(steps).fail(new TransientError("DOWN", "Not now.", { retryAfterMs: 50_000 }));
  actor.tell(CANCEL);
  await last(commits).answer();
  expect(last(commits).commit).not.toHaveProperty("passivate");
  await last(commits).answer({ kind: "applied", signals: 1 });
  expect(stops).toEqual([]);
  await last(commits).answer();
  expect(stops.map(({ reason }) => reason.kind)).toEqual(["passivated"]);
});

test("leaving waits for what is being written, starts nothing after it, and reports nothing", async () => {
  const { actor, start, commits, steps, stops, transitions } = setup();
  await start();
  let hasLeft = false;
  const leaving = actor.leave().then(() => (hasLeft = true));
  await idle();
  expect(hasLeft).toBe(false);
  await last(commits).answer();
  await leaving;
  expect(transitions).toEqual(["PROCESSING.opening.pinningFlags.running"]);
  expect([steps.length, stops.length]).toEqual([0, 0]);
  expect(actor.tell(CANCEL)).toBe(false);
});

test("leaving drops what was not begun: the next owner finds it", async () => {
  const { actor, start, commits } = setup();
  await start();
  actor.tell(CANCEL);
  const leaving = actor.leave();
  await last(commits).answer();
  await leaving;
  expect(commits).toHaveLength(1);
});

test("an actor with nothing in flight leaves at once, without a word", async () => {
  const { actor, commits, stops, steps } = await creatingGroups();
  await actor.leave();
  expect(last(steps).signal.aborted).toBe(true);
  expect([commits.length, stops.length]).toEqual([2, 0]);
});

test("a step that meets corrupt data parks the checkout; nothing is written", async () => {
  const { commits, steps, stops } = await started();
  await last(steps).fail(new InvariantError("The row is corrupt."));
  expect(commits).toHaveLength(1);
  expect(last(stops).reason).toMatchObject({ kind: "parked", error: { message: "The row is corrupt." } });
});

test("a commit consumes what came from the inbox only, and chance goes into failures only", async () => {
  const { commits, steps } = await started();
  expect(last(commits).commit).not.toHaveProperty("consumes");
  expect(last(commits).commit.entry.event).not.toHaveProperty("jitter");
  expect(last(commits).commit.commitId).toMatch(/^cmt_/);
  await last(steps).fail(new TransientError("DOWN", "Not now."));
  expect(last(commits).commit.entry.event).toMatchObject({ jitter: 0.5 });
  expect(last(commits).commit).not.toHaveProperty("consumes");
});

test("the answer is asked for with the entry's own number, and asked for once", async () => {
  const { controls, commits, start, steps } = setup();
  const seqs: number[] = [];
  const answer = { status: 200, body: "{}" } as never;
  controls.answerFor = ({ seq }) => (seqs.push(seq), seq === 2 ? answer : null);
  await start();
  expect(last(commits).commit).toMatchObject({ entry: { seq: 2 }, answer });
  await last(commits).answer();
  await last(steps).end({ flags: {} });
  expect(last(commits).commit).not.toHaveProperty("answer");
  expect(seqs).toEqual([2]);
});

test("what is told to a checkout that stopped is refused, and nothing is counted twice", async () => {
  const { actor, counters, stops } = await backingOff(60_000);
  expect(stops).toHaveLength(1);
  expect(actor.tell(CANCEL)).toBe(false);
  expect(counters.get("commits_applied")).toBe(2);
  expect(counters.get("commits_refused")).toBe(0);
});

test("nobody is called idle while its first commit is being written, whoever has it look into its inbox", async () => {
  const { actor, start, stops } = setup();
  await start();
  expect(await actor.pullInbox()).toBe(0);
  expect(stops).toEqual([]);
});

test("who leaves reports nothing, although there is nothing left to do", async () => {
  const { actor, stops } = resting();
  actor.tell({ kind: "timer", id: "xstate.after.nothing" });
  await actor.leave();
  expect(stops).toEqual([]);
});
