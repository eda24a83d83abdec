/** One checkout that ended right, then each of its records changed: whatever is wrong must be said, by its number. */
import { beforeAll, describe, expect, test } from "vitest";
import { breachesOf } from "../../scripts/invariants/breaches.ts";
import type { Evidence, ProviderBooks } from "../../scripts/invariants/evidence.ts";
import { orderBreaches, publicationBreaches } from "../../scripts/invariants/events.ts";
import { CallDesk } from "../sequences/call-desk.ts";
import { evidenceOf } from "../simulation/evidence.ts";
import type { Letter } from "../sequences/alphabet.ts";
import { World } from "../sequences/world.ts";

let confirmed: Evidence;
let rolledBack: Evidence;

beforeAll(async () => {
  // One lives at a time.
  confirmed = await ended(["success", "second"]);
  rolledBack = await ended(["cancel", "success"]);
});

async function ended(letters: readonly Letter[]): Promise<Evidence> {
  const world = new World("ctx_1", new CallDesk(null), null);
  await world.begin();
  await world.initiate();
  for (const letter of letters) await world.deliver(letter);
  await world.finish();
  return evidenceOf(world, world.id);
}

function numbersIn(lines: readonly string[]): readonly string[] {
  return [...new Set(lines.map((line) => line.split(":")[0] ?? line))];
}

test("a confirmed checkout, one of its captures given back, breaks nothing", () => {
  expect(confirmed).toMatchObject({ row: { state: "COMPLETED" }, books: { refunds: [{ hasFailed: false }] } });
  expect(breachesOf(confirmed)).toEqual([]);
});

test("a checkout that was rolled back, paid too late and refunded, breaks nothing", () => {
  expect(rolledBack).toMatchObject({ row: { state: "ROLLEDBACK" }, books: { refunds: [{ hasFailed: false }] } });
  expect(breachesOf(rolledBack)).toEqual([]);
});

test("a refund that failed and was made again is given back once, and perhaps told once", () => {
  const failed = { ...only(rolledBack.books?.refunds), refundId: "rfd_failed", hasFailed: true };
  expect(breachesOf(withBooks(rolledBack, { refunds: [failed, ...(rolledBack.books?.refunds ?? [])] }))).toEqual([]);
});

interface Change {
  readonly invariant: string;
  readonly what: string;
  readonly changed: () => Evidence;
}

const withRow = (evidence: Evidence, row: Partial<Evidence["row"]>): Evidence => ({
  ...evidence,
  row: { ...evidence.row, ...row },
});

function withBooks(evidence: Evidence, change: Partial<ProviderBooks>): Evidence {
  return { ...evidence, books: evidence.books === null ? null : { ...evidence.books, ...change } };
}

function only<One>(list: readonly One[] | undefined): One {
  const [first] = list ?? [];
  if (first === undefined) throw new Error("There is none.");
  return first;
}

/** With the last entry repeated as another transition. */
function withEntry(evidence: Evidence, change: Partial<Evidence["journal"][number]>): Evidence {
  const last = only(evidence.journal.toReversed());
  const entry = { ...last, seq: last.seq + 1, from: last.to, ...change };
  return { ...withRow(evidence, { seq: entry.seq }), journal: [...evidence.journal, entry] };
}

/** With further attempts, and these ids for them. */
function withReply(...attemptIds: readonly string[]): Evidence {
  const { journal } = attemptIds.reduce(
    (evidence, attemptId) =>
      withEntry(evidence, { event: { type: "xstate.done.actor.requestingAttempt", at: 0, output: { attemptId } } }),
    confirmed,
  );
  return { ...confirmed, journal };
}

const without = (evidence: Evidence, type: string): Evidence => ({
  ...evidence,
  outbox: evidence.outbox.filter((event) => event.type !== type),
});

const CHANGES: readonly Change[] = [
  { invariant: "I1", what: "it entered its end twice", changed: () => withEntry(confirmed, { from: "INITIALIZED" }) },
  { invariant: "I1", what: "it left its end", changed: () => withEntry(confirmed, { to: "ROLLEDBACK.atRest" }) },
  { invariant: "I1", what: "its row names the other end", changed: () => withRow(confirmed, { state: "ROLLEDBACK" }) },
  {
    invariant: "I2",
    what: "it passed its pivot, and rolled back",
    changed: () => ({ ...confirmed, row: { ...confirmed.row, state: "ROLLEDBACK" } }),
  },
  {
    invariant: "I2",
    what: "it completed without a pivot",
    changed: () => ({ ...confirmed, journal: confirmed.journal.filter(({ to }) => !to.includes("confirming")) }),
  },
  {
    invariant: "I3",
    what: "the payer was given back, and another capture kept",
    changed: () => withBooks(confirmed, { refunds: [{ ...only(confirmed.books?.refunds), pspReference: payer() }] }),
  },
  { invariant: "I3", what: "both captures are kept", changed: () => withBooks(confirmed, { refunds: [] }) },
  { invariant: "I3", what: "nothing was asked for", changed: () => ({ ...confirmed, books: null }) },
  { invariant: "I4", what: "rolled back, and a capture is held", changed: () => withBooks(rolledBack, { refunds: [] }) },
  {
    invariant: "I6",
    what: "a capture was given back twice",
    changed: () => {
      const refund = only(rolledBack.books?.refunds);
      return withBooks(rolledBack, { refunds: [refund, { ...refund, refundId: "rfd_again" }] });
    },
  },
  {
    invariant: "I6",
    what: "a refund is not its capture's amount",
    changed: () => withBooks(rolledBack, { refunds: [{ ...only(rolledBack.books?.refunds), amount: 1 }] }),
  },
  { invariant: "I7", what: "a transfer is missing", changed: () => ({ ...confirmed, ledger: confirmed.ledger.slice(1) }) },
  {
    invariant: "I7",
    what: "the order was never paid",
    changed: () => ({ ...confirmed, ledger: confirmed.ledger.filter(({ credit }) => credit !== "ORDER") }),
  },
  {
    invariant: "I7",
    what: "the provider took money that the ledger doesn't have",
    changed: () => {
      const captures = rolledBack.books?.captures ?? [];
      return withBooks(rolledBack, { captures: [...captures, { ...only(captures), pspReference: "psr_unheard" }] });
    },
  },
  { invariant: "I8", what: "two attempts have one id", changed: () => withReply("att_1", "att_1") },
  { invariant: "I8", what: "it can still be paid", changed: () => withBooks(confirmed, { open: ["att_9"] }) },
  {
    invariant: "I9",
    what: "an undo was left out",
    changed: () => ({ ...rolledBack, journal: rolledBack.journal.filter(({ to }) => !to.includes("undoing.optIns")) }),
  },
  {
    invariant: "I10",
    what: "an effect is missing",
    changed: () => ({ ...confirmed, effects: confirmed.effects.filter(({ operation }) => operation !== "createCheckoutOrder") }),
  },
  {
    invariant: "I10",
    what: "an effect was not confirmed",
    changed: () => ({ ...confirmed, effects: confirmed.effects.map((effect) => ({ ...effect, state: "LIVE" as const })) }),
  },
  {
    invariant: "I10",
    what: "an effect was made twice",
    changed: () => ({ ...rolledBack, effects: [...rolledBack.effects, ...rolledBack.effects] }),
  },
  {
    invariant: "I10",
    what: "an effect was not undone",
    changed: () => ({ ...rolledBack, effects: [{ operation: "createCheckoutOrder", state: "LIVE" }] }),
  },
  { invariant: "I18", what: "its cart is still taken", changed: () => ({ ...confirmed, holds: ["cart_1"] }) },
  {
    invariant: "I11",
    what: "an entry is missing",
    changed: () => ({ ...confirmed, journal: confirmed.journal.toSpliced(3, 1) }),
  },
  {
    invariant: "I11",
    what: "the row is ahead of its journal",
    changed: () => withRow(confirmed, { seq: confirmed.row.seq + 1 }),
  },
  {
    invariant: "I12",
    what: "an entry says what its event doesn't lead to",
    changed: () => ({ ...confirmed, journal: confirmed.journal.map((entry) => ({ ...entry, contextHash: "another" })) }),
  },
  { invariant: "I12", what: "the row says another status", changed: () => withRow(confirmed, { status: "ROLLED_BACK" }) },
  {
    invariant: "I12",
    what: "the checkpoint is another state",
    changed: () => ({ ...confirmed, checkpoint: confirmed.checkpoint && { ...confirmed.checkpoint, timers: { late: 1 } } }),
  },
  { invariant: "I13", what: "an event is missing", changed: () => ({ ...confirmed, outbox: confirmed.outbox.slice(1) }) },
  {
    invariant: "I13",
    what: "confirmed before updated",
    changed: () => ({ ...confirmed, outbox: confirmed.outbox.toReversed() }),
  },
  { invariant: "I14", what: "its end was not told", changed: () => without(confirmed, "checkout_completed") },
  { invariant: "I14", what: "a refund was not told", changed: () => without(rolledBack, "payment_refunded") },
  { invariant: "I14", what: "a refund was told and never made", changed: () => withBooks(rolledBack, { refunds: [] }) },
  {
    invariant: "I14",
    what: "something was told twice",
    changed: () => ({ ...confirmed, outbox: [...confirmed.outbox, ...confirmed.outbox] }),
  },
  {
    invariant: "I15",
    what: "what was told is not what was decided",
    changed: () => ({ ...confirmed, outbox: confirmed.outbox.map((event) => ({ ...event, data: {} })) }),
  },
  { invariant: "I20", what: "it is parked", changed: () => withRow(confirmed, { parkedReason: "claimed 5 times" }) },
  { invariant: "I20", what: "somebody owns it", changed: () => withRow(confirmed, { owner: "node_1" }) },
  { invariant: "I20", what: "a timer is left", changed: () => withRow(confirmed, { wakeAt: 1 }) },
  { invariant: "I20", what: "nobody noted that it is over", changed: () => withRow(confirmed, { finishedAt: null }) },
  {
    invariant: "I20",
    what: "news of it was never read",
    changed: () => ({ ...confirmed, unconsumed: [{ source: "api", eventId: "evt_9", event: { type: "CANCEL" } }] }),
  },
];

/** The capture that the confirmed checkout keeps. */
function payer(): string {
  return only(confirmed.books?.captures).pspReference;
}

describe("evidence that breaks an invariant is reported by its number", () => {
  test.each(CHANGES)("$invariant: $what", ({ invariant, changed }) => {
    expect(numbersIn(breachesOf(changed()))).toContain(invariant);
  });
});

test("a checkout that still runs has told nothing out of order, and perhaps not all", () => {
  expect(orderBreaches(confirmed.outbox.slice(0, 2))).toEqual([]);
  expect(numbersIn(publicationBreaches(confirmed.outbox))).toEqual(["I15"]);
  expect(publicationBreaches(confirmed.outbox.map((event) => ({ ...event, acknowledgedAt: 1 })))).toEqual([]);
});
