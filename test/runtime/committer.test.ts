import { expect, test } from "vitest";
import { InvariantError, LeaseLostError } from "../../machines/errors.ts";
import type { Commit, CommitResult } from "../../persistence/store.ts";
import { Committer } from "../../runtime/committer.ts";
import { Counters } from "../../runtime/telemetry.ts";
import { commitAfter } from "../conformance/store-fixtures.ts";
import { idle, ManualClock } from "../support/ports.ts";

const RETRY_DELAY_MS = 200;
const APPLIED: CommitResult = { kind: "applied", signals: 0 };
const REFUSED: CommitResult = { kind: "refused", seq: 9, fence: 2, owner: "node_2" };
const lostConnection = () => Object.assign(new Error("connection lost"), { code: "CONNECTION_CLOSED" });

interface Batch {
  readonly ids: readonly string[];
  answer(results?: readonly CommitResult[]): Promise<void>;
  fail(error: Error): Promise<void>;
}

/** A store that answers a batch when the test says so. */
function setup() {
  const clock = new ManualClock();
  const batches: Batch[] = [];
  const asked: string[] = [];
  const controls = { mayWrite: true, isLastCommit: async (_commitId: string) => false };
  const commit = (batch: readonly Commit[]) =>
    new Promise<readonly CommitResult[]>((resolve, reject) => {
      batches.push({
        ids: batch.map(({ id }) => id),
        answer: (results = batch.map(() => APPLIED)) => (resolve(results), idle()),
        fail: (error) => (reject(error), idle()),
      });
    });
  const isLastCommit = (id: string, commitId: string) => {
    asked.push(id);
    return controls.isLastCommit(commitId);
  };
  const warnings: string[] = [];
  const log = { warn: (_fields: object, message: string) => void warnings.push(message) };
  const counters = new Counters();
  const committer = new Committer({ store: { commit, isLastCommit }, clock, log, counters, mayWrite: () => controls.mayWrite });
  const send = (id: string) => committer.commit(commitAfter(id, 1));
  const batch = (index: number): Batch => {
    const found = batches[index];
    if (found === undefined) throw new Error(`There were only ${batches.length} batches.`);
    return found;
  };
  const repeat = () => (clock.advance(RETRY_DELAY_MS), idle());
  return { repeat, batches, batch, asked, controls, counters, send, warnings };
}

test("a commit that finds nothing in flight is written at once, alone", async () => {
  const { send, batch } = setup();
  const one = send("a");
  expect(batch(0).ids).toEqual(["a"]);
  await batch(0).answer();
  expect(await one).toEqual(APPLIED);
});

test("what arrives while a batch is in flight is the next batch, and nothing more is in flight meanwhile", async () => {
  const { send, batch, batches } = setup();
  const sent = [send("a"), send("b"), send("c")];
  await idle();
  expect(batches.map(({ ids }) => ids)).toEqual([["a"]]);
  await batch(0).answer();
  expect(batch(1).ids).toEqual(["b", "c"]);
  await batch(1).answer([APPLIED, REFUSED]);
  expect(await Promise.all(sent)).toEqual([APPLIED, APPLIED, REFUSED]);
});

test("a batch has a hundred commits at most", async () => {
  const { send, batch } = setup();
  const sent = Array.from({ length: 151 }, (_, index) => send(`ctx_${index}`));
  await batch(0).answer();
  expect(batch(1).ids).toHaveLength(100);
  await batch(1).answer();
  expect(batch(2).ids).toHaveLength(50);
  await batch(2).answer();
  expect(await Promise.all(sent)).toHaveLength(151);
});

test("a lost answer is repeated, and a refusal by one's own first try is recognised as applied", async () => {
  const { send, batch, repeat, controls, asked, counters } = setup();
  controls.isLastCommit = async () => true;
  const one = send("a");
  await batch(0).fail(lostConnection());
  await repeat();
  await batch(1).answer([REFUSED]);
  expect(await one).toMatchObject({ kind: "applied" });
  expect(asked).toEqual(["a"]);
  expect([counters.get("commits_recognised"), counters.get("commits_refused")]).toEqual([1, 0]);
});

test("a refusal after a lost answer by somebody else's commit stays a refusal", async () => {
  const { send, batch, repeat, counters } = setup();
  const one = send("a");
  await batch(0).fail(lostConnection());
  await repeat();
  await batch(1).answer([REFUSED]);
  expect(await one).toEqual(REFUSED);
  expect([counters.get("commits_recognised"), counters.get("commits_refused")]).toEqual([0, 1]);
});

test("a lost answer whose repetition is applied counts as it says: nothing more is asked", async () => {
  const { send, batch, repeat, asked, controls } = setup();
  controls.isLastCommit = async () => true;
  const one = send("a");
  await batch(0).fail(lostConnection());
  await repeat();
  await batch(1).answer();
  expect(await one).toEqual(APPLIED);
  expect(asked).toEqual([]);
});

test("a first refusal is believed without asking", async () => {
  const { send, batch, asked } = setup();
  const one = send("a");
  await batch(0).answer([REFUSED]);
  expect(await one).toEqual(REFUSED);
  expect(asked).toEqual([]);
});

test("whether it was applied stays open while the store can't be asked: it is asked again", async () => {
  const { send, batch, repeat, controls } = setup();
  let asks = 0;
  controls.isLastCommit = async () => {
    if (++asks === 1) throw lostConnection();
    return true;
  };
  const one = send("a");
  await batch(0).fail(lostConnection());
  await repeat();
  await batch(1).answer([REFUSED]);
  expect(asks).toBe(1);
  await repeat();
  expect(await one).toMatchObject({ kind: "applied" });
  expect(asks).toBe(2);
});

test("a store that refuses for good to say whether it was applied is not asked again", async () => {
  const { send, batch, repeat, controls, asked } = setup();
  const poisoned = Object.assign(new Error("invalid byte sequence"), { code: "22P05" });
  controls.isLastCommit = () => Promise.reject(poisoned);
  const one = send("a").catch((error: unknown) => error);
  await batch(0).fail(lostConnection());
  await repeat();
  await batch(1).answer([REFUSED]);
  await repeat();
  expect(await one).toBe(poisoned);
  expect(asked).toEqual(["a"]);
});

test.each(["25006", "XX000", "42501"])(
  "a database that fails with %s parks nobody: the batch is repeated, and operators are told",
  async (code) => {
    const { repeat, send, batch, warnings } = setup();
    const sent = [send("a")];
    await batch(0).fail(Object.assign(new Error("not now"), { code }));
    await repeat();
    await batch(1).answer();
    expect(await Promise.all(sent)).toEqual([APPLIED]);
    expect(warnings).toHaveLength(1);
  },
);

test("one poisoned commit is found by halving; the others of its batch are applied", async () => {
  const { send, batches, batch } = setup();
  const poisoned = Object.assign(new Error("invalid byte sequence"), { code: "22P05" });
  void send("first");
  const sent = ["a", "b", "poison", "d", "e"].map((id) => send(id).catch((error: unknown) => error));
  await batch(0).answer();
  for (let index = 1; index < batches.length; index++) {
    const one = batch(index);
    await (one.ids.includes("poison") ? one.fail(poisoned) : one.answer());
  }
  const results = await Promise.all(sent);
  expect(results.map((result) => (result instanceof InvariantError ? "rejected" : result))).toEqual([
    APPLIED,
    APPLIED,
    "rejected",
    APPLIED,
    APPLIED,
  ]);
  expect(results[2]).toMatchObject({ cause: poisoned });
});

test("a node without its lease writes nothing", async () => {
  const { send, batches, controls } = setup();
  controls.mayWrite = false;
  await expect(send("a")).rejects.toBeInstanceOf(LeaseLostError);
  expect(batches).toEqual([]);
});

test("a lease that is lost while a batch is repeated rejects it, and what came meanwhile", async () => {
  const { send, batch, batches, repeat, controls } = setup();
  const sent = [send("a"), send("b")].map((one) => one.catch((error: unknown) => error));
  await batch(0).fail(lostConnection());
  controls.mayWrite = false;
  await repeat();
  for (const result of await Promise.all(sent)) expect(result).toBeInstanceOf(LeaseLostError);
  expect(batches).toHaveLength(1);
});

test("a checkout that the store doesn't know is said to be unknown", async () => {
  const { send, batch } = setup();
  const one = send("a");
  await batch(0).answer([]);
  expect(await one).toEqual({ kind: "unknown_checkout" });
});
