import { expect, test } from "vitest";
import type { AcquireResult, LockManager } from "../../locking/lock-manager.ts";
import { TransientError } from "../../machines/errors.ts";
import { LockKeeper } from "../../runtime/lock-keeper.ts";
import { Counters } from "../../runtime/telemetry.ts";
import { idle, ManualClock, SILENT } from "../support/ports.ts";

const RENEW_MS = 10_000;
const ACQUIRED: AcquireResult = { kind: "acquired", tokens: { ctx_1: 1, pg_1: 4 } };

function setup() {
  const clock = new ManualClock();
  const counters = new Counters();
  const calls: string[] = [];
  const controls = { acquire: async (): Promise<AcquireResult> => ACQUIRED, renew: async () => true, release: async () => 2 };
  const record = (what: string, keys: readonly string[], owner: string) => calls.push(`${what} ${owner}: ${keys.join(" ")}`);
  const locks: LockManager = {
    acquire: (keys, owner) => (record("acquire", keys, owner), controls.acquire()),
    renew: (keys, owner) => (record("renew", keys, owner), controls.renew()),
    release: (keys, owner) => (record("release", keys, owner), controls.release()),
    ping: async () => undefined,
    stop: async () => undefined,
  };
  const keeper = new LockKeeper({ locks, clock, log: SILENT, counters });
  const renewal = async () => {
    clock.advance(RENEW_MS);
    await idle();
  };
  return { clock, counters, calls, controls, keeper, renewal };
}

test("holds the context's and its groups' locks, and gives back their tokens", async () => {
  const { keeper, calls } = setup();
  expect(await keeper.hold("ctx_1", ["pg_1"])).toEqual({ ctx_1: 1, pg_1: 4 });
  expect(calls).toEqual(["acquire ctx_1: ctx_1 pg_1"]);
});

test("busy is TransientError LOCKED with the key and how long to wait, within reason", async () => {
  const { keeper, controls } = setup();
  controls.acquire = async () => ({ kind: "busy", key: "pg_1", remainingMs: 700 });
  await expect(keeper.hold("ctx_1", ["pg_1"])).rejects.toMatchObject({
    class: "TRANSIENT",
    code: "LOCKED",
    retryAfterMs: 700,
    details: { key: "pg_1" },
  });
  controls.acquire = async () => ({ kind: "busy", key: "pg_1", remainingMs: 1e12 });
  await expect(keeper.hold("ctx_1", ["pg_1"])).rejects.toMatchObject({ retryAfterMs: 30_000 });
});

test("a lock service that is down doesn't stop the checkout: it goes on under its fence, and that is counted", async () => {
  const { keeper, controls, counters, renewal, calls } = setup();
  controls.acquire = () => Promise.reject(new TransientError("LOCKS_UNAVAILABLE", "Down."));
  expect(await keeper.hold("ctx_1", ["pg_1"])).toEqual({});
  expect(counters.get("locks_unavailable")).toBe(1);
  keeper.start();
  await renewal();
  // Nothing is held, so nothing is renewed or released.
  await keeper.release("ctx_1");
  expect(calls).toEqual(["acquire ctx_1: ctx_1 pg_1"]);
});

test("renews what it holds, again and again, until it is released", async () => {
  const { keeper, calls, renewal } = setup();
  keeper.start();
  await keeper.hold("ctx_1", ["pg_1"]);
  await keeper.hold("ctx_2", []);
  await renewal();
  await keeper.release("ctx_2");
  await renewal();
  keeper.stop();
  await renewal();
  expect(calls.slice(2)).toEqual([
    "renew ctx_1: ctx_1 pg_1",
    "renew ctx_2: ctx_2",
    "release ctx_2: ctx_2",
    "renew ctx_1: ctx_1 pg_1",
  ]);
});

test("is not renewed any more when a renewal was under way at the stop", async () => {
  const { keeper, calls, controls, renewal } = setup();
  keeper.start();
  await renewal();
  await keeper.hold("ctx_1", ["pg_1"]);
  let renewed: (isRenewed: boolean) => void = () => {};
  controls.renew = () => new Promise((resolve) => (renewed = resolve));
  await renewal();
  keeper.stop();
  renewed(true);
  for (let times = 1; times <= 3; times++) await renewal();
  expect(calls).toEqual(["acquire ctx_1: ctx_1 pg_1", "renew ctx_1: ctx_1 pg_1"]);
});

test.each([
  { how: "lapsed", renew: async () => false, lost: 1 },
  { how: "could not be renewed", renew: () => Promise.reject(new Error("the server was restarted")), lost: 0 },
])("a lock that $how is acquired again, and counted as lost where that is known", async ({ renew, lost }) => {
  const { keeper, calls, controls, counters, renewal } = setup();
  keeper.start();
  await keeper.hold("ctx_1", ["pg_1"]);
  controls.renew = renew;
  await renewal();
  expect(calls).toEqual(["acquire ctx_1: ctx_1 pg_1", "renew ctx_1: ctx_1 pg_1", "acquire ctx_1: ctx_1 pg_1"]);
  expect(counters.get("locks_lost")).toBe(lost);
  keeper.stop();
});

test.each([
  { released: 2, lost: 0 },
  { released: 1, lost: 1 },
])("of two locks $released are given back: $lost checkouts had lost one", async ({ released, lost }) => {
  const { keeper, controls, counters } = setup();
  await keeper.hold("ctx_1", ["pg_1"]);
  controls.release = async () => released;
  await keeper.release("ctx_1");
  expect(counters.get("locks_lost")).toBe(lost);
});

test("a lock that was given back while it was renewed is not acquired again", async () => {
  const { keeper, calls, controls, renewal } = setup();
  keeper.start();
  await renewal();
  await keeper.hold("ctx_1", ["pg_1"]);
  let renewed: (isRenewed: boolean) => void = () => {};
  controls.renew = () => new Promise((resolve) => (renewed = resolve));
  await renewal();
  await keeper.release("ctx_1");
  renewed(false);
  await idle();
  expect(calls.map((call) => call.split(" ")[0])).toEqual(["acquire", "renew", "release"]);
  keeper.stop();
});

test("what is forgotten is neither renewed nor released: another node holds it", async () => {
  const { keeper, calls, renewal } = setup();
  keeper.start();
  await keeper.hold("ctx_1", ["pg_1"]);
  keeper.forgetAll();
  await renewal();
  await keeper.release("ctx_1");
  expect(calls).toEqual(["acquire ctx_1: ctx_1 pg_1"]);
  keeper.stop();
});

test("a lock that another checkout took meanwhile leaves the decision to the fence, and the other locks are renewed", async () => {
  const { keeper, calls, controls, renewal } = setup();
  keeper.start();
  await keeper.hold("ctx_1", ["pg_1"]);
  await keeper.hold("ctx_2", []);
  controls.renew = async () => false;
  controls.acquire = async () => ({ kind: "busy", key: "pg_1", remainingMs: 100 });
  await renewal();
  expect(calls.slice(2).map((call) => call.split(":")[0])).toEqual([
    "renew ctx_1",
    "acquire ctx_1",
    "renew ctx_2",
    "acquire ctx_2",
  ]);
  keeper.stop();
});

test("a release that fails is left to the lock's time, and nothing is thrown", async () => {
  const { keeper, controls } = setup();
  await keeper.hold("ctx_1", []);
  controls.release = () => Promise.reject(new Error("the server was restarted"));
  await expect(keeper.release("ctx_1")).resolves.toBeUndefined();
  await expect(keeper.release("ctx_never_held")).resolves.toBeUndefined();
});
