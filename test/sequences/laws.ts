/** What must hold of a checkout that has come to rest, whatever happened to it. Each function gives one line a breach. */
import { canonicalJson } from "../../machines/canonical-json.ts";
import type { Capture, PaymentOutcome } from "../../machines/context.ts";
import { checkoutMachine } from "../../machines/checkout.ts";
import { viewOf } from "../../machines/view.ts";
import type { JournalEntry, LedgerEntry, PublishedEvent } from "../../persistence/store.ts";
import { decide, dehydrate, hashContext, hydrate, statePath, type StampedEvent } from "../../runtime/engine.ts";
import type { Effect } from "../simulation/effect-book.ts";
import type { Requirement } from "../simulation/fake-payments.ts";
import type { Fixture, World } from "./world.ts";

export interface Ending {
  readonly world: World;
  readonly isCompleted: boolean;
  readonly journal: readonly JournalEntry[];
  readonly outbox: readonly PublishedEvent[];
  readonly ledger: readonly LedgerEntry[];
  readonly requirement: Requirement;
  readonly effects: readonly Effect[];
  /** For each cancellation that was asked for: whether the checkout was past its pivot then. */
  readonly cancelledPastPivot: readonly boolean[];
  /** The provider had captured before the letters came, and had told nobody. */
  readonly isPaidUnheard: boolean;
}

type Law = (ending: Ending) => readonly string[];

/** It enters one end, stays there and rests; and nothing that the node logs as trouble happens on the way. */
const endsOnce: Law = ({ world, journal }) => {
  const isEnd = (path: string | null) => path !== null && /^(COMPLETED|ROLLEDBACK)\./.test(path);
  const entered = journal.filter(({ from, to }) => isEnd(to) && !isEnd(from)).map(({ to }) => to);
  const left = journal.filter(({ from, to }) => isEnd(from) && to.split(".")[0] !== from?.split(".")[0]);
  const last = journal.at(-1)?.to ?? "nowhere";
  return [
    ...breach(entered.length !== 1, `it ended ${entered.length} times: ${entered.join()}`),
    ...breach(left.length > 0, "it left its end"),
    ...breach(!last.endsWith(".atRest"), `it rests at ${last}`),
    ...breach(world.troubles.length > 0, world.troubles.join("; ")),
  ];
};

const conservesMoney: Law = ({ isCompleted, requirement, ledger }) => {
  const { captures, givenBack, amount } = requirement;
  const net = sum(captures.map((one) => one.amount)) - sum(givenBack.map(({ refund }) => refund.amount));
  const due = isCompleted ? amount : 0;
  const references = givenBack.map(({ refund }) => refund.pspReference);
  const balance = (account: string) =>
    sum(ledger.map((one) => (one.debit === account ? one.amount : 0) - (one.credit === account ? one.amount : 0)));
  const [suspense, provider] = [balance("SUSPENSE"), balance("PROVIDER")];
  return [
    ...breach(net !== due, `the provider holds ${net} and should hold ${due}`),
    ...breach(new Set(references).size < references.length, `refunded twice: ${references.join()}`),
    ...breach(
      givenBack.some(({ refund }) => captures.find((one) => one.pspReference === refund.pspReference)?.amount !== refund.amount),
      "a refund is not its capture's amount",
    ),
    ...breach(suspense !== 0, `${suspense} is left in suspense`),
    ...breach(provider !== net, `the ledger has ${provider} at the provider, which holds ${net}`),
  ];
};

/** The first capture that pays, by whichever door it was heard of, is the one that stays. */
const refundsNotThePayer: Law = ({ isCompleted, journal, requirement }) => {
  if (!isCompleted) return [];
  const payer = journal.map(({ event }) => heardCapture(event)).find((capture) => capture?.amount === requirement.amount);
  const held = requirement.captures.filter(
    (capture) => !requirement.givenBack.some(({ refund }) => refund.pspReference === capture.pspReference),
  );
  const names = held.map(({ pspReference }) => pspReference).join();
  return [
    ...breach(!journal.some(({ to }) => isConfirming(to)), "it completed without a pivot"),
    ...breach(names !== payer?.pspReference, `${payer?.pspReference} paid, but what is held is ${names || "nothing"}`),
  ];
};

function heardCapture(event: JournalEntry["event"]): Capture | null {
  const { data, output } = event as { readonly data?: Capture; readonly output?: { readonly outcome?: PaymentOutcome } };
  if (event.type === "payment_collection_requirement_success") return data ?? null;
  return output?.outcome?.kind === "captured" ? output.outcome : null;
}

const tellsEachFactOnce: Law = ({ isCompleted, outbox, requirement }) => {
  const told = outbox.map(({ type }) => type);
  const count = (type: string) => told.filter((one) => one === type).length;
  const expected = {
    checkout_initiated: 1,
    checkout_completed: isCompleted ? 1 : 0,
    checkout_rolled_back: isCompleted ? 0 : 1,
    line_items_confirmed: isCompleted ? 1 : 0,
    line_items_reverted: isCompleted ? 0 : count("line_items_updated"),
    payment_refunded: requirement.givenBack.length,
  };
  const refunded = outbox.filter(({ type }) => type === "payment_refunded").map(({ data }) => data["pspReference"]);
  const given = requirement.givenBack.map(({ refund }) => refund.pspReference);
  const wrong = Object.entries(expected).filter(([type, times]) => count(type) !== times);
  return [
    ...wrong.map(([type, times]) => `${type} was told ${count(type)} times instead of ${times}`),
    ...breach(count("line_items_updated") > 1, "line_items_updated was told more than once"),
    ...breach(isCompleted && told.indexOf("line_items_updated") < 0, "confirmed and never updated"),
    ...breach(
      isCompleted && told.indexOf("line_items_confirmed") < told.indexOf("line_items_updated"),
      "confirmed before updated",
    ),
    ...breach(!hasSame(refunded, given), `refunds told: ${refunded.join()}; given: ${given.join()}`),
    ...breach(
      outbox.some(({ eventSeq }, index) => eventSeq !== index + 1),
      "the events have a gap",
    ),
  ];
};

/** Of everything that the steps do, by operation: what it is after a confirmation. */
const CONFIRMED_EFFECTS: Readonly<Record<string, Effect["state"]>> = {
  createPaymentGroup: "CONFIRMED",
  createPostSellingPreferences: "LIVE",
  getLineItemSummary: "LIVE",
  createCheckoutOrder: "CONFIRMED",
  handleOptinCreationAndModification: "CONFIRMED",
  upsertLineItems: "CONFIRMED",
  hydratePaymentAndUpdateLineItems: "LIVE",
  createPreferencesToLineItemsMapping: "LIVE",
};

const leavesEffectsOnceOrNotAtAll: Law = ({ isCompleted, effects, world, requirement }) => {
  const pending = requirement.charges.filter(({ status }) => status === "PENDING").map(({ attemptId }) => attemptId);
  const open = breach(pending.length > 0, `nobody waits for ${pending.join()}, and it can still be paid`);
  const troubles = [...world.participants.effects.violations, ...open];
  if (!isCompleted) {
    const live = effects.filter(({ state }) => state !== "UNDONE").map(({ operation }) => operation);
    return [...troubles, ...breach(live.length > 0, `rolled back, and still there: ${live.join()}`)];
  }
  const found = Object.keys(CONFIRMED_EFFECTS).flatMap((operation) => {
    const states = effects.filter((effect) => effect.operation === operation).map(({ state }) => state);
    return breach(states.join() !== CONFIRMED_EFFECTS[operation], `${operation} is ${states.join() || "missing"}`);
  });
  return [...troubles, ...found];
};

const hearsCancelBeforeItsPivot: Law = ({ isCompleted, cancelledPastPivot }) => [
  ...breach(isCompleted && cancelledPastPivot.includes(false), "it was cancelled before its pivot, and completed"),
  ...breach(!isCompleted && cancelledPastPivot.includes(true), "it was cancelled after its pivot, and rolled back"),
];

const confirmsWhatIsPaid: Law = ({ isCompleted, journal, requirement, isPaidUnheard, cancelledPastPivot }) => {
  if (isCompleted) return [];
  const heard = journal.filter(({ event }) => heardCapture(event)?.amount === requirement.amount);
  const isPaidInTime = heard.some(({ from, at }) => isWaiting(from ?? "") && at < requirement.dueAt);
  const begun = journal.find(({ from, to }) => isUndoing(to) && !isUndoing(from ?? ""));
  const isPaidBefore = heard.some(({ seq }) => begun !== undefined && seq < begun.seq);
  const isAllowed = begun?.event.type === "CANCEL" || begun?.event.type.startsWith("xstate.error.actor.") === true;
  return [
    ...breach(isPaidInTime, "it was paid in time while it waited, and rolled back"),
    ...breach(isPaidBefore && !isAllowed, `it was known as paid, and rolled back by ${begun?.event.type}`),
    ...breach(isPaidUnheard && cancelledPastPivot.length === 0, "the provider had captured in time, and it was rolled back"),
    ...breach(
      journal.some(({ to }) => isConfirming(to)),
      "it passed its pivot, and rolled back",
    ),
  ];
};

const LAWS: readonly Law[] = [
  endsOnce,
  conservesMoney,
  refundsNotThePayer,
  tellsEachFactOnce,
  leavesEffectsOnceOrNotAtAll,
  hearsCancelBeforeItsPivot,
  confirmsWhatIsPaid,
];

export async function breachesOf(ending: Ending): Promise<readonly string[]> {
  const { store, id } = ending.world;
  const [unsettled, unconsumed] = await Promise.all([store.unsettled(-1, 1), store.unconsumed(id)]);
  return [
    ...LAWS.flatMap((law) => law(ending)),
    ...breach(unsettled.length > 0, "the store has unsettled money"),
    ...breach(unconsumed.length > 0, `nobody consumed ${unconsumed.map(({ eventId }) => eventId).join()}`),
  ];
}

/** The journal from the fixture's checkpoint on, folded again: each state that it names, then the stored one. */
export async function breachesOnReplay({ store, id }: World, fixture: Fixture): Promise<readonly string[]> {
  const [before, after] = [await fixture.store.load(id), await store.load(id)];
  if (before === null || after === null) return ["it was never stored"];
  let [snapshot, timers] = [hydrate(checkoutMachine, before.checkpoint.snapshot), before.checkpoint.timers];
  for (const entry of await store.history(id, before.checkpoint.seq, Number.POSITIVE_INFINITY)) {
    ({ snapshot, timers } = decide(checkoutMachine, snapshot, timers, entry.event as StampedEvent));
    const isSame = statePath(snapshot) === entry.to && hashContext(snapshot) === entry.contextHash;
    if (!isSame) return [`entry ${entry.seq} says ${entry.to}, its replay ${statePath(snapshot)}`];
  }
  const view = viewOf(snapshot, after.seq);
  const replayed = canonicalJson({ snapshot: dehydrate(checkoutMachine, snapshot), timers });
  const stored = canonicalJson({ snapshot: after.checkpoint.snapshot, timers: after.checkpoint.timers });
  return [
    ...breach(
      view.state !== after.state || view.status !== after.status,
      `the row says ${after.state}, the replay ${view.state}`,
    ),
    ...breach(after.checkpoint.seq !== after.seq || replayed !== stored, "the replay differs from the checkpoint"),
  ];
}

function isConfirming(path: string): boolean {
  return path.startsWith("PROCESSING.STEP_8.confirming");
}

function isUndoing(path: string): boolean {
  return path.startsWith("PROCESSING.undoing.");
}

function isWaiting(path: string): boolean {
  return /\.settling\.(awaitingPayment|polling)$/.test(path);
}

function breach(isBroken: boolean, message: string): readonly string[] {
  return isBroken ? [message] : [];
}

function hasSame(left: readonly unknown[], right: readonly unknown[]): boolean {
  return left.length === right.length && left.every((one) => right.includes(one));
}

function sum(amounts: readonly number[]): number {
  return amounts.reduce((total, amount) => total + amount, 0);
}
