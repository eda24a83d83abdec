/** Which events a subscriber wants, and by which number their order is known. */
import type { CloudEvent } from "../messaging/bus.ts";
import { invalid } from "./options.ts";

const PREFIX = "checkout.v1.";

export interface Interest {
  /** The one subject filter that a consumer of nats-server 2.9 can have. */
  readonly filter: string;
  /** All of a checkout's messages that the filter lets through. */
  subjectOf(checkout: string): string;
  positionOf(event: CloudEvent): number;
  isWanted(event: CloudEvent): boolean;
}

/**
 * Several types are read as all, and those that nobody asked for are stepped over, at the price of one write each: two
 * consumers, one a type, would know nothing of the order between them. SubscriptionError OPTIONS_INVALID.
 */
export function interestIn(types: string | readonly string[]): Interest {
  const names = typeof types === "string" ? [types] : [...new Set(types)];
  if (names.length === 0) throw invalid("types is empty");
  const wrong = names.find((name) => !/^\w+$/.test(name));
  if (wrong !== undefined) throw invalid(`${JSON.stringify(wrong)} is no event type; say "line_items_confirmed", or "all"`);
  const isAll = names.includes("all");
  const [only] = names;
  const single = !isAll && names.length === 1 ? only : undefined;
  const wanted = new Set(names.map((name) => PREFIX + name));
  return {
    filter: `${PREFIX}${single ?? "*"}.*`,
    subjectOf: (checkout) => `${PREFIX}${single ?? "*"}.${checkout}`,
    positionOf: ({ seq, typeseq }) => (single === undefined ? seq : typeseq),
    isWanted: ({ type }) => isAll || wanted.has(type),
  };
}
