import { randomUUID } from "node:crypto";
import { expect } from "vitest";
import type { Commit, CommitResult, InboxKey, JournalEntry, NewCheckout, Store } from "../../persistence/store.ts";

/** 2026-01-08T10:15:00.123Z: a time with milliseconds, which must survive the way to the database and back. */
export const AT = 1_767_867_300_123;
const LEASE_MS = 60_000;

export const randomId = (prefix: string) => `${prefix}_${randomUUID()}`;

/** Of the checkouts, unless a test is about versions. */
export const MACHINE_HASH = "machine-hash";

/** A node with a valid lease. */
export async function liveNode(store: Store, machineHashes: readonly string[] = [MACHINE_HASH]): Promise<string> {
  const id = randomId("node");
  expect(await store.heartbeat(id, LEASE_MS, machineHashes)).toBe(true);
  return id;
}

export function entry(seq: number, overrides: Partial<JournalEntry> = {}): JournalEntry {
  const from = seq === 1 ? null : `STATE_${seq - 1}`;
  return {
    seq,
    at: AT + seq,
    event: { type: "xstate.done", step: seq },
    from,
    to: `STATE_${seq}`,
    contextHash: `hash-${seq}`,
    ...overrides,
  };
}

export function newCheckout(overrides: Partial<NewCheckout> = {}): NewCheckout {
  return {
    id: randomId("ctx"),
    caller: "shop",
    userId: "usr_1",
    cartId: randomId("cart"),
    cartVersion: 7,
    idempotencyKey: randomUUID(),
    machineVersion: "1",
    machineHash: MACHINE_HASH,
    traceparent: null,
    requestHash: "request-hash",
    request: { cart: { note: "naïve “quotes” 🛒" } },
    state: "INITIALIZED",
    status: "PROCESSING",
    owner: randomId("node"),
    commitId: randomUUID(),
    entry: entry(1),
    checkpoint: { snapshot: { value: "INITIALIZED", context: { total: 249_900 } }, timers: {} },
    ...overrides,
  };
}

/** A checkout at seq 1, owned by a node whose lease is valid. */
export async function createdCheckout(store: Store, overrides: Partial<NewCheckout> = {}): Promise<NewCheckout> {
  const checkout = newCheckout({ owner: await liveNode(store), ...overrides });
  expect(await store.create(checkout)).toEqual({ kind: "created", fence: 1 });
  return checkout;
}

export function commitAfter(id: string, expectedSeq: number, overrides: Partial<Commit> = {}): Commit {
  const seq = expectedSeq + 1;
  return {
    id,
    expectedSeq,
    fence: 1,
    commitId: randomUUID(),
    state: `STEP_${seq}`,
    status: "PROCESSING",
    entry: entry(seq),
    events: [],
    ...overrides,
  };
}

export async function commitOne(store: Store, commit: Commit): Promise<CommitResult> {
  const [result] = await store.commit([commit]);
  if (result === undefined) throw new Error("the store answered a commit with nothing");
  return result;
}

/** Takes the checkout off its node, with nothing to do until `wakeAt`. */
export async function passivated(store: Store, wakeAt: number | null, overrides: Partial<Commit> = {}): Promise<NewCheckout> {
  const checkout = await createdCheckout(store);
  const commit = commitAfter(checkout.id, 1, { wakeAt, passivate: true, checkpoint: checkpointAt(2), ...overrides });
  expect(await commitOne(store, commit)).toMatchObject({ kind: "applied" });
  return checkout;
}

export const checkpointAt = (seq: number) => ({ snapshot: { value: `STATE_${seq}` }, timers: { retry: AT + seq } });

/** A checkout at seq 2 that knows a payment requirement. */
export async function knowingCheckout(store: Store): Promise<NewCheckout & { readonly pcrId: string }> {
  const [checkout, pcrId] = [await createdCheckout(store), randomId("pcr")];
  expect(await commitOne(store, commitAfter(checkout.id, 1, { pcrId }))).toEqual({ kind: "applied", signals: 0 });
  return { ...checkout, pcrId };
}

export const paymentOf = (pcrId: string | null) => ({ type: "payment_collection_requirement_success", pcrId, amount: 5 });

export async function receivePayment(
  store: Store,
  pcrId: string | null,
): Promise<InboxKey & { readonly contextId: string | null }> {
  const key = { source: "provider", eventId: randomUUID() };
  const { isNew, contextId } = await store.receivePayment(key.source, key.eventId, pcrId, paymentOf(pcrId));
  expect(isNew).toBe(true);
  return { ...key, contextId };
}

export async function receiveCommand(store: Store, contextId: string): Promise<InboxKey> {
  const key = { source: "client", eventId: randomUUID() };
  expect(await store.receiveCommand(key.source, key.eventId, contextId, { type: "CANCEL" })).toBe(true);
  return key;
}
