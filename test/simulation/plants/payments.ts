/** What the machine makes of payments: money that it overlooks, keeps, or takes for what it is not. */
import { assign } from "xstate";
import { checkoutMachine } from "../../../machines/checkout.ts";
import { NO_RETRY, type CheckoutContext, type Payment } from "../../../machines/context.ts";
import { amountDue, paymentAfter } from "../../../machines/payment.ts";
import { toUndo } from "../../../machines/shapes.ts";
import { changedMachine, configAt } from "../../support/machine-mutants.ts";
import { machinePlant, type PlantedBug } from "./planted-bug.ts";

const ignoresLateSuccess: PlantedBug = {
  name: "a late success is ignored",
  breaks: "what is captured after the rollback is not given back",
  plant: machinePlant(() => checkoutMachine.provide({ guards: { owesLateCapture: () => false } })),
};

const ignoresSuccessWhileUndoing: PlantedBug = {
  name: "a success while undoing is ignored",
  breaks: "what is captured while the rollback runs is not noted",
  plant: machinePlant(() => checkoutMachine.provide({ actions: { deferLateCapture: assign({}) } })),
};

const dropsEarlySuccess: PlantedBug = {
  name: "a success before it is awaited is ignored",
  breaks: "a payment event in STEP_6, STEP_7 or STEP_8 changes nothing",
  plant: machinePlant(() =>
    changedMachine((root) => {
      for (const path of [["STEP_6"], ["STEP_7"], ["STEP_8", "producing"]]) {
        const state = configAt(root, ["PROCESSING", ...path]);
        state.on = { ...state.on, payment_collection_requirement_success: {} };
      }
    }),
  ),
};

const decidesOnSilence: PlantedBug = {
  name: "a deadline that asks nobody",
  breaks: "at the payment deadline the checkout is undone without a word with the provider",
  plant: machinePlant(() =>
    changedMachine((root) => {
      const settling = configAt(root, ["PROCESSING", "STEP_8", "settling"]);
      settling.after = { paymentDeadline: { target: toUndo("lineItemsUpdatedEvent"), actions: "expire" } };
    }),
  ),
};

const neverPolls: PlantedBug = {
  name: "the provider is never asked in between",
  breaks: "while a payment is awaited nobody asks whether its event was lost",
  plant: machinePlant(() =>
    changedMachine((root) => {
      configAt(root, ["PROCESSING", "STEP_8", "settling", "awaitingPayment"]).after = {};
    }),
  ),
  harmlessBecause: "nothing is decided before the deadline, which asks; it only takes longer",
};

const keepsTheSecond: PlantedBug = {
  name: "a second capture is kept",
  breaks: "what is captured after the payment has settled is not owed back",
  plant: machinePlant(() =>
    checkoutMachine.provide({
      guards: { owesAfterNews: () => false },
      actions: {
        recordPaymentNews: assign(({ context, event }) => {
          const payment = paymentAfter(context, event);
          return { payment: { ...payment, owed: payment.owed.filter(({ reason }) => reason !== "DUPLICATE") } };
        }),
      },
    }),
  ),
};

const knowsNoNames: PlantedBug = {
  name: "a capture has no name",
  breaks: "the capture that paid is not known by its pspReference when it is heard of again",
  plant: machinePlant(() =>
    checkoutMachine.provide({
      guards: { owesAfterNews: ({ context, event }) => forgetful(context, event).owed.length > context.payment.owed.length },
      actions: { recordPaymentNews: assign(({ context, event }) => ({ payment: forgetful(context, event) })) },
    }),
  ),
};

const takesAnyAmount: PlantedBug = {
  name: "a wrong amount is accepted",
  breaks: "an event of a success pays, whatever amount it names",
  plant: machinePlant(() =>
    checkoutMachine.provide({
      guards: { paid: ({ context, event }) => paymentAfter(context, asDue(context, event)).settledBy !== null },
      actions: {
        recordPaymentNews: assign(({ context, event }) => ({ payment: paymentAfter(context, asDue(context, event)) })),
        takePaymentNews: assign(({ context, event }) => {
          return { payment: paymentAfter(context, asDue(context, event)), retry: NO_RETRY, lastError: null };
        }),
      },
    }),
  ),
};

const forgetsBounces: PlantedBug = {
  name: "a refund that came back is forgotten",
  breaks: "a refund is done when it is accepted, whatever becomes of it",
  plant: machinePlant(() => checkoutMachine.provide({ guards: { refundFailed: () => false } })),
};

const forgetsBouncedReversals: PlantedBug = {
  name: "a reversal's refund that came back is forgotten",
  breaks: "while undoing, a refund that the bank sends back is not owed again",
  plant: machinePlant(() => checkoutMachine.provide({ actions: { takeBackReversal: assign({}) } })),
};

export const PAYMENT_BUGS: readonly PlantedBug[] = [
  ignoresLateSuccess,
  ignoresSuccessWhileUndoing,
  dropsEarlySuccess,
  decidesOnSilence,
  neverPolls,
  keepsTheSecond,
  knowsNoNames,
  takesAnyAmount,
  forgetsBounces,
  forgetsBouncedReversals,
];

/** The payment after the event, to somebody who has forgotten the settling capture's name. */
function forgetful(context: CheckoutContext, event: unknown): Payment {
  const { settledBy } = context.payment;
  if (settledBy === null) return paymentAfter(context, event);
  const payment = { ...context.payment, settledBy: { ...settledBy, pspReference: "" } };
  return { ...paymentAfter({ ...context, payment }, event), settledBy };
}

/** The event, with what is due in the place of what it says. */
function asDue({ invoice, paymentGroups }: CheckoutContext, event: unknown): unknown {
  const { type, data } = event as { readonly type: string; readonly data?: object };
  if (type !== "payment_collection_requirement_success" || invoice === null) return event;
  return { type, data: { ...data, amount: amountDue(invoice, paymentGroups) } };
}
