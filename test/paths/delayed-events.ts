/**
 * Payment events as providers really send them: twice, and late. At every state that takes one: what comes again changes
 * nothing, what comes late leads to a state of the model, and either way the checkout comes to one right end.
 */
import { canonicalJson } from "../../machines/canonical-json.ts";
import type { Refund } from "../../machines/context.ts";
import type { JournalEntry } from "../../persistence/store.ts";
import { EVENT_CHECKS } from "../../scripts/invariants/events.ts";
import type { Evidence, ProviderBooks } from "../../scripts/invariants/evidence.ts";
import { JOURNAL_CHECKS } from "../../scripts/invariants/journal.ts";
import { heardCaptures, MONEY_CHECKS } from "../../scripts/invariants/money.ts";
import type { Graph } from "./model.ts";
import type { Atlas, Leg, Place } from "./places.ts";
import type { Ways } from "./ways.ts";
import { Walk } from "./walk.ts";

/** How many other events come first; the last one brings the checkout to its end. */
const DELAYS = [1, 2, 4, Number.POSITIVE_INFINITY] as const;

export interface PaymentEdge {
  readonly from: string;
  readonly name: string;
}

export interface DelayReport {
  readonly states: number;
  readonly doubled: number;
  readonly delayed: number;
  /** Doubled, and the model says that the second one leads on: by where it was and what came. */
  readonly leadsOn: Readonly<Record<string, number>>;
  readonly byEvent: Readonly<Record<string, number>>;
  readonly ends: Readonly<Record<string, number>>;
}

export function paymentEdges(graph: Graph): PaymentEdge[] {
  return [...graph].flatMap(([from, { edges }]) => {
    return [...edges.keys()].filter((name) => name.startsWith("payment_")).map((name) => ({ from, name }));
  });
}

export async function runDoubledAndDelayed(
  graph: Graph,
  atlas: Atlas,
  ways: Ways,
  edges: readonly PaymentEdge[],
): Promise<DelayReport> {
  const tally = { states: 0, doubled: 0, delayed: 0, leadsOn: {}, byEvent: {}, ends: {} };
  for (const [from, names] of namesByState(edges)) {
    const here = await walkTo(atlas, ways.to(from));
    tally.states++;
    for (const [number, name] of names.entries()) {
      count(tally.byEvent, name);
      const doubled = doubledRoute(atlas, ways, from, name);
      if (!doubled.isUnchanged) count(tally.leadsOn, `${graph.get(from)?.path}: ${name}`);
      count(tally.ends, await arrive(here, atlas, doubled.route, doubled.again));
      tally.doubled++;
      for (const route of delayedRoutes(graph, atlas, ways, { from, name }, tally.states + number)) {
        count(tally.ends, await arrive(here, atlas, route, []));
        tally.delayed++;
      }
    }
  }
  return tally;
}

function namesByState(edges: readonly PaymentEdge[]): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const { from, name } of edges) names.set(from, [...(names.get(from) ?? []), name]);
  return names;
}

async function walkTo(atlas: Atlas, way: readonly string[]): Promise<Walk> {
  const walk = await Walk.inMemory(atlas.id, atlas.placesOf(way));
  await walk.stepTo(way.length);
  return walk;
}

interface DoubledRoute {
  readonly route: readonly Leg[];
  /** The events that are sent once more under their own id. */
  readonly again: readonly number[];
  readonly isUnchanged: boolean;
}

/** The event, and its content once more under an id of its own. */
function doubledRoute(atlas: Atlas, ways: Ways, from: string, name: string): DoubledRoute {
  const way = ways.to(from);
  const event = atlas.eventAt(lastOf(atlas.placesOf(way)), name);
  const route: Leg[] = [...way, event, event];
  const places = atlas.placesOf(route);
  const [once, twice] = [lastOf(places.slice(0, -1)), lastOf(places)];
  return {
    route: [...route, ...ways.toEnd(twice.key)],
    again: [way.length, way.length + 1],
    isUnchanged: standingOf(once) === standingOf(twice) && twice.emitted.length === 0,
  };
}

function standingOf({ entry, step, timers }: Place): string {
  return canonicalJson([entry.to, entry.contextHash, step, timers]);
}

/** The same event after others: after each delay, something else is the first that comes instead. */
function delayedRoutes(
  graph: Graph,
  atlas: Atlas,
  ways: Ways,
  { from, name }: PaymentEdge,
  rotation: number,
): readonly (readonly Leg[])[] {
  const way = ways.to(from);
  const event = atlas.eventAt(lastOf(atlas.placesOf(way)), name);
  const others = [...(graph.get(from)?.edges ?? [])].filter(([other]) => other !== name);
  return DELAYS.flatMap((delay, number) => {
    const [first, to] = others[(rotation + number) % others.length] ?? [];
    if (first === undefined || to === undefined) return [];
    const meanwhile = [...way, first, ...ways.toEnd(to).slice(0, delay - 1), event];
    return [[...meanwhile, ...ways.toEnd(lastOf(atlas.placesOf(meanwhile)).key)]];
  });
}

/** The state in which it comes to rest. */
async function arrive(here: Walk, atlas: Atlas, route: readonly Leg[], again: readonly number[]): Promise<string> {
  const places = atlas.placesOf(route);
  const walk = here.fork(places);
  try {
    for (const index of route.keys()) {
      if (index < walk.index) continue;
      await walk.step();
      if (again.includes(index)) await walk.repeat();
    }
    await walk.finish();
    const breaches = await breachesOf(walk, atlas.id, lastOf(places));
    if (breaches.length > 0) throw new Error(breaches.join("\n"));
  } catch (error) {
    throw new Error(`On the route ${canonicalJson(route)}`, { cause: error });
  }
  return lastOf(places).entry.to;
}

async function breachesOf(walk: Walk, id: string, end: Place): Promise<readonly string[]> {
  const { store } = walk.memory;
  const row = store.row(id);
  if (row === null) return ["The checkout is gone."];
  const journal = await store.history(id, 0, end.seq);
  const evidence: Evidence = {
    id,
    row,
    checkpoint: null,
    journal,
    removed: null,
    outbox: await store.events(id),
    ledger: await store.ledger(id),
    unconsumed: await store.unconsumed(id),
    books: booksOf(journal, end),
    effects: [],
    holds: store.heldBy(id),
  };
  const unsettled = await store.unsettled(-1, 1);
  return [
    ...[...JOURNAL_CHECKS, ...MONEY_CHECKS, ...EVENT_CHECKS].flatMap((check) => check(evidence)),
    ...unsettled.map(({ amount }) => `${amount} are left in suspense`),
  ];
}

/** What the provider must have done to say all that it said. */
function booksOf(journal: readonly JournalEntry[], { snapshot }: Place): ProviderBooks | null {
  const { invoice } = snapshot.context;
  const said = journal.map(({ event }) => event);
  const captures = new Map(said.flatMap((event) => heardCaptures(event).map((capture) => [capture.pspReference, capture])));
  const refunds = new Map(said.flatMap((event) => heardRefunds(event).map((refund) => [refund.refundId, refund])));
  const failed = said.filter(({ type }) => type === "payment_refund_failed").map(({ data }) => data as Partial<Refund>);
  if (invoice === null) return null;
  return {
    amount: invoice.payable,
    currency: invoice.currency,
    captures: [...captures.values()],
    refunds: [...refunds.values()].map(({ pspReference, amount, refundId, providerRefundId }) => {
      const hasFailed = failed.some((one) => one.providerRefundId === providerRefundId);
      return { pspReference, amount, refundId, hasFailed };
    }),
    open: [],
  };
}

function heardRefunds({ output }: JournalEntry["event"]): readonly Refund[] {
  const reply = output as (Partial<Refund> & { readonly refunds?: readonly Refund[] }) | null | undefined;
  if (reply?.refundId !== undefined) return [reply as Refund];
  return reply?.refunds ?? [];
}

function lastOf(places: readonly Place[]): Place {
  const last = places.at(-1);
  if (last === undefined) throw new Error("A route has places.");
  return last;
}

function count(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}
