/**
 * Whether a finished checkout ended right, read from the database alone: the provider's ledger, the
 * orders, the journal and the outbox. For the demo, and for the tests that kill the service.
 */
import type { Database } from "../persistence/connect.ts";

export type Outcome = "CONFIRMED" | "ROLLED_BACK";

export interface Audit {
  readonly executionContextId: string;
  /** Null: rolled back before there was an invoice. */
  readonly payable: number | null;
  readonly currency: string;
  /** As the payment provider's ledger has it. */
  readonly captured: number;
  readonly refunded: number;
  readonly orderStatus: string | null;
  /** What is wrong, in a sentence each; empty = it ended right. */
  readonly violations: readonly string[];
}

/** Collects what does not hold. */
type Demand = (holds: boolean, violation: string) => void;

export async function auditCheckout(database: Database, id: string, expected: Outcome): Promise<Audit> {
  const violations: string[] = [];
  const demand: Demand = (holds, violation) => void (holds || violations.push(violation));
  await auditJournal(database, id, expected, demand);
  await auditEvents(database, id, expected, demand);
  await auditEffects(database, id, expected, demand);
  await auditClaims(database, id, demand);
  const invoice = await one<{ payable: number; currency: string }>(database, "invoices", "payable, currency", id);
  const money = await auditMoney(database, id, expected, invoice?.payable ?? 0, demand);
  const orders = await all<{ status: string }>(database, "checkout_orders", "status", id);
  const wanted = expected === "CONFIRMED" ? "CONFIRMED" : "CANCELLED";
  demand(orders.length === 1 || (orders.length === 0 && expected === "ROLLED_BACK"), `${orders.length} orders`);
  for (const { status } of orders) demand(status === wanted, `the order is ${status}`);
  return {
    executionContextId: id,
    payable: invoice?.payable ?? null,
    currency: invoice?.currency ?? "INR",
    ...money,
    orderStatus: orders[0]?.status ?? null,
    violations,
  };
}

async function auditJournal(database: Database, id: string, expected: Outcome, demand: Demand): Promise<void> {
  const entries = await all<{ seq: number; from_state: string | null; to_state: string }>(
    database,
    "journal",
    "seq, from_state, to_state",
    id,
    "seq",
  );
  demand(isGapless(entries.map(({ seq }) => seq)), "the journal has a gap");
  const isChained = entries.every(({ from_state }, index) => from_state === (entries[index - 1]?.to_state ?? null));
  demand(isChained, "a journal entry does not begin where the one before ended");
  const endings = entries.filter(({ from_state, to_state }) => isFinished(to_state) && !isFinished(from_state ?? ""));
  const root = expected === "CONFIRMED" ? "COMPLETED" : "ROLLEDBACK";
  const ending = endings[0]?.to_state ?? entries.at(-1)?.to_state ?? "nowhere";
  demand(endings.length === 1, `it ended ${endings.length} times and stands in ${ending}`);
  demand(ending.startsWith(root), `it ended in ${ending}`);
  const undos = entries.flatMap(({ to_state }) => /undoing\.(\w+)\.running/.exec(to_state)?.[1] ?? []);
  const firstTries = [...new Set(undos)].filter((name) => name !== "deferred");
  const order = UNDO_ORDER.filter((name) => firstTries.includes(name));
  demand(firstTries.join() === order.join(), `the undos were tried as ${firstTries.join(", ")}`);
  const row = await one<{ seq: number; parked_reason: string | null }>(database, "contexts", "seq, parked_reason", id, "id");
  demand(row?.seq === entries.length, "the checkout's seq is not its journal's last");
  demand(row?.parked_reason === null, `it is parked: ${row?.parked_reason}`);
}

/** Strict reverse of how the effects were made. */
const UNDO_ORDER = [
  "lineItemsUpdatedEvent",
  "preferencesMapping",
  "paymentHydration",
  "paymentRequest",
  "lineItems",
  "optIns",
  "order",
  "invoice",
  "preferences",
  "paymentGroups",
];

async function auditEvents(database: Database, id: string, expected: Outcome, demand: Demand): Promise<void> {
  const columns = "event_seq, type, acknowledged_at is not null as acknowledged";
  type Row = { event_seq: number; type: string; acknowledged: boolean };
  const events = await all<Row>(database, "outbox", columns, id, "event_seq");
  demand(isGapless(events.map(({ event_seq }) => event_seq)), "the events have a gap");
  demand(
    events.every(({ acknowledged }) => acknowledged),
    "an event was not published",
  );
  const count = (type: string) => events.filter((event) => event.type === type).length;
  const isConfirmed = expected === "CONFIRMED";
  const updates = count("line_items_updated");
  const wanted: Readonly<Record<string, number>> = {
    checkout_initiated: 1,
    line_items_confirmed: isConfirmed ? 1 : 0,
    checkout_completed: isConfirmed ? 1 : 0,
    checkout_rolled_back: isConfirmed ? 0 : 1,
    line_items_updated: isConfirmed ? 1 : Math.min(1, updates),
    line_items_reverted: isConfirmed ? 0 : updates,
  };
  for (const [type, times] of Object.entries(wanted)) demand(count(type) === times, `${count(type)} × ${type}, not ${times}`);
  const positions = ["line_items_updated", "line_items_confirmed"].map((type) =>
    events.findIndex((event) => event.type === type),
  );
  demand(!isConfirmed || (positions[0] ?? 0) < (positions[1] ?? 0), "line_items_confirmed precedes line_items_updated");
}

/**
 * Have no undo of their own: a locked group is released with the groups, which their status above shows; further payment
 * attempts are reversed with the first one, which the provider's ledger shows.
 */
const UNDONE_BY_OTHERS: ReadonlySet<string> = new Set(["lockPaymentGroups", "createPaymentAttempt"]);
/** Takes effect once for each further attempt, under a key of its own. */
const REPEATABLE = "createPaymentAttempt";

/** What each participant's rows must say, for a checkout that stands and for one that was undone. */
const STATUSES: readonly { readonly table: string; readonly CONFIRMED: string; readonly ROLLED_BACK: string }[] = [
  { table: "line_items", CONFIRMED: "CONFIRMED", ROLLED_BACK: "REVERTED" },
  { table: "opt_ins", CONFIRMED: "ACTIVE", ROLLED_BACK: "REVOKED" },
  { table: "post_selling_preferences", CONFIRMED: "ACTIVE", ROLLED_BACK: "VOID" },
  { table: "slot_bookings", CONFIRMED: "HELD", ROLLED_BACK: "FREED" },
  { table: "payment_groups", CONFIRMED: "SETTLED", ROLLED_BACK: "RELEASED" },
  { table: "coupon_uses", CONFIRMED: "HELD", ROLLED_BACK: "RELEASED" },
];

async function auditEffects(database: Database, id: string, expected: Outcome, demand: Demand): Promise<void> {
  for (const { table, ...wanted } of STATUSES) {
    const rows = await all<{ status: string }>(database, table, "status", id);
    const wrong = rows.filter(({ status }) => status !== wanted[expected]);
    demand(wrong.length === 0, `${wrong.length} of ${rows.length} ${table} are not ${wanted[expected]}`);
  }
  const attempts = await all<{ round: number }>(database, "payment_attempts", "round", id);
  const furtherAttempts = attempts.filter(({ round }) => round > 1);
  type Row = { operation: string; live: number; total: number };
  const effects = await database.rows<Row>(
    `select operation, count(*) filter (where undone_at is null)::int as live, count(*)::int as total
       from checkoutd.effects where context_id = $1 group by operation`,
    [id],
  );
  for (const { operation, live, total } of effects) {
    const wanted = operation === REPEATABLE ? furtherAttempts.length : 1;
    demand(total === wanted, `${operation} took effect under ${total} keys`);
    if (expected === "CONFIRMED") demand(live === wanted, `${operation} has ${live} live effects`);
    else demand(live === 0 || UNDONE_BY_OTHERS.has(operation), `${operation} was not undone`);
  }
}

interface ProviderMoney {
  readonly captured: number;
  readonly refunded: number;
}

/** The provider's ledger is the truth; our own rows must say the same. */
async function auditMoney(
  database: Database,
  id: string,
  expected: Outcome,
  payable: number,
  demand: Demand,
): Promise<ProviderMoney> {
  type Row = { amount: number; refunded_amount: number };
  const captures = await all<Row>(database, "provider_captures", "amount, refunded_amount", id);
  const captured = captures.reduce((sum, { amount }) => sum + amount, 0);
  const refunded = captures.reduce((sum, { refunded_amount }) => sum + refunded_amount, 0);
  // Whatever else it captured, doubled or with a wrong amount, was given back in full.
  const kept = captures.filter(({ refunded_amount, amount }) => refunded_amount < amount);
  if (expected === "CONFIRMED") {
    const isPaidOnce = kept.length === 1 && kept[0]?.amount === payable && kept[0].refunded_amount === 0;
    demand(isPaidOnce, `the provider holds ${captured - refunded} of ${kept.length} captures, not one of ${payable}`);
  } else {
    demand(captured === refunded, `the provider holds ${captured - refunded}`);
  }
  type Pcr = { captured_amount: number; refunded_amount: number };
  const pcr = await one<Pcr>(database, "payment_collection_requirements", "captured_amount, refunded_amount", id);
  const isSame = (pcr?.captured_amount ?? 0) === captured && (pcr?.refunded_amount ?? 0) === refunded;
  demand(isSame, "our books differ from the provider's");
  await auditLedger(database, id, { held: captured - refunded, paid: expected === "CONFIRMED" ? payable : 0 }, demand);
  await auditRefunds(database, id, demand);
  return { captured, refunded };
}

/** Double-entry: what it says the provider holds, what it says was paid for the order, and nothing in between. */
async function auditLedger(
  database: Database,
  id: string,
  { held, paid }: { readonly held: number; readonly paid: number },
  demand: Demand,
): Promise<void> {
  type Row = { debit: string; credit: string; amount: number };
  const transfers = await all<Row>(database, "ledger", "debit, credit, amount", id, "seq, line");
  const balance = (account: string) =>
    transfers.reduce(
      (sum, { debit, credit, amount }) => sum + (debit === account ? amount : 0) - (credit === account ? amount : 0),
      0,
    );
  // The order is where the money came from: what it is paid with leaves it.
  const wanted = { PROVIDER: held, ORDER: 0 - paid, SUSPENSE: 0 };
  for (const [account, amount] of Object.entries(wanted)) {
    demand(balance(account) === amount, `the ledger's ${account} is ${balance(account)}, not ${amount}`);
  }
}

/**
 * Each refund that stands was accepted and announced once. One that the bank sent back was perhaps never announced: its
 * failure may overtake the acceptance.
 */
async function auditRefunds(database: Database, id: string, demand: Demand): Promise<void> {
  type Row = { id: string; accepted: boolean; failed: boolean };
  const columns = "id, accepted_at is not null as accepted, failed_at is not null as failed";
  const refunds = await all<Row>(database, "payment_refunds", columns, id);
  const events = await all<{ type: string; refund: string }>(database, "outbox", "type, data->>'refundId' as refund", id);
  const told = events.filter(({ type }) => type === "payment_refunded");
  const timesTold = (refund: Row) => told.filter((event) => event.refund === refund.id).length;
  const isRight = (refund: Row) =>
    refund.failed ? timesTold(refund) <= (refund.accepted ? 1 : 0) : refund.accepted && timesTold(refund) === 1;
  const isKnown = told.every((event) => refunds.some((refund) => refund.id === event.refund));
  demand(isKnown && refunds.every(isRight), "a refund was not accepted and announced exactly once");
}

async function auditClaims(database: Database, id: string, demand: Demand): Promise<void> {
  demand((await all(database, "live_carts", "cart_id", id)).length === 0, "it still holds its cart");
  demand((await all(database, "live_payment_groups", "payment_group_id", id)).length === 0, "it still holds payment groups");
  const answers = await all<{ answer_status: number | null }>(database, "idempotency_keys", "answer_status", id);
  demand(answers.length === 1 && answers[0]?.answer_status !== null, "its answer is not stored");
}

function isFinished(state: string): boolean {
  return state.startsWith("COMPLETED") || state.startsWith("ROLLEDBACK");
}

function isGapless(numbers: readonly number[]): boolean {
  return numbers.length > 0 && numbers.every((number, index) => number === index + 1);
}

/** Table and columns are ours, never input. */
function all<Row>(
  database: Database,
  table: string,
  columns: string,
  id: string,
  orderBy = "1",
  key = "context_id",
): Promise<Row[]> {
  return database.rows<Row>(`select ${columns} from checkoutd.${table} where ${key} = $1 order by ${orderBy}`, [id]);
}

async function one<Row>(
  database: Database,
  table: string,
  columns: string,
  id: string,
  key = "context_id",
): Promise<Row | undefined> {
  return (await all<Row>(database, table, columns, id, "1", key))[0];
}
