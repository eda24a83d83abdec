/** Commands over an inbox, a journal and a view that the test writes: what the node that runs the checkout would do. */
import type { CheckoutContext } from "../../machines/context.ts";
import { documentedStateOf, type CheckoutStatus, type CheckoutView } from "../../machines/view.ts";
import type { JournaledEvent, JournalEntry, ReceivedEvent } from "../../persistence/store.ts";
import { Audience } from "../../runtime/audience.ts";
import { Commands } from "../../runtime/commands.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { contextWith } from "../support/checkout-context.ts";
import { countingIds, SILENT } from "../support/ports.ts";

export const ID = "ctx_1";
export const WAIT_MS = 2_000;

export const AWAITING = "PROCESSING.STEP_8.settling.awaitingPayment";
export const REQUESTING = "PROCESSING.STEP_8.settling.requestingAttempt.running";
export const CONFIRMING = "PROCESSING.STEP_8.confirming.running";
export const UNDOING = "PROCESSING.undoing.order.running";
export const DEFERRED = "PROCESSING.undoing.deferred.backingOff";

/** What a call came to, as far as it has: nobody waits for a call that hangs. */
type Outcome<Value> = { value?: Value; error?: unknown };

export function outcomeOf<Value>(call: Promise<Value>): Outcome<Value> {
  const outcome: Outcome<Value> = {};
  call.then(
    (value) => (outcome.value = value),
    (error: unknown) => (outcome.error = error),
  );
  return outcome;
}

export function setup(path = AWAITING, status: CheckoutStatus = "AWAITING_PAYMENT") {
  const clock = new VirtualClock();
  const audience = new Audience({ clock, log: SILENT });
  const inbox = new Map<string, ReceivedEvent>();
  const journal: JournalEntry[] = [entryOf(1, { type: "xstate.init" }, "INITIALIZED", "INITIALIZED", "begun")];
  const asked: { readonly source: string; readonly eventId: string; readonly id: string; readonly event: JournaledEvent }[] = [];
  const looks: number[] = [];
  const told: string[] = [];
  const controls = {
    isKnown: true,
    parkedReason: null as string | null,
    isOfOtherVersion: false,
    /** The node hears of it when it is told. */
    notify: async (): Promise<void> => undefined,
    /** Before a command is kept: another request may come first. */
    onAsk: () => {},
    /** Before the checkout is looked at. */
    onLook: () => {},
  };
  let view = viewAt(path, status);

  const commands = new Commands({
    store: {
      receiveCommand: async (source, eventId, id, event) => {
        controls.onAsk();
        asked.push({ source, eventId, id, event });
        if (inbox.has(eventId)) return false;
        inbox.set(eventId, { event, consumedSeq: null });
        return true;
      },
      findReceived: async (source, eventId) => (source === "api" ? (inbox.get(eventId) ?? null) : null),
      history: async (id, afterSeq, limit) => (id === ID ? journal.filter(({ seq }) => seq > afterSeq).slice(0, limit) : []),
    },
    clock,
    ids: countingIds(),
    actors: { audience, notify: async (id) => (told.push(id), controls.notify()) },
    view: async (id) => {
      looks.push(clock.now());
      controls.onLook();
      return controls.isKnown && id === ID
        ? { view, parkedReason: controls.parkedReason, isOfOtherVersion: controls.isOfOtherVersion }
        : null;
    },
  });

  /** A transition, told to whoever listens on this node. */
  const go = async (
    to: string,
    more: Partial<CheckoutView> & { readonly event?: JournaledEvent; readonly hash?: string } = {},
  ) => {
    const { event = { type: "something" }, hash = `hash_${journal.length + 1}`, ...differs } = more;
    const entry = entryOf(journal.length + 1, event, view.path, to, hash);
    journal.push(entry);
    view = { ...viewAt(to, "PROCESSING"), seq: entry.seq, ...differs };
    audience.announce({ executionContextId: ID, entry, state: view.state, status: view.status }, null);
    await clock.advance(0);
    return entry;
  };

  /** The transition that takes the command from the inbox. */
  const hear = async (eventId: string, to: string, more: Parameters<typeof go>[1] = {}) => {
    const { event } = inbox.get(eventId) ?? { event: { type: "nothing" } };
    inbox.set(eventId, { event, consumedSeq: journal.length + 1 });
    return go(to, { event, ...more });
  };
  const settle = () => clock.advance(0);
  return {
    clock,
    commands,
    inbox,
    journal,
    asked,
    looks,
    told,
    controls,
    go,
    hear,
    settle,
    show: (one: Partial<CheckoutView>) => (view = { ...view, ...one }),
  };
}

export function viewAt(path: string, status: CheckoutStatus, context: CheckoutContext = contextWith({ round: 1 })): CheckoutView {
  const state = documentedStateOf(path);
  const finished = state === "COMPLETED" || state === "ROLLEDBACK";
  return { executionContextId: ID, seq: 1, path, state, status, finished, context };
}

function entryOf(seq: number, event: JournaledEvent, from: string, to: string, contextHash: string): JournalEntry {
  return { seq, at: seq, event, from, to, contextHash };
}
