/** What is wrong once everything has come to rest: the database, the stream and the clients are asked. Empty = nothing is. */
import { setTimeout as sleep } from "node:timers/promises";
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import type { Database } from "../../persistence/connect.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import { auditCheckout, type Outcome } from "../../scripts/checkout-audit.ts";
import { moneyBooks } from "../../scripts/reconcile/books.ts";
import { systemClock as clock, systemIds as ids } from "../../server/system-ports.ts";
import { SimulatedProvider } from "../../services/provider-simulator.ts";
import { reconcile } from "../../services/reconciliation.ts";
import { idsOn, streamBreaches } from "../support/broker-reader.ts";
import { moneyViolations, unrest } from "../support/payment-books.ts";
import { stockMismatches } from "../support/tables.ts";
import type { PatientClient, Told } from "./patient-client.ts";

/** A dead node's lease, and what its checkouts had before them; a refund that the bank sends back takes a while too. */
const REST_MAX_MS = 40_000;
const LOOK_MS = 250;
const AT_ONCE = 8;
const INITIATE = "/orchestration/checkout/initiate";

/** What still goes on when the time is up; empty as soon as nothing does. */
export async function comeToRest(database: Database): Promise<readonly string[]> {
  const until = performance.now() + REST_MAX_MS;
  for (;;) {
    const restless = await unrest(database);
    if (restless.length === 0 || performance.now() > until) return restless;
    await sleep(LOOK_MS);
  }
}

/** The tables alone: each checkout's invariants with a replay of its journal, all books, all stock. */
export async function breachesInDatabase(database: Database): Promise<readonly string[]> {
  const money = (await moneyViolations(database)).map((line) => `money: ${line}`);
  const stock = (await stockMismatches(database)).map((id) => `stock: ${id} differs from its bookings`);
  return [...(await auditAll(database)), ...money, ...stock, ...(await reconciled(database))];
}

async function auditAll(database: Database): Promise<readonly string[]> {
  const all = await database.rows<{ id: string; status: Outcome }>("select id, status from checkoutd.contexts order by id");
  const breaches: string[] = [];
  await eachAtOnce(all, async ({ id, status }) => {
    const { violations } = await auditCheckout(database, id, status);
    breaches.push(...violations.map((violation) => `${id}: ${violation}`));
  });
  return breaches;
}

async function reconciled(database: Database): Promise<readonly string[]> {
  const provider = new SimulatedProvider({ database, ids, clock });
  const input = { provider, books: moneyBooks(database, new SqlStore(database)), settleMs: 0, onProgress: () => {} };
  const { differences, stillMoving } = await reconcile({ ...input, startedAt: clock.now() + 1 });
  const lines = differences.map((difference) => `reconciliation: ${JSON.stringify(difference)}`);
  return stillMoving === 0 ? lines : [...lines, `reconciliation: ${stillMoving} captures still move`];
}

/** Every committed event, in the order of its checkout, none twice. */
export async function breachesOnStream(database: Database, natsUrl: string): Promise<readonly string[]> {
  const committed = await database.rows<{ id: string }>("select context_id || ':' || event_seq as id from checkoutd.outbox");
  const client = await connect({ servers: natsUrl });
  try {
    const { state } = await (await jetstreamManager(client)).streams.info("CHECKOUT");
    const stored = await idsOn(client, "CHECKOUT");
    const breaches = streamBreaches(
      committed.map(({ id }) => id),
      stored,
    );
    const isWhole = state.messages === stored.length;
    return (isWhole ? breaches : [...breaches, `${state.messages} on the stream, ${stored.length} read`]).map(
      (line) => `I15: ${line}`,
    );
  } finally {
    await client.close();
  }
}

interface Stored {
  readonly key: string;
  readonly contextId: string;
  readonly status: string;
  readonly answer: string | null;
}

/** One key is one checkout with one answer, which is what it ended as, and is repeated byte for byte. (I17) */
export async function breachesToClients(database: Database, client: PatientClient): Promise<readonly string[]> {
  await eachAtOnce(client.told, async ({ key, body }) => {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": key };
    await client.request(INITIATE, { method: "POST", headers, body });
  });
  const rows = await database.rows<Stored>(`
    select k.key, k.context_id as "contextId", c.status, k.answer_body as answer
    from checkoutd.idempotency_keys k join checkoutd.contexts c on c.id = k.context_id`);
  const stored = new Map(rows.map((row) => [row.key, row]));
  const unknown = rows.filter(({ key }) => !client.told.some((told) => told.key === key));
  return [
    ...client.told.flatMap((told) => differences(told, stored.get(told.key))),
    ...unknown.map(({ contextId }) => `${contextId}: I17: its key is nobody's`),
  ];
}

function differences({ key, contextIds, answers, status }: Told, stored: Stored | undefined): readonly string[] {
  if (stored === undefined) return [`${[...contextIds].join()}: I17: the key ${key} is not stored`];
  const { contextId } = stored;
  const [first] = answers;
  const ended = status === 200 ? endedBy(first ?? "{}") : ["ROLLED_BACK"];
  return [
    ...(contextIds.size === 1 && contextIds.has(contextId) ? [] : [`I17: its key ${key} was told of ${[...contextIds].join()}`]),
    ...(answers.size === 1 && first === stored.answer ? [] : [`I17: its key ${key} has ${answers.size} answers, or another one`]),
    ...(ended.includes(stored.status) ? [] : [`I1: its client was told ${status} ${first}, and it ended ${stored.status}`]),
  ].map((line) => `${contextId}: ${line}`);
}

function endedBy(answer: string): readonly string[] {
  const { status } = JSON.parse(answer) as { readonly status: string };
  return status === "AWAITING_PAYMENT" ? ["CONFIRMED", "ROLLED_BACK"] : [status];
}

async function eachAtOnce<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const queue = items.values();
  const worker = async () => {
    for (const item of queue) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
