/** What others were told: without a gap, in order, each fact once. */
import type { PublishedEvent } from "../../persistence/store.ts";
import { breach, isCompleted, isCounting, type Check } from "./breach.ts";
import type { Evidence } from "./evidence.ts";

type EventCheck = Check<Pick<Evidence, "row" | "outbox" | "ledger" | "books">>;

/** Holds at every moment, of a checkout that still runs too. */
export function orderBreaches(outbox: readonly PublishedEvent[]): readonly string[] {
  const told = outbox.map(({ type }) => type);
  const ofOneType = [...new Set(told)].map((type) => outbox.filter((event) => event.type === type));
  const repeated = ONCE.filter((type) => told.indexOf(type) !== told.lastIndexOf(type));
  const ends = told.filter((type) => type === "checkout_completed" || type === "checkout_rolled_back");
  const isConfirmedFirst = told.includes("line_items_confirmed") && !isBefore(told, "line_items_updated", "line_items_confirmed");
  return [
    ...breach(!isCounting(outbox.map(({ eventSeq }) => eventSeq)), "I13: the events have a gap"),
    ...breach(
      !ofOneType.every((events) => isCounting(events.map(({ typeSeq }) => typeSeq))),
      "I13: the events of a type have a gap",
    ),
    ...breach(isConfirmedFirst, "I13: confirmed before updated"),
    ...breach(repeated.length > 0, `I14: told more than once: ${repeated.join()}`),
    ...breach(ends.length > 1, `I14: both ends were told: ${ends.join()}`),
  ];
}

const ONCE = [
  "checkout_initiated",
  "line_items_updated",
  "line_items_confirmed",
  "line_items_reverted",
  "checkout_completed",
  "checkout_rolled_back",
];

/** A relay that has come to rest has published everything. */
export function publicationBreaches(outbox: readonly PublishedEvent[]): readonly string[] {
  const waiting = outbox.filter(({ acknowledgedAt }) => acknowledgedAt === null).map(({ type }) => type);
  return breach(waiting.length > 0, `I15: not published: ${waiting.join()}`);
}

const tellsItsEnd: EventCheck = (evidence) => {
  const count = (type: string) => evidence.outbox.filter((event) => event.type === type).length;
  return endBreaches(isCompleted(evidence), isRevertedByHand(evidence.outbox), count);
};

/** `count`: how often an event of this type was told. */
export function endBreaches(
  isConfirmed: boolean,
  hasRevertedByHand: boolean,
  count: (type: string) => number,
): readonly string[] {
  const updates = count("line_items_updated");
  const expected = {
    checkout_initiated: 1,
    checkout_completed: isConfirmed ? 1 : 0,
    checkout_rolled_back: isConfirmed ? 0 : 1,
    line_items_confirmed: isConfirmed ? 1 : 0,
    line_items_updated: isConfirmed ? 1 : updates,
    // An operator who took care of it by hand told whoever had to know.
    line_items_reverted: isConfirmed || hasRevertedByHand ? 0 : updates,
  };
  const wrong = Object.entries(expected).filter(([type, times]) => count(type) !== times);
  return wrong.map(([type, times]) => `I14: ${type} was told ${count(type)} times instead of ${times}`);
}

/**
 * Each refund that stands is told once. One that failed later was perhaps never told: its failure may overtake the
 * acceptance. Those that an operator made are known to our ledger alone.
 */
const tellsEachRefundOnce: EventCheck = ({ outbox, ledger, books }) => {
  const refunds = books?.refunds ?? [];
  const told = outbox.filter(({ type }) => type === "payment_refunded").map(({ data }) => data);
  const [byHand, byProvider] = [told.filter((data) => data["byHand"] === true), told.filter((data) => data["byHand"] !== true)];
  const names = byProvider.map((data) => String(data["refundId"]));
  const timesTold = (refundId: string) => names.filter((name) => name === refundId).length;
  const wrong = refunds.filter(({ refundId, hasFailed }) => timesTold(refundId) > 1 || (!hasFailed && timesTold(refundId) === 0));
  const unknown = names.filter((name) => !refunds.some(({ refundId }) => refundId === name));
  const handed = ledger.filter(({ credit }) => credit === "BY_HAND").length;
  return [
    ...breach(wrong.length > 0, `I14: not told once: ${wrong.map(({ refundId }) => refundId).join()}; told are ${names.join()}`),
    ...breach(unknown.length > 0, `I14: told, and never made: ${unknown.join()}`),
    ...breach(byHand.length !== handed, `I14: ${byHand.length} refunds by hand were told, and ${handed} made`),
  ];
};

export const EVENT_CHECKS: readonly EventCheck[] = [({ outbox }) => orderBreaches(outbox), tellsItsEnd, tellsEachRefundOnce];

function isBefore(told: readonly string[], first: string, second: string): boolean {
  return told.includes(first) && told.indexOf(first) < told.indexOf(second);
}

function isRevertedByHand(outbox: readonly PublishedEvent[]): boolean {
  const byHand = outbox.find(({ type }) => type === "checkout_rolled_back")?.data["undoneByHand"];
  return Array.isArray(byHand) && byHand.includes("lineItemsUpdatedEvent");
}
