/** What a node does from its start to its hand-over. What becomes of requests and commands has files of its own. */
import { expect, test } from "vitest";
import type { PaymentNewsEvent } from "../../machines/events.ts";
import { TransientError } from "../../machines/errors.ts";
import type { Receipt } from "../../persistence/store.ts";
import { success } from "../support/checkout-context.ts";
import { last } from "./actor-desk.ts";
import { outcomeOf } from "./commands-desk.ts";
import { COMMAND, REQUEST, setup, WAIT_MS, type NodeOptions } from "./orchestrator-desk.ts";

const LEASE_MS = 10_000;
const RENEW_MS = 10_000;
const EVENT: PaymentNewsEvent = success("psr_1");

/** One node, with a checkout whose first step is in flight. */
async function begun(options: NodeOptions = {}) {
  const bundle = setup();
  const one = await bundle.started(options);
  const outcome = outcomeOf(one.orchestrator.initiate(COMMAND));
  await bundle.settle();
  const id = bundle.store.rows[0]?.id ?? "";
  return { ...bundle, one, outcome, id };
}

test("accepts from its start to its stop, while it holds its lease", async () => {
  const { node, clock } = setup();
  const one = node();
  expect(one.orchestrator.isAccepting()).toBe(false);
  await one.orchestrator.start();
  expect(one.orchestrator.isAccepting()).toBe(true);
  one.stubs.heartbeat = () => Promise.reject(new Error("the database is away"));
  await clock.advance(LEASE_MS);
  expect(one.orchestrator.isAccepting()).toBe(false);
  delete one.stubs.heartbeat;
  await clock.advance(LEASE_MS);
  expect(one.orchestrator.isAccepting()).toBe(true);
  await one.orchestrator.stop();
  expect(one.orchestrator.isAccepting()).toBe(false);
});

test("stopping is safe twice and before the start, and leaves no timer behind", async () => {
  const { node, clock } = setup();
  const one = node();
  await one.orchestrator.stop();
  const two = node();
  await two.orchestrator.start();
  await clock.advance(1_000);
  await two.orchestrator.stop();
  await two.orchestrator.stop();
  expect(await clock.runUntilIdle(0)).toBe(true);
});

test("accepts nothing more while it waits for what is being written", async () => {
  const { one, store, settle } = await begun();
  let write: () => void = () => {};
  one.stubs.commit = (batch) => new Promise((resolve) => (write = () => resolve(store.commit(batch))));
  await last(one.steps).end({ flags: {} });
  const stopped = one.orchestrator.stop();
  await settle();
  expect(one.orchestrator.isAccepting()).toBe(false);
  write();
  await stopped;
});

test("a node that stops hands its checkouts over: the next one goes on at once", async () => {
  const { one, started, clock, store, id } = await begun();
  await one.orchestrator.stop();
  const two = await started();
  await clock.advance(500);
  expect(two.steps.map(({ src }) => src)).toEqual(["resolveFeatureFlags"]);
  expect(store.row(id)?.fence).toBe(2);
});

test("what a dead node held is taken over once its lease has ended, not before", async () => {
  const { one, started, clock, store, id } = await begun();
  one.stubs.heartbeat = () => new Promise(() => {});
  const two = await started();
  await clock.advance(LEASE_MS - 1_000);
  expect(two.steps).toEqual([]);
  await clock.advance(2_000);
  expect(two.steps.map(({ src }) => src)).toEqual(["resolveFeatureFlags"]);
  expect(store.row(id)?.fence).toBe(2);
});

test("the only process of its database waits for no lease of an earlier one", async () => {
  for (const isExclusive of [true, false]) {
    const { one, started, clock } = await begun();
    one.stubs.heartbeat = () => new Promise(() => {});
    const two = await started({ isExclusive });
    await clock.advance(1_000);
    expect(two.steps).toHaveLength(isExclusive ? 1 : 0);
  }
});

test("a node that lost its lease drops its checkouts, their steps and their locks", async () => {
  const { one, clock, locks, id } = await begun();
  await one.orchestrator.locks.hold(id, ["pg_1"]);
  // Another node is faster than this one's new identity.
  one.stubs.claimRunnable = async () => [];
  one.stubs.heartbeat = async () => ((one.stubs.heartbeat = async () => true), false);
  await clock.advance(LEASE_MS / 4);
  expect(last(one.steps).signal.aborted).toBe(true);
  expect(one.steps).toHaveLength(1);
  // Not renewed any more, they lapse by themselves.
  await clock.advance(3 * RENEW_MS);
  expect(await locks.acquire(["pg_1"], "ctx_other", 1_000)).toMatchObject({ kind: "acquired" });
});

test("the locks of what it runs are renewed for as long as it runs", async () => {
  const { one, clock, locks, id } = await begun();
  await one.orchestrator.locks.hold(id, ["pg_1"]);
  await clock.advance(6 * RENEW_MS);
  expect(await locks.acquire(["pg_1"], "ctx_other", 1_000)).toMatchObject({ kind: "busy" });
  await one.orchestrator.stop();
  expect(await locks.acquire(["pg_1"], "ctx_other", 1_000)).toMatchObject({ kind: "acquired" });
});

test("claims no more than it has room for", async () => {
  const { one, clock, store } = await begun({ residentMax: 3 });
  const limits: number[] = [];
  one.stubs.claimRunnable = (nodeId, limit) => (limits.push(limit), store.claimRunnable(nodeId, limit));
  await clock.advance(500);
  expect(limits).toEqual([2]);
});

test("hears at once what another node took for a checkout that it runs", async () => {
  const { started, clock, store, id } = await begun();
  const two = await started();
  const cancelled = two.orchestrator.cancel(id, 1_000);
  await clock.advance(300);
  expect(await cancelled).toMatchObject({ state: "ROLLEDBACK" });
  expect(store.row(id)).toMatchObject({ state: "ROLLEDBACK", fence: 1 });
});

test("finds by itself what it was not called for", async () => {
  const { clock, store, id } = await begun();
  await store.receiveCommand("api", `${id}:cancel`, id, { type: "CANCEL" });
  await clock.advance(2_400);
  expect(store.row(id)?.state).toBe("PROCESSING");
  await clock.advance(1_000);
  expect(store.row(id)).toMatchObject({ state: "ROLLEDBACK", fence: 1 });
});

test("a checkout that it runs is not taken up again, however often it looks", async () => {
  const { one, clock, store, id } = await begun();
  await clock.advance(20_000);
  expect(one.steps).toHaveLength(1);
  expect(store.row(id)?.fence).toBe(1);
});

test("a checkout that it owns and lost sight of is taken up again", async () => {
  const { one, clock, store, id } = await begun();
  await last(one.steps).fail(new TransientError("UNAVAILABLE", "Not now.", { retryAfterMs: 20_000 }));
  one.stubs.load = () => Promise.reject(new Error("the database is away"));
  await clock.advance(21_000);
  expect(store.row(id)?.owner).not.toBeNull();
  delete one.stubs.load;
  await clock.advance(7_000);
  expect(one.steps).toHaveLength(2);
});

test("checkpoints as often as it is told", async () => {
  for (const [checkpointEvery, seq] of [
    [3, 3],
    [undefined, 1],
  ] as const) {
    const { one, store, id } = await begun(checkpointEvery === undefined ? {} : { checkpointEvery });
    await last(one.steps).end({ flags: {} });
    expect((await store.load(id))?.checkpoint.seq).toBe(seq);
  }
});

test("a payment event is durable first, then its checkout is told", async () => {
  const { one, store, settle, id } = await begun();
  const kept: unknown[] = [];
  const receipt: Receipt = { isNew: true, isContradiction: false, contextId: id };
  one.stubs.receivePayment = async (...row) => (kept.push(row), receipt);
  const looked: string[] = [];
  one.stubs.unconsumed = (asked) => (looked.push(asked), store.unconsumed(asked));
  expect(await one.orchestrator.receivePayment("simulator", EVENT)).toEqual(receipt);
  await settle();
  expect(kept).toEqual([["simulator", "evt_psr_1", "pcr_1", EVENT]]);
  expect(looked).toEqual([id]);
});

test.each([
  ["was seen before", { isNew: false, isContradiction: false, contextId: "known" }],
  ["nobody's checkout knows yet", { isNew: true, isContradiction: false, contextId: null }],
] as const)("a payment event that %s wakes nobody", async (_, receipt) => {
  const { one, settle, id } = await begun();
  one.stubs.receivePayment = async () => ({ ...receipt, contextId: receipt.contextId === null ? null : id });
  const looked: unknown[] = [];
  one.stubs.unconsumed = async (asked) => (looked.push(asked), []);
  one.stubs.claim = async (asked) => (looked.push(asked), null);
  await one.orchestrator.receivePayment("simulator", EVENT);
  await settle();
  expect(looked).toEqual([]);
});

test("a checkout that can't be told of its event is recovery's: whoever brought it has done its part", async () => {
  const { started, settle } = setup();
  const one = await started();
  one.stubs.receivePayment = async () => ({ isNew: true, isContradiction: false, contextId: "ctx_1" });
  one.stubs.claim = () => Promise.reject(new Error("the database is away"));
  await expect(one.orchestrator.receivePayment("simulator", EVENT)).resolves.toMatchObject({ isNew: true });
  await settle();
  expect(one.warnings).toEqual(["A checkout could not be told of its event; recovery tells it"]);
});

test("tells whoever watches of every transition, until they stop", async () => {
  const { started, settle } = setup();
  const one = await started();
  const heard: number[] = [];
  const stop = one.orchestrator.watch(({ entry }) => heard.push(entry.seq));
  void one.orchestrator.initiate(COMMAND);
  await settle();
  await last(one.steps).end({ flags: {} });
  stop();
  await last(one.steps).end({ paymentGroups: [] });
  expect(heard).toEqual([2, 3]);
  expect(one.controls.events).toBe(3);
});

test("reads from the store what is asked of a checkout", async () => {
  const { one, store, settle, id } = await begun();
  const other = { ...COMMAND, idempotencyKey: "key_2", request: { ...REQUEST, cart: { cartId: "cart_2", version: 1 } } };
  void one.orchestrator.initiate(other);
  await settle();
  expect(await one.orchestrator.view(id)).toMatchObject({ caller: "shop", view: { seq: 2 } });
  expect(await one.orchestrator.view("ctx_unknown")).toBeNull();
  expect((await one.orchestrator.history(id, 1, 1)).map(({ seq }) => seq)).toEqual([2]);
  expect(await one.orchestrator.list(1)).toHaveLength(1);
  expect(await one.orchestrator.list(10)).toHaveLength(2);
  const moved = { seq: 2, at: 1, debit: "SUSPENSE", credit: "PROVIDER", amount: 1, currency: "INR" } as const;
  one.stubs.ledger = async (asked) => (asked === id ? [moved as never] : store.ledger(asked));
  expect(await one.orchestrator.ledger(id)).toEqual([moved]);
});

test("a cancel, an attempt and a resolution reach the checkout that they name", async () => {
  const { one, clock, settle, id } = await begun();
  const common = { executionContextId: id, idempotencyKey: "key", waitMs: WAIT_MS };
  const attempt = outcomeOf(one.orchestrator.attemptPayment({ ...common, method: "CARD", instrumentId: "ins_1" }));
  const target = { undo: "order" } as const;
  const resolution = outcomeOf(one.orchestrator.resolve({ ...common, operator: "op_1", reference: "TICKET-1", target }));
  await settle();
  expect(attempt.error).toMatchObject({ code: "PAYMENT_NOT_EXPECTED", details: { executionContextId: id } });
  expect(resolution.error).toMatchObject({ code: "NOTHING_TO_RESOLVE", details: { executionContextId: id } });
  const cancelled = outcomeOf(one.orchestrator.cancel(id, WAIT_MS));
  await clock.advance(0);
  expect(cancelled.value).toMatchObject({ executionContextId: id, state: "ROLLEDBACK" });
});
