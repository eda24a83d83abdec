/** A checkout's evidence, read from the service's own database: for the demo, the audits, and runs on real servers. */
import type { Database } from "../../persistence/connect.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import type { Effect, Evidence, ProviderBooks, ProviderRefund } from "./evidence.ts";

const ENTRIES_MAX = 10_000;
const LOOKS_MAX = 20;

/** All of one moment: read again while the checkout moves on. */
export async function evidenceOf(database: Database, id: string): Promise<Evidence> {
  for (let look = 1; look <= LOOKS_MAX; look++) {
    const evidence = await gathered(database, id);
    const [row] = await database.rows<Evidence["row"]>(ROW, [id]);
    if (row?.seq === evidence.row.seq) return evidence;
  }
  throw new Error(`${id} doesn't stand still.`);
}

async function gathered(database: Database, id: string): Promise<Evidence> {
  const store = new SqlStore(database);
  const [found] = await database.rows<Evidence["row"] & Pick<Evidence, "removed">>(ROW, [id]);
  const stored = await store.load(id);
  if (found === undefined || stored === null) throw new Error(`There is no checkout ${id}.`);
  const { removed, ...row } = found;
  return {
    id,
    row,
    removed,
    checkpoint: stored.checkpoint,
    journal: await store.history(id, 0, ENTRIES_MAX),
    outbox: await store.events(id),
    ledger: await store.ledger(id),
    unconsumed: await store.unconsumed(id),
    books: await booksOf(database, id),
    effects: await effectsOf(database, id),
    holds: (await database.rows<{ readonly held: string }>(HOLDS, [id])).map(({ held }) => held),
  };
}

const ROW = `
select state, status, seq, owner, type_seqs as removed, parked_reason as "parkedReason", (extract(epoch from wake_at) * 1000)::float8 as "wakeAt",
  (extract(epoch from finished_at) * 1000)::float8 as "finishedAt", machine_hash as "machineHash"
from checkoutd.contexts where id = $1`;

/** The simulated provider's own tables, and our name for each of its refunds. */
async function booksOf(database: Database, id: string): Promise<ProviderBooks | null> {
  const [due] = await database.rows<Pick<ProviderBooks, "amount" | "currency">>(
    "select amount::float8 as amount, currency from checkoutd.payment_collection_requirements where context_id = $1",
    [id],
  );
  if (due === undefined) return null;
  const captures = await database.rows<ProviderBooks["captures"][number]>(CAPTURES, [id]);
  const refunds = await database.rows<ProviderRefund>(REFUNDS, [id]);
  const open = await database.rows<{ readonly attemptId: string }>(OPEN, [id]);
  return { ...due, captures, refunds, open: open.map(({ attemptId }) => attemptId) };
}

const CAPTURES = `
select psp_reference as "pspReference", amount::float8 as amount, currency
from checkoutd.provider_captures where context_id = $1 order by captured_at, psp_reference`;

const REFUNDS = `
select r.psp_reference as "pspReference", r.amount::float8 as amount, coalesce(p.id, r.id) as "refundId",
  r.failed_at is not null as "hasFailed"
from checkoutd.provider_refunds r
left join checkoutd.payment_refunds p on p.context_id = r.context_id and (p.key = r.key or p.provider_refund_id = r.id)
where r.context_id = $1 order by r.accepted_at, r.id`;

const HOLDS = `
select cart_id as held from checkoutd.live_carts where context_id = $1
union all select payment_group_id from checkoutd.live_payment_groups where context_id = $1`;

const OPEN = `
select attempt_id as "attemptId" from checkoutd.provider_charges
where context_id = $1 and status in ('created', 'requires_action') order by 1`;

async function effectsOf(database: Database, id: string): Promise<readonly Effect[]> {
  return database.rows<Effect>(
    `select e.operation, case when e.undone_at is not null then 'UNDONE' when ${IS_CONFIRMED} then 'CONFIRMED' else 'LIVE' end as state
       from checkoutd.effects e where e.context_id = $1 order by e.created_at, e.operation`,
    [id],
  );
}

/** Where a confirmation changes what an effect left, its rows say so, all of them. */
const CONFIRMED_ROWS: Readonly<Record<string, readonly [table: string, status: string]>> = {
  createPaymentGroup: ["payment_groups", "SETTLED"],
  createCheckoutOrder: ["checkout_orders", "CONFIRMED"],
  handleOptinCreationAndModification: ["opt_ins", "ACTIVE"],
  upsertLineItems: ["line_items", "CONFIRMED"],
};

const IS_CONFIRMED = `case e.operation ${Object.entries(CONFIRMED_ROWS)
  .map(([operation, [table, status]]) => {
    const others = `select from checkoutd.${table} t where t.context_id = e.context_id and t.status <> '${status}'`;
    return `when '${operation}' then not exists (${others})`;
  })
  .join(" ")} else false end`;
