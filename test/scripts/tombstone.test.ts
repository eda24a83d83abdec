/** Two checkouts that ended right, as retention leaves them, then each of their records changed: whatever is wrong must be said. */
import { beforeAll, expect, test } from "vitest";
import { breachesOf } from "../../scripts/invariants/breaches.ts";
import type { Evidence } from "../../scripts/invariants/evidence.ts";
import type { Letter } from "../sequences/alphabet.ts";
import { CallDesk } from "../sequences/call-desk.ts";
import { World } from "../sequences/world.ts";
import { evidenceOf } from "../simulation/evidence.ts";

let confirmed: Evidence;
let rolledBack: Evidence;

beforeAll(async () => {
  // One lives at a time.
  confirmed = await tombstone(["success", "second"]);
  rolledBack = await tombstone(["cancel", "success"]);
});

async function tombstone(letters: readonly Letter[]): Promise<Evidence> {
  const world = new World("ctx_1", new CallDesk(null), null);
  await world.begin();
  await world.initiate();
  for (const letter of letters) await world.deliver(letter);
  await world.finish();
  const evidence = await evidenceOf(world, world.id);
  const removed = Object.fromEntries(evidence.outbox.map(({ type, typeSeq }) => [type, typeSeq]));
  return { ...evidence, removed, outbox: [], journal: evidence.journal.slice(-1) };
}

const entryOf = ({ journal }: Evidence) => {
  const [entry] = journal;
  if (entry === undefined) throw new Error("It keeps the entry of its checkpoint.");
  return entry;
};

/** Told after retention. */
function withEvent(evidence: Evidence, eventSeq: number, typeSeq: number): Evidence {
  const event = { type: "payment_refunded", data: {}, contextId: "ctx_1", committedAt: 0, acknowledgedAt: 1, tries: 1 };
  return { ...evidence, outbox: [{ ...event, eventSeq, typeSeq, retryAt: null, parkedReason: null, traceparent: null }] };
}

const toldBefore = ({ removed }: Evidence) => Object.values(removed ?? {}).reduce((total, count) => total + count, 0);

test("a tombstone breaks nothing, whichever way its checkout ended", () => {
  expect([confirmed.row.state, rolledBack.row.state]).toEqual(["COMPLETED", "ROLLEDBACK"]);
  expect(breachesOf(confirmed)).toEqual([]);
  expect(breachesOf(rolledBack)).toEqual([]);
});

const CHANGES: readonly { readonly invariant: string; readonly what: string; readonly changed: () => Evidence }[] = [
  {
    invariant: "I1",
    what: "its row names the other end",
    changed: () => ({ ...confirmed, row: { ...confirmed.row, state: "ROLLEDBACK" } }),
  },
  {
    invariant: "I3",
    what: "another capture than the payer's is kept",
    changed: () => {
      const { books } = confirmed;
      const [refund] = books?.refunds ?? [];
      const payer = books?.captures.find(({ pspReference }) => pspReference !== refund?.pspReference)?.pspReference ?? "";
      return {
        ...confirmed,
        books: books === null || refund === undefined ? null : { ...books, refunds: [{ ...refund, pspReference: payer }] },
      };
    },
  },
  {
    invariant: "I4",
    what: "rolled back, and a capture is held",
    changed: () => ({ ...rolledBack, books: rolledBack.books === null ? null : { ...rolledBack.books, refunds: [] } }),
  },
  { invariant: "I7", what: "the ledger is gone", changed: () => ({ ...confirmed, ledger: [] }) },
  { invariant: "I11", what: "no entry is kept", changed: () => ({ ...confirmed, journal: [] }) },
  {
    invariant: "I11",
    what: "the row has moved on without an entry",
    changed: () => ({ ...confirmed, row: { ...confirmed.row, seq: confirmed.row.seq + 1 } }),
  },
  {
    invariant: "I11",
    what: "an entry begins elsewhere",
    changed: () => {
      const entry = entryOf(confirmed);
      return {
        ...confirmed,
        row: { ...confirmed.row, seq: entry.seq + 1 },
        journal: [entry, { ...entry, seq: entry.seq + 1, from: "STEP_1" }],
      };
    },
  },
  { invariant: "I12", what: "its checkpoint is gone", changed: () => ({ ...confirmed, checkpoint: null }) },
  {
    invariant: "I12",
    what: "its checkpoint is another state",
    changed: () => ({ ...confirmed, journal: [{ ...entryOf(confirmed), contextHash: "another" }] }),
  },
  { invariant: "I13", what: "a number is told again", changed: () => withEvent(confirmed, toldBefore(confirmed), 2) },
  {
    invariant: "I13",
    what: "a number of its type is told again",
    changed: () => withEvent(confirmed, toldBefore(confirmed) + 1, 1),
  },
  {
    invariant: "I14",
    what: "its end was never told",
    changed: () => ({ ...confirmed, removed: { ...confirmed.removed, checkout_completed: 0 } }),
  },
  {
    invariant: "I14",
    what: "a refund was never told",
    changed: () => ({ ...rolledBack, removed: { ...rolledBack.removed, payment_refunded: 0 } }),
  },
  {
    invariant: "I14",
    what: "a refund was told that nobody made",
    changed: () => withEvent(rolledBack, toldBefore(rolledBack) + 1, 2),
  },
  { invariant: "I18", what: "it holds its cart", changed: () => ({ ...confirmed, holds: ["cart_1"] }) },
  { invariant: "I20", what: "somebody owns it", changed: () => ({ ...confirmed, row: { ...confirmed.row, owner: "node_1" } }) },
];

test.each(CHANGES)("$invariant: $what", ({ invariant, changed }) => {
  expect([...new Set(breachesOf(changed()).map((line) => line.split(":")[0]))]).toContain(invariant);
});
