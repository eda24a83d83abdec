/** The chart, led from event to event without a runtime: where it stands, what it starts with which input, what it tells. */
import { checkoutMachine } from "../../machines/checkout.ts";
import type { CheckoutContext, CheckoutPolicy } from "../../machines/context.ts";
import type { StepFailure } from "../../machines/errors.ts";
import type { OutboundEvent } from "../../machines/events.ts";
import { viewOf, type CheckoutView } from "../../machines/view.ts";
import {
  begin,
  decide,
  runningSteps,
  type CheckoutSnapshot,
  type StampedEvent,
  type StepStart,
  type Timers,
} from "../../runtime/engine.ts";
import { contextWith, newContext } from "../support/checkout-context.ts";

export const REFUSED: StepFailure = { class: "TERMINAL", code: "REFUSED", message: "It will never work." };
export const DOWN: StepFailure = { class: "TRANSIENT", code: "DOWN", message: "It may work later." };

/** A line of a NOW group and one of a LATER group: 70 000 of 100 000 are due. */
export const INVOICE = {
  ...priced(),
  payable: 100_000,
  lines: [line("l1", "pg_now", 70_000), line("l2", "pg_later", 30_000)],
};
export const DUE = 70_000;
export const GROUPS = [
  { paymentGroupId: "pg_now", lineItemRefs: ["l1"], sellerId: "slr_1", paymentTiming: "NOW" },
  { paymentGroupId: "pg_later", lineItemRefs: ["l2"], sellerId: "slr_2", paymentTiming: "LATER" },
];
export const ITEMS = [
  { ref: "l1", lineItemId: "li_1" },
  { ref: "l2", lineItemId: "li_2" },
];
export const PREFERENCES = [
  { ref: "p1", preferenceId: "prf_1", lineItemRefs: ["l1", "l2"] },
  { ref: "p2", preferenceId: "prf_2", lineItemRefs: ["l2"] },
];
export const DUE_AT = 901_000;
export const NEXT_ACTION = { type: "UPI_COLLECT", expiresAt: DUE_AT };
export const OPEN = { pcrId: "pcr_1", attemptId: "att_1", outcome: { kind: "pending", nextAction: NEXT_ACTION } };

/** What each step of a normal run gives back, in their order. */
export const OUTPUTS: readonly (readonly [id: string, output: unknown])[] = [
  ["pinningFlags", { flags: {} }],
  ["creatingPaymentGroups", { paymentGroups: GROUPS }],
  ["acquiringLocks", { tokens: {} }],
  ["STEP_1", { preferences: PREFERENCES }],
  ["STEP_2", INVOICE],
  ["STEP_3", { checkoutOrderId: "co_1", orderNumber: "BLR-1" }],
  ["STEP_4", { optIns: [{ ref: "o1", optInId: "opt_1" }] }],
  ["STEP_5", { lineItems: ITEMS, dueAt: DUE_AT, payment: OPEN }],
  ["STEP_6", { lineItemIds: ["li_1", "li_2"] }],
  ["STEP_7", { mapped: 3 }],
  ["STEP_8", { lineItemIds: ["li_1", "li_2"], invoiceId: "inv_1" }],
];

/** What an event carries, whichever kind it is. */
interface Sent {
  readonly type: string;
  readonly output?: unknown;
  readonly error?: StepFailure;
  readonly data?: object;
}

export class MachineRun {
  #snapshot;
  #timers: Timers = {};
  /** What the last event told. */
  told: readonly OutboundEvent[] = [];
  now = 1_000;

  constructor(policy: Partial<CheckoutPolicy> = {}) {
    const { executionContextId, userId, cartId, cartVersion, policy: usual } = newContext();
    this.#snapshot = begin(checkoutMachine, { executionContextId, userId, cartId, cartVersion, policy: { ...usual, ...policy } });
  }

  /** A started checkout that stands in the step of that id. */
  static at(id: string, policy: Partial<CheckoutPolicy> = {}): MachineRun {
    const run = new MachineRun(policy);
    run.send({ type: "START" });
    for (const [step, output] of OUTPUTS) {
      if (step === id) return run;
      run.done(output);
    }
    if (id !== "awaitingPayment") throw new Error(`No step is called ${id}`);
    return run;
  }

  get view(): CheckoutView {
    return viewOf(this.#snapshot, 1);
  }

  get path(): string {
    return this.view.path;
  }

  get context(): CheckoutContext {
    return this.view.context;
  }

  get running(): StepStart {
    const [step] = runningSteps(this.#snapshot);
    if (step === undefined) throw new Error(`Nothing runs in ${this.path}`);
    return step;
  }

  get snapshot(): CheckoutSnapshot {
    return this.#snapshot;
  }

  get timers(): Timers {
    return this.#timers;
  }

  send(event: Sent): this {
    const stamped: StampedEvent = { at: this.now, jitter: 0, ...event };
    const { snapshot, timers, emitted } = decide(checkoutMachine, this.#snapshot, this.#timers, stamped);
    this.#snapshot = snapshot;
    this.#timers = timers;
    this.told = emitted;
    return this;
  }

  done(output: unknown): this {
    return this.send({ type: `xstate.done.actor.${this.running.id}`, output });
  }

  fail(error: StepFailure): this {
    return this.send({ type: `xstate.error.actor.${this.running.id}`, error });
  }

  /** The one timer of that name rings, when it is due. */
  ring(name: string): this {
    const timer = Object.entries(this.#timers).find(([id]) => id.startsWith(`xstate.after.${name}.`));
    if (timer === undefined) throw new Error(`No timer ${name} is set in ${this.path}`);
    const [type, dueAt] = timer;
    this.now = Math.max(this.now, dueAt);
    return this.send({ type });
  }
}

function priced() {
  const { invoice } = contextWith();
  if (invoice === null) throw new Error("A priced checkout has an invoice");
  return invoice;
}

function line(ref: string, paymentGroupId: string, total: number) {
  const [first] = priced().lines;
  if (first === undefined) throw new Error("An invoice has a line");
  return { ...first, ref, paymentGroupId, unitPrice: total, total };
}
