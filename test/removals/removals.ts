/**
 * What stands for each invariant, and how to take it out: one edit of one file, made while the tests load it. The test
 * that is named must then fail; docs/invariants.md has the numbers.
 */
export interface Removal {
  readonly invariant: string;
  /** What is taken out, in words. */
  readonly guard: string;
  readonly file: string;
  /** Wherever it stands in the file. */
  readonly text: string;
  readonly instead: string;
  readonly test: string;
  /** Part of the test's name, where the file has many. */
  readonly name?: string;
}

const ASSERTED = "test/machines/invariants.test.ts";
const AT_REST = "test/scripts/invariants.test.ts";
const EFFECTS = "scripts/invariants/effects.ts";
const EVENTS = "scripts/invariants/events.ts";
const MONEY = "scripts/invariants/money.ts";
const JOURNAL = "scripts/invariants/journal.ts";
const STORE = "test/persistence/sql-store.test.ts";

/** A function of a list of checks. */
function check(invariant: string, file: string, test: string, name: string): Removal {
  return { invariant, guard: `the check ${name}`, file, text: `  ${name},\n`, instead: "", test };
}

/** A function in a list that stands on one line. */
function listed(invariant: string, name: string, file: string, text: string, instead: string): Removal {
  return { invariant, guard: `the check ${name}`, file, text, instead, test: AT_REST };
}

const asserted = (invariant: string, name: string) => check(invariant, "machines/invariants.ts", ASSERTED, name);

const CHECKS: readonly Removal[] = [
  asserted("I1", "staysAtItsEnd"),
  asserted("I2", "goesForwardFromItsPivot"),
  asserted("I3", "isPaidExactly"),
  asserted("I4", "isRolledBackWhole"),
  asserted("I5", "keepsEveryCapture"),
  asserted("I6", "takesNoRefundBack"),
  asserted("I7", "balances"),
  asserted("I7", "restsOwingNothing"),
  asserted("I8", "asksOnePaymentOnly"),
  asserted("I9", "undoesInReverse"),
  asserted("I11", "followsItsPredecessor"),
  asserted("I14", "tellsWhatItMakesTrue"),
  listed("I1", "entersOneEnd", JOURNAL, "[entersOneEnd, ", "["),
  listed("I2", "passesItsPivotOnlyToComplete", JOURNAL, " passesItsPivotOnlyToComplete,", ""),
  listed("I9", "undoesInReverse", JOURNAL, ", undoesInReverse, isGapless]", ", isGapless]"),
  listed("I11", "isGapless", JOURNAL, ", isGapless]", "]"),
  listed("I18", "holdsNothing", JOURNAL, ", holdsNothing]", "]"),
  listed("I20", "isAtRest", JOURNAL, "[isAtRest, ", "["),
  listed("I3", "keepsThePayer", MONEY, "[keepsThePayer, ", "["),
  listed("I4", "holdsNothingOfARollback", MONEY, "[holdsNothingOfARollback, ", "["),
  listed("I6", "refundsEachCaptureOnce", MONEY, " refundsEachCaptureOnce,", ""),
  listed("I7", "balances", MONEY, " balances, leavesNothingToPay]", " leavesNothingToPay]"),
  listed("I8", "leavesNothingToPay", MONEY, ", leavesNothingToPay]", "]"),
  listed("I8", "namesEachAttempt", MONEY, ", namesEachAttempt]", "]"),
  listed("I10", "standsOnce", EFFECTS, "[standsOnce, ", "["),
  listed("I10", "leavesNothing", EFFECTS, " leavesNothing,", ""),
  listed("I10", "takesEffectOnce", EFFECTS, ", takesEffectOnce]", "]"),
  listed("I13", "orderBreaches", EVENTS, "[({ outbox }) => orderBreaches(outbox), ", "["),
  listed("I14", "tellsItsEnd", EVENTS, " tellsItsEnd,", ""),
  listed("I14", "tellsEachRefundOnce", EVENTS, ", tellsEachRefundOnce]", "]"),
  listed("I15", "publicationBreaches", EVENTS, "return breach(waiting.length > 0,", "return breach(false,"),
  {
    invariant: "I12",
    guard: "the replay's comparison of its end with the row and the checkpoint",
    file: "scripts/invariants/replay.ts",
    text: ", ...endings(stored, states)]",
    instead: "]",
    test: AT_REST,
  },
  {
    invariant: "I15",
    guard: "the replay's comparison of what it tells with the outbox",
    file: "scripts/invariants/replay.ts",
    text: ", ...tellings(stored, states)",
    instead: "",
    test: AT_REST,
  },
  {
    invariant: "I24",
    guard: "the watch over undos",
    file: "test/simulation/simulation.ts",
    text: "notAskedYet(notice, this.participants.effects), ",
    instead: "",
    test: "test/simulation/plants.test.ts",
    name: "participants are undone forwards",
  },
  {
    invariant: "I26",
    guard: "the watch over dates",
    file: "test/simulation/simulation.ts",
    text: ", datedAhead(notice, this.clock.now())",
    instead: "",
    test: "test/simulation/plants.test.ts",
    name: "timers by the machine's own clock",
  },
  {
    invariant: "I25",
    guard: "the check of deadlines",
    file: "test/simulation/verdict.ts",
    text: "    ...(await breachesOfDeadlines(run)),\n",
    instead: "",
    test: "test/simulation/plants.test.ts",
    name: "a deadline that asks nobody",
  },
];

const GUARDS: readonly Removal[] = [
  {
    invariant: "I1",
    guard: "the refusal of a transition that breaks an invariant",
    file: "runtime/transition-commit.ts",
    text: "if (breaches.length > 0)",
    instead: "if (breaches.length > 1_000)",
    test: "test/runtime/checkout-actor.test.ts",
    name: "a transition that breaks an invariant is not written",
  },
  {
    invariant: "I10",
    guard: "the tombstone of what never happened",
    file: "services/effect-log.ts",
    text: "undoneAt: sql`now()`, undoReport: NOTHING_DONE }",
    instead: "undoReport: NOTHING_DONE }",
    test: "test/services/participants.test.ts",
  },
  {
    invariant: "I12",
    guard: "the comparison of path and hash at each entry of a fold",
    file: "runtime/revival.ts",
    text: "    assertAgrees(id, entry, snapshot);\n",
    instead: "",
    test: "test/runtime/revival.test.ts",
  },
  {
    invariant: "I12",
    guard: "the comparison of a checkpoint with its own entry",
    file: "runtime/revival.ts",
    text: "  assertAgrees(stored.id, own, checkpointed.snapshot);\n",
    instead: "",
    test: "test/runtime/revival.test.ts",
  },
  {
    invariant: "I11",
    guard: "the refusal of a commit that was decided at another seq",
    file: "persistence/commit-statement.ts",
    text: ".seq = i.expected_seq",
    instead: ".seq is not null",
    test: STORE,
    name: "Store: SQL on PGlite",
  },
  {
    invariant: "I16",
    guard: "the fence",
    file: "persistence/commit-statement.ts",
    text: ".fence = i.fence",
    instead: ".fence is not null",
    test: STORE,
    name: "Store: SQL on PGlite",
  },
  {
    invariant: "I16",
    guard: "the owner whom a commit needs",
    file: "persistence/commit-statement.ts",
    text: " and l.owner is not null",
    instead: "",
    test: STORE,
    name: "Store: SQL on PGlite",
  },
  {
    invariant: "I16",
    guard: "the new fence of each claim",
    file: "persistence/claims.ts",
    text: "  set fence = c.fence + 1,",
    instead: "  set fence = c.fence,",
    test: STORE,
    name: "Store: SQL on PGlite",
  },
  {
    invariant: "I16",
    guard: "the fence, in the store in memory that the simulation runs on",
    file: "test/simulation/memory-commit.ts",
    text: " || fence !== commit.fence",
    instead: "",
    test: "test/persistence/memory-store.test.ts",
  },
  {
    invariant: "I17",
    guard: "the idempotency key of a request",
    file: "persistence/creation.ts",
    text: "values (${checkout.caller}, ${checkout.idempotencyKey}, ${checkout.id},",
    instead: "values (${checkout.caller}, ${checkout.idempotencyKey + checkout.id}, ${checkout.id},",
    test: STORE,
    name: "Store: SQL on PGlite",
  },
  {
    invariant: "I18",
    guard: "the claim of a cart",
    file: "persistence/creation.ts",
    text: "select ${checkout.cartId}, context_id from key",
    instead: "select ${checkout.cartId + checkout.id}, context_id from key",
    test: STORE,
    name: "Store: SQL on PGlite",
  },
  {
    invariant: "I18",
    guard: "the release of the cart",
    file: "persistence/commit-statement.ts",
    text: "where i.releases and l.cart_id = a.cart_id",
    instead: "where false and l.cart_id = a.cart_id",
    test: STORE,
    name: "Store: SQL on PGlite",
  },
  {
    invariant: "I19",
    guard: "the completed version of a cart",
    file: "persistence/creation.ts",
    text: " and coalesce(v.completed_version, excluded.highest_seen - 1) < excluded.highest_seen",
    instead: "",
    test: STORE,
    name: "Store: SQL on PGlite",
  },
  {
    invariant: "I20",
    guard: "the claim of what nobody owns and nothing would wake",
    file: "persistence/claims.ts",
    text: " or (c.finished_at is null and c.wake_at is null)",
    instead: "",
    test: STORE,
    name: "Store: SQL on PGlite",
  },
  {
    invariant: "I21",
    guard: "the commit before the act",
    file: "runtime/checkout-actor.ts",
    text: "    const result = await committer.commit(commit);\n",
    instead: "    this.act(decision);\n    const result = await committer.commit(commit);\n",
    test: "test/runtime/checkout-actor.test.ts",
  },
  {
    invariant: "I22",
    guard: "the checkout's id in the key of each call",
    file: "machines/keys.ts",
    text: "? `${executionContextId}:${step}` :",
    instead: "? step :",
    test: "test/service/rollback-table.test.ts",
    name: "of checkouts that stand half-way",
  },
  {
    invariant: "I23",
    guard: "the id of an event in the inbox",
    file: "persistence/inbox-statements.ts",
    text: "insert into checkoutd.inbox (source, event_id, pcr_id, event) values ($1, $2,",
    instead: "insert into checkoutd.inbox (source, event_id, pcr_id, event) values ($1, $2 || gen_random_uuid()::text,",
    test: STORE,
    name: "Store: SQL on PGlite",
  },
  {
    invariant: "I25",
    guard: "what has arrived is heard before the deadline",
    file: "runtime/checkout-actor.ts",
    text: "isDeadline(message.id) && ",
    instead: "false && ",
    test: "test/runtime/checkout-actor.test.ts",
  },
];

export const REMOVALS: readonly Removal[] = [...CHECKS, ...GUARDS];
