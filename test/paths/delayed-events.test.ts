import { expect, test } from "vitest";
import type { Alphabet } from "../../scripts/reachable/alphabet.ts";
import { paymentEdges, runDoubledAndDelayed } from "./delayed-events.ts";
import { graphOf } from "./model.ts";
import { Atlas } from "./places.ts";
import { Ways } from "./ways.ts";

const ALPHABET: Alphabet = { retries: 0, hasWrongAmounts: false };
const isFull = process.env["TEST_FULL"] === "1";
/** An expiry that names no attempt, after the first one: the provider is asked, and an answer of any kind ends the asking. */
const UNCLEAR = "payment_collection_requirement_expired(psp_paying)";
const LEADS_ON = {
  [`PROCESSING.STEP_8.settling.awaitingPayment: ${UNCLEAR}`]: 1,
  [`PROCESSING.STEP_8.settling.polling: ${UNCLEAR}`]: 1,
};
const SLICE = isFull ? 1 : 151;

test("a payment event that comes twice or late leads to one right end, at every state", { timeout: 3_600_000 }, async () => {
  const graph = graphOf(ALPHABET);
  const all = paymentEdges(graph);
  // Where nobody tells it of a payment: the late event must be the only news.
  const ways = new Ways(graph, (name) => !name.startsWith("payment_"));
  const edges = all.filter((_, index) => index % SLICE === 0);
  const report = await runDoubledAndDelayed(graph, new Atlas(graph, ALPHABET, "ctx_walk"), ways, edges);
  const { states, doubled, delayed, byEvent, ends, leadsOn } = report;
  const print = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([name, count]) => `${count} ${name}`)
      .join(", ");
  process.stdout.write(
    `payment events, ${isFull ? "all" : `every ${SLICE}th`} of ${all.length}: ${doubled} doubled, ${delayed} delayed, ` +
      `at ${states} states: ${print(byEvent)}; ends: ${print(ends)}; left out: retries, wrong amounts\n`,
  );
  expect(doubled).toBe(edges.length);
  expect(delayed).toBe(4 * edges.length);
  if (isFull) expect(leadsOn).toEqual(LEADS_ON);
  else expect(LEADS_ON).toMatchObject(leadsOn);
});
