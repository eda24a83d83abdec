/** The books at the end: what the API said, held against what the database has, for every checkout that was played. */
import type { Database } from "../../persistence/connect.ts";
import { auditCheckout, type Audit } from "../checkout-audit.ts";
import { getCheckout, getLedger, type AnswerBody, type LedgerBody } from "./client.ts";
import type { DemoService } from "./demo-service.ts";
import { amount, headline, say, styled, table } from "../output.ts";
import type { Played } from "./watched-checkout.ts";

/** What the API says, last thing before its process is stopped. */
export interface Told {
  readonly checkout: AnswerBody;
  readonly ledger: LedgerBody;
}

/** One row of the books. */
interface Entry {
  readonly name: string;
  readonly audit: Audit;
  /** Captured, and neither confirmed nor given back. */
  readonly suspense: number;
  readonly wrongs: readonly string[];
}

export function askForBooks({ url }: DemoService, played: readonly Played[]): Promise<Told[]> {
  return Promise.all(
    played.map(async ({ executionContextId: id }) => {
      const [checkout, ledger] = await Promise.all([getCheckout(url, id), getLedger(url, id)]);
      return { checkout, ledger };
    }),
  );
}

/** Whether every number is right. */
export async function showBooks(database: Database, played: readonly Played[], told: readonly Told[]): Promise<boolean> {
  const entries: Entry[] = [];
  for (const [index, one] of played.entries()) entries.push(await entryOf(database, one, told[index]));
  headline("The books");
  table(["checkout", "payable", "captured", "refunded", "suspense", "order", "verdict"], entries.map(rowOf));
  say(styled("dim", "  Read from the provider's ledger and from ours, and held against journal, outbox, orders and the API."));
  return entries.every(({ wrongs }) => wrongs.length === 0);
}

async function entryOf(database: Database, { scenario, executionContextId, wrongs }: Played, told?: Told): Promise<Entry> {
  const audit = await auditCheckout(database, executionContextId, scenario.outcome);
  const balances = await balancesOf(database, executionContextId);
  const suspense = balances.get("SUSPENSE") ?? 0;
  const { payment, status } = told?.checkout ?? {};
  const isAgreed = payment?.capturedAmount === audit.captured && payment.refundedAmount === audit.refunded;
  const toldBalances = told?.ledger.balances.map(({ account, amount: minor }): [string, number] => [account, minor]) ?? [];
  const demands: readonly (readonly [boolean, string])[] = [
    [isAgreed && status === scenario.outcome, `the API says ${status}, ${JSON.stringify(payment)}`],
    [scenario.outcome !== "CONFIRMED" || audit.captured === audit.payable, `${audit.captured} were captured, not once`],
    [written(new Map(toldBalances)) === written(balances), `the API's ledger says ${written(new Map(toldBalances))}`],
  ];
  const broken = demands.filter(([holds]) => !holds).map(([, violation]) => violation);
  return { name: scenario.name, audit, suspense, wrongs: [...wrongs, ...audit.violations, ...broken] };
}

/** What each account of a checkout comes to: every transfer arrives in `debit` and leaves `credit`. One currency here. */
async function balancesOf(database: Database, executionContextId: string): Promise<Map<string, number>> {
  const rows = await database.rows<{ account: string; balance: number }>(
    `select account, sum(change)::int as balance
       from (select debit as account, amount as change from checkoutd.ledger where context_id = $1
             union all
             select credit, -amount from checkoutd.ledger where context_id = $1) as moves
      group by account`,
    [executionContextId],
  );
  return new Map(rows.map(({ account, balance }) => [account, balance]));
}

function written(balances: ReadonlyMap<string, number>): string {
  return [...balances]
    .map(([account, balance]) => `${account} ${balance}`)
    .sort()
    .join(", ");
}

function rowOf({ name, audit, suspense, wrongs }: Entry) {
  const { payable, currency, captured, refunded, orderStatus } = audit;
  const money = [payable ?? 0, captured, refunded, suspense].map((minor) => amount(minor, currency));
  const verdict = wrongs.length === 0 ? `right: ${whatIsRight(audit)}` : `WRONG: ${wrongs.join("; ")}`;
  const style = wrongs.length === 0 ? ("green" as const) : ("red" as const);
  return { cells: [name, ...money, orderStatus ?? "none", verdict], style };
}

function whatIsRight({ captured, refunded }: Audit): string {
  if (captured === 0) return "nothing is left";
  return refunded === captured ? "came too late, given back in full" : "captured exactly once";
}
