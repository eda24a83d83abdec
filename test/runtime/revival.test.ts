import { expect, test } from "vitest";
import { checkoutMachine } from "../../machines/checkout.ts";
import { InvariantError } from "../../machines/errors.ts";
import type { JournalEntry, StoredCheckout } from "../../persistence/store.ts";
import {
  begin,
  decide,
  dehydrate,
  hashContext,
  statePath,
  toPlainJson,
  type StampedEvent,
  type Timers,
} from "../../runtime/engine.ts";
import { revive } from "../../runtime/revival.ts";
import { newContext } from "../support/checkout-context.ts";

const AT = 1_767_867_300_000;
const { executionContextId, userId, cartId, cartVersion, policy } = newContext();
const INPUT = { executionContextId, userId, cartId, cartVersion, policy };
const failed = { class: "TRANSIENT", code: "UNAVAILABLE", message: "Not now." };

const EVENTS: readonly StampedEvent[] = [
  { type: "START", at: AT + 1 },
  { type: "xstate.done.actor.pinningFlags", output: { flags: {} }, at: AT + 2 },
  { type: "xstate.error.actor.creatingPaymentGroups", error: failed, at: AT + 3, jitter: 0.25 },
];

/** A checkout that failed once to create its payment groups; `checkpointSeq` says how much of it is in the checkpoint. */
function stored(checkpointSeq: number, overrides: Partial<StoredCheckout> = {}): StoredCheckout {
  const first = begin(checkoutMachine, INPUT);
  const states: { snapshot: typeof first; timers: Timers }[] = [{ snapshot: first, timers: {} }];
  const initial = { seq: 1, at: AT, event: { type: "xstate.init" }, from: null };
  const entries: JournalEntry[] = [{ ...initial, to: statePath(first), contextHash: hashContext(first) }];
  for (const event of EVENTS) {
    const before = states.at(-1) ?? { snapshot: first, timers: {} };
    const { snapshot, timers } = decide(checkoutMachine, before.snapshot, before.timers, event);
    states.push({ snapshot, timers });
    const to = statePath(snapshot);
    entries.push({
      seq: entries.length + 1,
      at: event.at,
      event,
      from: statePath(before.snapshot),
      to,
      contextHash: hashContext(snapshot),
    });
  }
  const checkpoint = states[checkpointSeq - 1] ?? { snapshot: first, timers: {} };
  const row = {
    id: executionContextId,
    caller: "local",
    userId,
    cartId,
    cartVersion,
    idempotencyKey: "key",
    machineVersion: "1.0.0",
    machineHash: "hash",
    traceparent: null,
    seq: EVENTS.length + 1,
    fence: 1,
    owner: null,
    state: "PROCESSING",
    status: "PROCESSING",
    wakeAt: null,
    signals: 0,
    parkedReason: null,
    createdAt: AT,
    checkpoint: { seq: checkpointSeq, snapshot: dehydrate(checkoutMachine, checkpoint.snapshot), timers: checkpoint.timers },
    entries: entries.slice(checkpointSeq - 1),
  };
  // As it comes from a database: plain JSON, shared with nobody.
  return { ...(toPlainJson(row) as StoredCheckout), ...overrides };
}

function withEntry(checkout: StoredCheckout, seq: number, change: Partial<JournalEntry>): StoredCheckout {
  return { ...checkout, entries: checkout.entries.map((entry) => (entry.seq === seq ? { ...entry, ...change } : entry)) };
}

test.each([1, 2, 3, 4])("arrives at the same state from the checkpoint at %i, timers included", (checkpointSeq) => {
  const { snapshot, timers, seq } = revive(checkoutMachine, stored(checkpointSeq));
  expect(seq).toBe(4);
  expect(statePath(snapshot)).toBe("PROCESSING.opening.creatingPaymentGroups.backingOff");
  expect(snapshot.context.retry).toEqual({ failures: 1, firstFailedAt: AT + 3, delayMs: 125 });
  expect(Object.values(timers)).toEqual([AT + 3 + 125]);
  expect(dehydrate(checkoutMachine, snapshot)).toEqual(stored(4).checkpoint.snapshot);
});

test.each([
  { what: "another context than the journal says", change: { contextHash: "0123456789abcdef" } },
  { what: "another state than the journal says", change: { to: "PROCESSING.STEP_1.running" } },
  { what: "another event than the one that happened", change: { event: { type: "START", at: AT } } },
  {
    what: "an event with another payload",
    change: { event: { ...EVENTS[1], output: { flags: { a: { value: 1 } } } } as StampedEvent },
  },
])("refuses to go on from $what", ({ change }) => {
  expect(() => revive(checkoutMachine, withEntry(stored(1), 3, change))).toThrow(InvariantError);
});

test("names the entry and the event where a replay differs", () => {
  const changed = withEntry(stored(1), 3, { contextHash: "0123456789abcdef" });
  expect(() => revive(checkoutMachine, changed)).toThrow(
    / differs from its journal at entry 3 \(xstate\.done\.actor\.pinningFlags\): /,
  );
});

test("believes an entry without a hash: it was migrated, and its context with it", () => {
  const migrated = { ...stored(1), entries: stored(1).entries.map((entry) => ({ ...entry, contextHash: null })) };
  expect(revive(checkoutMachine, migrated).seq).toBe(4);
});

test("refuses a journal with a gap, wherever it is", () => {
  for (const gap of [2, 3, 4]) {
    const whole = stored(1);
    const entries = whole.entries.filter(({ seq }) => seq !== gap);
    expect(() => revive(checkoutMachine, { ...whole, entries }), `without ${gap}`).toThrow(InvariantError);
  }
});

test("refuses a gap between the checkpoint and the journal, although the entries after it change nothing", () => {
  const whole = stored(4);
  const last = stored(3).entries.at(-1);
  if (last === undefined) throw new Error("There is an entry after the third.");
  // A late success is the kind of event that changes neither state nor context when it comes twice.
  const idle = { ...last, seq: 6, event: { type: "nothing that this state takes", at: AT + 9 } };
  expect(() => revive(checkoutMachine, { ...whole, seq: 6, entries: [...whole.entries, idle] })).toThrow(InvariantError);
});

test("refuses a checkpoint that is not what its own entry says, and one without that entry", () => {
  const paid = { ...(stored(4).checkpoint.snapshot as { context: object }), status: "active" };
  const tampered = { ...paid, context: { ...paid.context, userId: "usr_other" } };
  expect(() => revive(checkoutMachine, stored(4, { checkpoint: { ...stored(4).checkpoint, snapshot: tampered } }))).toThrow(
    InvariantError,
  );
  expect(() => revive(checkoutMachine, stored(4, { entries: [] }))).toThrow(InvariantError);
});

test("refuses a checkpoint whose running step is not the one that its state asks for", () => {
  const { checkpoint } = stored(3);
  const snapshot = checkpoint.snapshot as { readonly children: Readonly<Record<string, unknown>> };
  const [running] = Object.values(snapshot.children);
  const renamed = { ...snapshot, children: { anotherStep: running } };
  expect(() => revive(checkoutMachine, stored(3, { checkpoint: { ...checkpoint, snapshot: renamed } }))).toThrow(InvariantError);
  expect(() =>
    revive(checkoutMachine, stored(3, { checkpoint: { ...checkpoint, snapshot: { ...snapshot, children: {} } } })),
  ).toThrow(InvariantError);
});

test("refuses a journal that ends before or after its row", () => {
  expect(() => revive(checkoutMachine, stored(1, { seq: 5 }))).toThrow(InvariantError);
  expect(() => revive(checkoutMachine, stored(1, { seq: 3 }))).toThrow(InvariantError);
});
