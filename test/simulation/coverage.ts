/** What runs have met. A simulation that never meets something is blind to it, so each of these must be above zero. */
import type { JournalEntry } from "../../persistence/store.ts";
import type { CounterName } from "../../runtime/telemetry.ts";
import type { Simulation } from "./simulation.ts";

type Meets = (entry: JournalEntry) => boolean;

const arrives = (type: string, place: RegExp): Meets => {
  return ({ event, from }) => event.type === type && place.test(from ?? "");
};
/** Of the payment groups that were created. */
const timingsOf = (event: JournalEntry["event"]): readonly string[] => {
  const output = event["output"] as { readonly paymentGroups?: readonly { readonly paymentTiming: string }[] } | undefined;
  return (output?.paymentGroups ?? []).map(({ paymentTiming }) => paymentTiming);
};
const SUCCESS = "payment_collection_requirement_success";

const ENTRIES: Readonly<Record<string, Meets>> = {
  "success before it is awaited": arrives(SUCCESS, /STEP_[678]\.(running|backingOff|producing)/),
  "success while awaited": arrives(SUCCESS, /awaitingPayment|polling/),
  "success while the deadline asks": arrives(SUCCESS, /asking/),
  "success after the pivot": arrives(SUCCESS, /confirming|producingConfirmed|COMPLETED/),
  "success while undoing": arrives(SUCCESS, /undoing/),
  "success after the rollback": arrives(SUCCESS, /ROLLEDBACK/),
  "failure while awaited": arrives("payment_collection_requirement_failed", /awaitingPayment|polling/),
  "expiry while awaited": arrives("payment_collection_requirement_expired", /awaitingPayment|polling/),
  "found paid by asking": ({ event, from, to }) =>
    /polling|asking/.test(from ?? "") && to.includes("confirming") && "output" in event,
  "cancelled while awaited": arrives("CANCEL", /settling/),
  "cancelled in a step": arrives("CANCEL", /STEP_[1-7]/),
  "another attempt": arrives("ATTEMPT_PAYMENT", /./),
  "step tried again": ({ from, to }) => /STEP_\d\.backingOff/.test(from ?? "") && to.endsWith("running"),
  "step gave no answer in time": ({ event }) => (event["error"] as { readonly code?: string } | undefined)?.code === "TIMEOUT",
  "undo deferred": ({ from, to }) => !/deferred/.test(from ?? "") && /undoing\.deferred/.test(to),
  "deferred undo done": ({ event, from }) => /deferred/.test(from ?? "") && event.type.startsWith("xstate.done"),
  "refund sent back": arrives("payment_refund_failed", /./),
  "refund tried again": ({ from, to }) => /refunding\.backingOff/.test(from ?? "") && /refunding\.running/.test(to),
  "late money given back": ({ event, from }) => /ROLLEDBACK\.refunding/.test(from ?? "") && "output" in event,
  "second capture given back": ({ event, from }) => /COMPLETED\.refunding/.test(from ?? "") && "output" in event,
  "refunded by hand": ({ event, from }) =>
    event.type === "RESOLVE" && event["pspReference"] !== null && /refunding/.test(from ?? ""),
  "undone by hand": ({ event, from }) => event.type === "RESOLVE" && event["undo"] !== null && /deferred/.test(from ?? ""),
  "some is paid later": ({ event }) => timingsOf(event).includes("LATER") && timingsOf(event).includes("NOW"),
  "all is paid later": ({ event }) => timingsOf(event).length > 0 && !timingsOf(event).includes("NOW"),
  "confirmation tried again": ({ from, to }) => /confirming\.backingOff/.test(from ?? "") && to.endsWith("running"),
};

const COUNTERS: readonly CounterName[] = ["lease_lost", "checkouts_resumed", "locks_unavailable", "bus_unavailable"];
const TOLD = [
  "answer replayed",
  "event heard before",
  "event before its payment request",
  "told CHECKOUT_IN_PROGRESS",
  "told CART_ALREADY_CHECKED_OUT",
  "told NOT_CANCELLABLE",
  "told PAYMENT_NOT_EXPECTED",
  "told RETRY_SCHEDULED",
  "told NO_ANSWER",
  "resolved by hand",
] as const;
const STATE = [
  "completed",
  "rolled back",
  "needed attention",
  "tombstone",
  "call refused by a tombstone",
  "write refused by the fence",
  "published again",
  "publication arrived late",
] as const;

/** Everything that all runs together must have met. */
export const COVERED: readonly string[] = [...Object.keys(ENTRIES), ...COUNTERS, ...TOLD, ...STATE];

export async function coverageOf(run: Simulation): Promise<ReadonlyMap<string, number>> {
  const met = new Map<string, number>();
  const add = (what: string, by: number) => void met.set(what, (met.get(what) ?? 0) + by);
  for (const { id, state } of run.store.rows) {
    add(state === "COMPLETED" ? "completed" : "rolled back", 1);
    const journal = await run.store.history(id, 0, Number.POSITIVE_INFINITY);
    for (const entry of journal) for (const [name, meets] of Object.entries(ENTRIES)) if (meets(entry)) add(name, 1);
    const events = await run.store.events(id);
    add("needed attention", events.filter(({ type }) => type === "checkout_needs_attention").length);
    add("tombstone", run.participants.effects.of(id).filter(({ result }) => result === null).length);
  }
  for (const { counters } of run.nodes) for (const name of COUNTERS) add(name, counters.get(name));
  for (const name of TOLD) add(name, run.happened.get(name) ?? 0);
  add("call refused by a tombstone", run.participants.effects.refusals + run.participants.payments.refusals);
  add("write refused by the fence", run.store.refusedCommits);
  add("published again", run.broker.repetitions);
  add("publication arrived late", run.broker.late);
  return met;
}
