/** What becomes of a request: the checkout that it creates, or why there is none. Its answer has a file of its own. */
import { expect, test } from "vitest";
import type { IdempotencyClaim } from "../../persistence/store.ts";
import { last } from "./actor-desk.ts";
import { outcomeOf } from "./commands-desk.ts";
import { COMMAND, REQUEST, setup, WAIT_MS } from "./orchestrator-desk.ts";

const OTHER_USER = { ...REQUEST, user: { userId: "usr_2", cityId: "blr" } };
const again = { ...COMMAND, idempotencyKey: "key_2" };
const withVersion = (version: number) => ({ ...REQUEST, cart: { cartId: "cart_1", version } });

/** One node, with a checkout of the request whose first step is in flight. */
async function begun() {
  const bundle = setup();
  const one = await bundle.started();
  const outcome = outcomeOf(one.orchestrator.initiate(COMMAND));
  await bundle.settle();
  return { ...bundle, one, outcome };
}

test("a checkout is created with all that the request says, and begun", async () => {
  const { store, one, clock } = await begun();
  const [row] = store.rows;
  expect(row).toMatchObject({
    id: expect.stringMatching(/^ctx_/) as unknown,
    caller: "shop",
    userId: "usr_1",
    cartId: "cart_1",
    cartVersion: 3,
    idempotencyKey: "key",
    machineVersion: expect.stringMatching(/^\d/) as unknown,
    machineHash: "machine_hash",
    traceparent: "00-1-2-01",
    owner: expect.stringMatching(/^node_/) as unknown,
    lastCommit: expect.stringMatching(/^cmt_/) as unknown,
    fence: 1,
    parkedReason: null,
  });
  const id = row?.id ?? "";
  expect(await store.loadRequest(id)).toEqual(REQUEST);
  const [first, second] = await one.orchestrator.history(id, 0, 10);
  const identity = { executionContextId: id, userId: "usr_1", cartId: "cart_1", cartVersion: 3 };
  expect(first).toMatchObject({
    seq: 1,
    at: clock.now(),
    from: null,
    to: "INITIALIZED",
    event: { type: "xstate.init", input: { ...identity, policy: { stepRetryMax: 5 } } },
  });
  expect(second).toMatchObject({ seq: 2, event: { type: "START" } });
  expect(one.steps.map(({ src }) => src)).toEqual(["resolveFeatureFlags"]);
});

test("it is created in INITIALIZED, under a commit of its own", async () => {
  const { started, store, settle } = setup();
  const one = await started();
  const created: unknown[] = [];
  one.stubs.create = (checkout) => (created.push(checkout), store.create(checkout));
  void one.orchestrator.initiate(COMMAND);
  await settle();
  expect(created).toMatchObject([
    {
      state: "INITIALIZED",
      status: "PROCESSING",
      commitId: expect.stringMatching(/^cmt_/) as unknown,
      checkpoint: { timers: {} },
    },
  ]);
});

test("a node that was not started, or has stopped, takes no new checkout", async () => {
  const { node, store } = setup();
  const one = node();
  const draining = { class: "TRANSIENT", code: "DRAINING" };
  expect((await one.ask(COMMAND)).error).toMatchObject(draining);
  await one.orchestrator.start();
  await one.orchestrator.stop();
  expect((await one.ask(COMMAND)).error).toMatchObject(draining);
  expect(store.rows).toEqual([]);
});

test("a node runs as many checkouts as it may, and not one more", async () => {
  const { started, settle, store } = setup();
  const one = await started({ residentMax: 1 });
  void one.orchestrator.initiate(COMMAND);
  await settle();
  const other = { ...again, request: { ...REQUEST, cart: { cartId: "cart_2", version: 1 } } };
  expect((await one.ask(other)).error).toMatchObject({ class: "TRANSIENT", code: "OVERLOADED" });
  expect(store.rows).toHaveLength(1);
  // Who comes again takes no place of its own.
  expect(await one.ask({ ...COMMAND, waitMs: 0 })).toMatchObject({ value: { kind: "unfinished" } });
});

test("who waits at a node that stops is told how it stands, in time", async () => {
  const { clock, one, outcome } = await begun();
  const repeated = outcomeOf(one.orchestrator.initiate(COMMAND));
  void one.orchestrator.stop();
  await clock.advance(WAIT_MS);
  expect(outcome.value?.kind).toBe("unfinished");
  expect(repeated.value?.kind).toBe("unfinished");
});

test("a request that breaks rules is refused with every violation, and nothing is written", async () => {
  const { started, store } = setup();
  const one = await started();
  const violations = [{ code: "LINE_ITEM_UNKNOWN", pointer: "/lineItems/0/sku", message: "Nobody sells it." }];
  one.controls.check = async () => violations;
  expect((await one.ask(COMMAND)).error).toMatchObject({ class: "VALIDATION", violations });
  expect(store.rows).toEqual([]);
});

test("a key that was used for another request is refused", async () => {
  const { one } = await begun();
  expect((await one.ask({ ...COMMAND, requestHash: "other" })).error).toMatchObject({
    class: "CONFLICT",
    code: "IDEMPOTENCY_KEY_REUSED",
  });
});

test("a cart that is being checked out is refused; only its own user is told by which checkout", async () => {
  const { one, store } = await begun();
  const busy = { class: "CONFLICT", code: "CHECKOUT_IN_PROGRESS" };
  expect((await one.ask(again)).error).toMatchObject({
    ...busy,
    details: { executionContextId: store.rows[0]?.id },
  });
  const refusal = (await one.ask({ ...again, request: OTHER_USER })).error;
  expect(refusal).toMatchObject(busy);
  expect((refusal as { readonly details: unknown }).details).toEqual({});
});

test("a version that was bought is refused; only its own user is told by which checkout", async () => {
  const { started } = setup();
  const one = await started();
  one.stubs.findCartConflict = async () => ({ kind: "cart_completed", contextId: "ctx_bought", userId: "usr_1" });
  const bought = { class: "CONFLICT", code: "CART_ALREADY_CHECKED_OUT" };
  expect((await one.ask(COMMAND)).error).toMatchObject({
    ...bought,
    details: { executionContextId: "ctx_bought" },
  });
  const refusal = (await one.ask({ ...COMMAND, request: OTHER_USER })).error;
  expect(refusal).toMatchObject(bought);
  expect((refusal as { readonly details: unknown }).details).toEqual({});
});

test("a version older than one that was seen is refused with the newest", async () => {
  const { one, settle } = await begun();
  await last(one.steps).fail(new Error("a bug"));
  await settle();
  expect((await one.ask({ ...again, request: withVersion(2) })).error).toMatchObject({
    class: "CONFLICT",
    code: "CART_VERSION_STALE",
    details: { highestSeen: 3 },
  });
});

test("asks about the cart and the version of the request", async () => {
  const { started } = setup();
  const one = await started();
  const asked: unknown[] = [];
  one.stubs.findCartConflict = async (...cart) => (asked.push(cart), { kind: "cart_stale", highestSeen: 4 });
  expect((await one.ask(COMMAND)).error).toMatchObject({ code: "CART_VERSION_STALE" });
  expect(asked).toEqual([["cart_1", 3]]);
});

/** What stands in the way is this key's own first call: it is found by the second look. */
function claimedMeanwhile(claim: IdempotencyClaim) {
  let looks = 0;
  return async () => (++looks === 1 ? null : claim);
}

test.each(["the cart", "the rules"])("a twin that came first and turned %s against this one is joined", async (what) => {
  const { started } = setup();
  const one = await started();
  const answer = { status: 200, body: "{}" };
  one.stubs.findClaim = claimedMeanwhile({ contextId: "ctx_twin", requestHash: "hash", answer, isParked: false });
  if (what === "the cart") one.stubs.findCartConflict = async () => ({ kind: "cart_stale", highestSeen: 4 });
  else one.controls.check = async () => [{ code: "NO_SLOT", pointer: "/lineItems/0", message: "The last slot is taken." }];
  expect((await one.ask(COMMAND)).value).toEqual({
    kind: "answered",
    executionContextId: "ctx_twin",
    answer,
    replayed: true,
  });
});

test("a twin that claims the key in the same moment is joined", async () => {
  const { started } = setup();
  const one = await started();
  const answer = { status: 200, body: "{}" };
  const claim = { contextId: "ctx_twin", requestHash: "hash", answer, isParked: false };
  one.stubs.create = async () => ({ kind: "exists", claim });
  expect((await one.ask(COMMAND)).value).toMatchObject({ kind: "answered", executionContextId: "ctx_twin" });
});

test("a cart that is taken in the same moment is refused, and nothing is begun", async () => {
  const { started } = setup();
  const one = await started();
  one.stubs.create = async () => ({ kind: "cart_busy", contextId: "ctx_other", userId: "usr_1" });
  expect((await one.ask(COMMAND)).error).toMatchObject({
    code: "CHECKOUT_IN_PROGRESS",
    details: { executionContextId: "ctx_other" },
  });
  expect(one.steps).toEqual([]);
});

test("a checkout that has ended frees its cart", async () => {
  const { one, store, outcome, settle } = await begun();
  await last(one.steps).fail(new Error("a bug"));
  await settle();
  expect(outcome.value?.kind).toBe("answered");
  expect(store.heldBy(store.rows[0]?.id ?? "")).toEqual([]);
});
