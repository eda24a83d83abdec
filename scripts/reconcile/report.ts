/** What a reconciliation prints: a table for people, or one JSON document for machines. */
import type { Difference } from "../../services/capture-comparison.ts";
import type { CurrencyTotal, Reconciliation } from "../../services/reconciliation-tally.ts";
import { amount, headline, say, styled, table } from "../output.ts";
import type { Delivered } from "./books.ts";

export function printJson(result: Reconciliation, delivered: Delivered | null): void {
  const differences = result.differences.map(({ notice, ...difference }) => ({ ...difference, isDeliverable: notice !== null }));
  say(
    JSON.stringify({ isEqual: differences.length === 0, ...result, differences, ...(delivered === null ? {} : { delivered }) }),
  );
}

export function printReport(result: Reconciliation, delivered: Delivered | null): void {
  const { charges, captures, differences, totals, byHand, stillMoving } = result;
  if (differences.length > 0) printDifferences(differences);
  if (totals.length > 0) printTotals(totals);
  headline("In all");
  const counts = [counted(charges, "charge"), counted(captures, "capture"), `${byHand} given back by hand`];
  say(`  ${[...counts, `${counted(stillMoving, "checkout")} still moving`].join(", ")}`);
  if (delivered !== null) sayDelivered(delivered);
  const isEqual = differences.length === 0;
  say(isEqual ? styled("green", "  Both say the same.") : styled("red", `  ${counted(differences.length, "difference")}.`));
}

function printTotals(totals: readonly CurrencyTotal[]): void {
  headline("Held at the provider");
  const rows = totals.map((total) => {
    const money = [total.provider, total.ledger, total.byHand].map((minor) => amount(minor, total.currency));
    const isEqual = total.provider === total.ledger;
    const cells = [total.currency, String(total.captures), ...money, isEqual ? "equal" : "DIFFERENT"];
    return { cells, style: isEqual ? ("green" as const) : ("red" as const) };
  });
  table(["currency", "captures", "the provider says", "the ledger says", "given back by hand", ""], rows);
}

function printDifferences(differences: readonly Difference[]): void {
  headline("Differences");
  const rows = differences.map((difference) => {
    const { code, executionContextId, pspReference, currency, provider, ledger, message } = difference;
    const money = [provider, ledger].map((minor) => amount(minor, currency));
    return { cells: [code, executionContextId, pspReference ?? "", ...money, message], style: "yellow" as const };
  });
  table(["code", "checkout", "capture", "provider", "ledger", ""], rows);
}

function sayDelivered({ fresh, repeated }: Delivered): void {
  const before = repeated === 0 ? "" : `; ${repeated} had been delivered before`;
  say(
    `  ${counted(fresh, "payment")} delivered to the inbox${before}. A running service settles or refunds it; then look again.`,
  );
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
