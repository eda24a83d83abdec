/**
 * Whether a finished checkout ended right, read from the database alone: every invariant (docs/invariants.md), and what
 * each participant's own rows must say. For the demo, and for the tests that kill the service.
 */
import type { Database } from "../persistence/connect.ts";
import { breachesOf } from "./invariants/breaches.ts";
import type { ProviderBooks } from "./invariants/evidence.ts";
import { publicationBreaches } from "./invariants/events.ts";
import { evidenceOf } from "./invariants/stored-evidence.ts";

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
  const evidence = await evidenceOf(database, id);
  const violations = [...breachesOf(evidence), ...publicationBreaches(evidence.outbox)];
  const demand: Demand = (holds, violation) => void (holds || violations.push(violation));
  demand(evidence.row.status === expected, `it is ${evidence.row.status}`);
  await auditParticipants(database, id, expected, demand);
  await auditAttempts(database, id, demand);
  await auditClaims(database, id, evidence.removed !== null, demand);
  const money = totalsOf(evidence.books);
  await auditPaymentRecords(database, id, money, demand);
  const orders = await all<{ status: string }>(database, "checkout_orders", "status", id);
  const wanted = expected === "CONFIRMED" ? "CONFIRMED" : "CANCELLED";
  demand(orders.length === 1 || (orders.length === 0 && expected === "ROLLED_BACK"), `${orders.length} orders`);
  for (const { status } of orders) demand(status === wanted, `the order is ${status}`);
  const invoice = await one<{ payable: number; currency: string }>(database, "invoices", "payable, currency", id);
  return {
    executionContextId: id,
    payable: invoice?.payable ?? null,
    currency: invoice?.currency ?? "INR",
    ...money,
    orderStatus: orders[0]?.status ?? null,
    violations,
  };
}

/** What each participant's rows must say, for a checkout that stands and for one that was undone. */
const STATUSES: readonly { readonly table: string; readonly CONFIRMED: string; readonly ROLLED_BACK: string }[] = [
  { table: "line_items", CONFIRMED: "CONFIRMED", ROLLED_BACK: "REVERTED" },
  { table: "opt_ins", CONFIRMED: "ACTIVE", ROLLED_BACK: "REVOKED" },
  { table: "post_selling_preferences", CONFIRMED: "ACTIVE", ROLLED_BACK: "VOID" },
  { table: "slot_bookings", CONFIRMED: "HELD", ROLLED_BACK: "FREED" },
  { table: "payment_groups", CONFIRMED: "SETTLED", ROLLED_BACK: "RELEASED" },
  { table: "coupon_uses", CONFIRMED: "HELD", ROLLED_BACK: "RELEASED" },
];

async function auditParticipants(database: Database, id: string, expected: Outcome, demand: Demand): Promise<void> {
  for (const { table, ...wanted } of STATUSES) {
    const rows = await all<{ status: string }>(database, table, "status", id);
    const wrong = rows.filter(({ status }) => status !== wanted[expected]);
    demand(wrong.length === 0, `${wrong.length} of ${rows.length} ${table} are not ${wanted[expected]}`);
  }
}

/** Each further attempt took effect under its own key, once. */
async function auditAttempts(database: Database, id: string, demand: Demand): Promise<void> {
  const attempts = await all<{ round: number }>(database, "payment_attempts", "round", id);
  const effects = await all<{ operation: string }>(database, "effects", "operation", id);
  const made = effects.filter(({ operation }) => operation === "createPaymentAttempt");
  const asked = attempts.filter(({ round }) => round > 1);
  demand(made.length === asked.length, `${made.length} further attempts took effect, and ${asked.length} are known`);
}

interface ProviderMoney {
  readonly captured: number;
  readonly refunded: number;
}

function totalsOf(books: ProviderBooks | null): ProviderMoney {
  const { captures = [], refunds = [] } = books ?? {};
  const standing = refunds.filter(({ hasFailed }) => !hasFailed);
  const sum = (rows: readonly { readonly amount: number }[]) => rows.reduce((total, { amount }) => total + amount, 0);
  return { captured: sum(captures), refunded: sum(standing) };
}

/** The provider's ledger is the truth; our own rows must say the same. */
async function auditPaymentRecords(database: Database, id: string, money: ProviderMoney, demand: Demand): Promise<void> {
  type Pcr = { captured_amount: number; refunded_amount: number };
  const pcr = await one<Pcr>(database, "payment_collection_requirements", "captured_amount, refunded_amount", id);
  const isSame = (pcr?.captured_amount ?? 0) === money.captured && (pcr?.refunded_amount ?? 0) === money.refunded;
  demand(isSame, "our books differ from the provider's");
  const columns = "id, accepted_at is not null as accepted, failed_at is not null as failed";
  const refunds = await all<{ id: string; accepted: boolean; failed: boolean }>(database, "payment_refunds", columns, id);
  for (const { id: refund, accepted, failed } of refunds) demand(accepted || failed, `the refund ${refund} was not accepted`);
}

async function auditClaims(database: Database, id: string, isTombstone: boolean, demand: Demand): Promise<void> {
  demand((await all(database, "live_carts", "cart_id", id)).length === 0, "it still holds its cart");
  demand((await all(database, "live_payment_groups", "payment_group_id", id)).length === 0, "it still holds payment groups");
  const answers = await all<{ answer_status: number | null }>(database, "idempotency_keys", "answer_status", id);
  const isStored = answers.length === 1 && answers[0]?.answer_status !== null;
  demand(isTombstone ? answers.length === 0 : isStored, "its answer is not stored");
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
