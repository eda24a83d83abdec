/** A live database's checkouts under the present code: revived as a node would, in batches, and left as they were. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { checkoutMachine, type CheckoutMachine } from "../../machines/checkout.ts";
import { VERSIONS, type MachineVersions, type RecordedEntry } from "../../machines/released/registry.ts";
import type { Database } from "../../persistence/connect.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { begin, decide, dehydrate, hydrate, type StampedEvent } from "../../runtime/engine.ts";
import { commitOf, type ActorState } from "../../runtime/transition-commit.ts";
import { checkStored, isBlocked, type VersionReport } from "../../scripts/deploy-check/check.ts";
import { lineOf } from "../../scripts/deploy-check/report.ts";
import { modelInput } from "../../scripts/reachable/alphabet.ts";
import { randomId } from "../conformance/store-fixtures.ts";
import { newCheckout, NODE, SEEDED_HASH, sqlBed } from "../paths/beds.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { machineWithRenamedState, RENAMING } from "../support/renamed-state.ts";

const LEASE_MS = 86_400_000;

let database: Database;
beforeAll(async () => {
  database = await openMemoryDatabase();
  await new SqlStore(database).heartbeat(NODE, LEASE_MS, []);
});
afterAll(() => database.close());

const done = (step: string, output: unknown): StampedEvent => ({
  type: `xstate.done.actor.${step}`,
  actorId: step,
  output,
  at: 0,
});
const TO_STEP_2: readonly StampedEvent[] = [
  { type: "START", at: 0 },
  done("pinningFlags", { flags: {} }),
  done("creatingPaymentGroups", { paymentGroups: [] }),
  done("acquiringLocks", { tokens: {} }),
  done("STEP_1", { preferences: [] }),
];
const invoice = { invoiceId: "inv_1", version: 1, hash: "h", payable: 0, currency: "INR", expiresAt: 1, lines: [] };
const TO_STEP_3 = [...TO_STEP_2, done("STEP_2", invoice)];

interface Ending {
  /** The version that it is of. */
  readonly hash: string;
  /** Whether its last entry is its checkpoint, too. */
  readonly isResting: boolean;
  /** What decided its last entry, if not the machine as it is. */
  readonly machine?: CheckoutMachine;
}

/** A checkout that went that way; its id. */
async function checkoutAfter(
  events: readonly StampedEvent[],
  { hash, isResting, machine = checkoutMachine }: Ending,
): Promise<string> {
  const store = new SqlStore(database);
  const id = randomId("ctx");
  const snapshot = begin(checkoutMachine, { ...modelInput(0), executionContextId: id });
  expect(await store.create({ ...newCheckout(id, snapshot), machineHash: hash })).toMatchObject({ kind: "created" });
  let before: ActorState = { snapshot, timers: {}, seq: 1, fence: 1, isReleased: false, isAnswered: false };
  for (const event of events) {
    const isLast = event === events.at(-1);
    // A snapshot goes on deciding by the machine that made it, so it changes hands as it would between two nodes.
    if (isLast) before = { ...before, snapshot: hydrate(machine, dehydrate(checkoutMachine, before.snapshot)) };
    const decision = decide(isLast ? machine : checkoutMachine, before.snapshot, before.timers, event);
    const rest = { answer: null, consumes: [], isPassivating: isLast && isResting };
    const commit = commitOf(checkoutMachine, { id, commitId: randomId("commit"), before, decision, event, ...rest });
    expect(await store.commit([commit])).toMatchObject([{ kind: "applied" }]);
    before = { ...before, snapshot: decision.snapshot, timers: decision.timers, seq: before.seq + 1 };
  }
  return id;
}

async function check(hash: string, versions: Partial<MachineVersions> = {}): Promise<VersionReport> {
  const reports = await checkStored({ ...VERSIONS, ...versions }, database);
  const report = reports.find((candidate) => candidate.hash === hash);
  if (report === undefined) throw new Error(`No checkout of ${hash} was judged.`);
  return report;
}

const lines = ({ tally }: VersionReport) => tally.findings.map(lineOf);

test("finds the checkout that was parked because its journal folds to another state, and names the entry", async () => {
  const hash = randomId("hash");
  await checkoutAfter(TO_STEP_3, { hash, isResting: false });
  const machine = checkoutMachine.provide({ guards: { mayRetryStep: () => true } });
  const error = { class: "TERMINAL", code: "REFUSED", message: "never" };
  const refused = { type: "xstate.error.actor.STEP_2", actorId: "STEP_2", error, at: 0 };
  const id = await checkoutAfter([...TO_STEP_2, refused], { hash, isResting: false, machine });
  await new SqlStore(database).park(id, 1, `Replaying ${id} differs from its journal.`);
  const report = await check(hash);
  expect(report.tally.counts).toMatchObject({ "goes on": 1, blocking: 1 });
  expect(isBlocked([report])).toBe(true);
  expect(lines(report)).toEqual([
    `${id} in PROCESSING.STEP_2.backingOff: Replaying ${id} differs from its journal at entry 7 (xstate.error.actor.STEP_2): ` +
      "it leads to PROCESSING.undoing.invoice.running, not to PROCESSING.STEP_2.backingOff.",
  ]);
});

test("finds a checkpoint that lacks a field of the context, as an older version would have written it", async () => {
  const hash = randomId("hash");
  const id = await checkoutAfter(TO_STEP_3, { hash, isResting: true });
  const without =
    "update checkoutd.snapshots set snapshot = snapshot #- '{context,payment,failedAttemptIds}' where context_id = $1";
  await database.rows(without, [id]);
  expect(lines(await check(hash))[0]).toMatch(/ in PROCESSING\.STEP_3\.running: The context of .* payment\.failedAttemptIds: /);
});

describe.each([
  { what: "at rest in its checkpoint", isResting: true },
  { what: "with entries after its checkpoint", isResting: false },
])("a checkout in a state that has another name now, $what", ({ isResting }) => {
  const current = { hash: "new-hash", machine: machineWithRenamedState() };
  let hash: string;
  beforeEach(async () => {
    hash = randomId("hash");
    await checkoutAfter(TO_STEP_3, { hash, isResting });
  });

  test("blocks", async () => {
    const report = await check(hash, { current });
    expect(report.tally.counts).toMatchObject({ "goes on": 0, blocking: 1 });
    expect(lines(report)[0]).toMatch(/ in PROCESSING\.STEP_3\.running: .*STEP_(3|THREE)/);
  });

  test("is migrated where there is a migration", async () => {
    const report = await check(hash, { current, migrations: { [hash]: RENAMING } });
    expect(report.tally.counts).toMatchObject({ migrated: 1, blocking: 0 });
  });

  test("is folded by its path alone where the migration changes contexts", async () => {
    const entry = (recorded: RecordedEntry) => ({ ...RENAMING.entry(recorded), contextHash: null });
    const report = await check(hash, { current, migrations: { [hash]: { ...RENAMING, entry } } });
    expect(report.tally.counts).toMatchObject({ migrated: 1, blocking: 0 });
  });

  test("is pinned where its machine is", async () => {
    const report = await check(hash, { current, pinned: { [hash]: checkoutMachine } });
    expect(report.tally.counts).toMatchObject({ pinned: 1, blocking: 0 });
  });
});

test("goes on with what this code wrote, at rest or in the midst of its journal, in more batches than one", async () => {
  const hash = randomId("hash");
  const ids = Array.from({ length: 120 }, () => randomId("ctx"));
  await sqlBed(database).seed(
    ids.map((id) => ({ id, snapshot: begin(checkoutMachine, { ...modelInput(0), executionContextId: id }) })),
  );
  for (const isResting of [true, false]) await checkoutAfter(TO_STEP_3, { hash, isResting });
  const rows = () =>
    database.rows("select c, s from checkoutd.contexts c join checkoutd.snapshots s on s.context_id = c.id order by c.id");
  const before = await rows();
  const told: number[] = [];
  const reports = await checkStored(VERSIONS, database, (judged) => told.push(judged));
  const countsOf = (version: string) => reports.find((report) => report.hash === version)?.tally.counts;
  expect(countsOf(SEEDED_HASH)).toEqual({ "goes on": 120, migrated: 0, pinned: 0, blocking: 0 });
  expect(countsOf(hash)).toEqual({ "goes on": 2, migrated: 0, pinned: 0, blocking: 0 });
  expect(told).toEqual(before.map((_, index) => index + 1));
  expect(await rows()).toEqual(before);
});
