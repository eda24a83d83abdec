/**
 * STEP_8 and what follows it until the checkout is confirmed: the event is produced, the payment is
 * settled (9b: awaited; or at once), and after the pivot into `confirming` there is only forward (9a, 10).
 */
import { inputs } from "./step-inputs.ts";
import { cancelled, early, insisted, retried, toUndo } from "./shapes.ts";
import { checkoutSetup } from "./vocabulary.ts";

const CONFIRMING = "#checkout.PROCESSING.STEP_8.confirming";
const AWAITING = "#checkout.PROCESSING.STEP_8.settling.awaitingPayment";
const UNDOING = toUndo("lineItemsUpdatedEvent");

const declined = {
  type: "giveUp",
  params: { step: "STEP_8", code: "PAYMENT_DECLINED", message: "The last payment attempt was declined." },
} as const;
/** What any news about the payment leads to while it is awaited. The first guard is the pivot. */
const settle = [
  { guard: "paid", target: CONFIRMING, actions: "takePaymentNews" },
  { guard: "declinedForGood", target: UNDOING, actions: ["takePaymentNews", declined] },
] as const;
const onNews = [...settle, { actions: "takePaymentNews" }] as const;
/** Which attempt failed is not said, and there were several: the provider is asked. */
const unclear = { guard: "isUnclear", target: "#checkout.PROCESSING.STEP_8.settling.polling" } as const;
const onReply = [...settle, { target: AWAITING, actions: "takePaymentNews" }] as const;

const cancel = { target: UNDOING, actions: { type: "giveUp", params: cancelled("STEP_8") } } as const;

const settling = checkoutSetup.createStateConfig({
  meta: { refines: "STEP_8" },
  initial: "awaitingPayment",
  tags: ["awaitingPayment"],
  after: { paymentDeadline: { target: "asking", actions: "stepDone" } },
  on: { CANCEL: cancel },
  states: {
    awaitingPayment: {
      meta: { refines: "STEP_8" },
      after: { paymentPoll: "polling" },
      on: {
        payment_collection_requirement_success: onNews,
        payment_collection_requirement_failed: [unclear, ...onNews],
        payment_collection_requirement_expired: [unclear, ...onNews],
        ATTEMPT_PAYMENT: { guard: "attemptsRemain", target: "requestingAttempt", actions: "startAttempt" },
      },
    },
    /** Events get lost; the provider is asked now and then. */
    polling: {
      meta: { refines: "STEP_8" },
      invoke: {
        id: "polling",
        src: "getPaymentStatus",
        input: ({ context }) => inputs.getPaymentStatus(context),
        onDone: onReply,
        onError: "awaitingPayment",
      },
      on: {
        payment_collection_requirement_success: onReply,
        payment_collection_requirement_failed: onReply,
        payment_collection_requirement_expired: onReply,
        ATTEMPT_PAYMENT: { guard: "attemptsRemain", target: "requestingAttempt", actions: "startAttempt" },
      },
    },
    /** Another attempt. A success that arrives meanwhile waits for its reply: the attempt may have been captured too. */
    requestingAttempt: checkoutSetup.createStateConfig({
      meta: { refines: "STEP_8" },
      initial: "running",
      on: early,
      states: {
        running: {
          meta: { refines: "STEP_8" },
          invoke: {
            id: "requestingAttempt",
            src: "createPaymentAttempt",
            input: ({ context }) => inputs.createPaymentAttempt(context),
            onDone: onReply,
            onError: [
              { guard: "mayRetryStep", target: "backingOff", actions: { type: "countFailure", params: { step: "STEP_8" } } },
              // Its outcome is unknown: only the provider can tell whether it holds money.
              {
                guard: "isTransient",
                target: "#checkout.PROCESSING.STEP_8.asking",
                actions: { type: "fail", params: { step: "STEP_8" } },
              },
              { guard: "settled", target: CONFIRMING, actions: "stepDone" },
              { guard: "isLastAttempt", target: UNDOING, actions: ["spendAttempt", declined] },
              { target: AWAITING, actions: "spendAttempt" },
            ],
          },
        },
        backingOff: { meta: { refines: "STEP_8" }, after: { backoff: "running" } },
      },
    }),
  },
});

/** Nobody decides on silence: the provider cancels what is pending and says what it holds. */
const asking = insisted(
  "STEP_8",
  {
    id: "asking",
    src: "cancelIfPending",
    input: ({ context }) => inputs.getPaymentStatus(context),
    onDone: [
      { guard: "paid", target: CONFIRMING, actions: "takePaymentNews" },
      { target: UNDOING, actions: ["recordPaymentNews", "expire"] },
    ],
    on: {
      ...early,
      // The event is the provider's own word; waiting for another one could take for ever.
      payment_collection_requirement_success: [
        { guard: "paid", target: CONFIRMING, actions: "takePaymentNews" },
        early.payment_collection_requirement_success,
      ],
      CANCEL: cancel,
    },
  },
  ["awaitingPayment"],
);

export const settlement = checkoutSetup.createStateConfig({
  meta: { refines: "STEP_8" },
  initial: "producing",
  states: {
    producing: retried("STEP_8", {
      id: "STEP_8",
      src: "produceLineItemsUpdatedEvent",
      input: ({ context }) => inputs.produceLineItemsUpdatedEvent(context),
      onDone: [
        { guard: "paid", target: CONFIRMING, actions: ["announceUpdated", "stepDone"] },
        { guard: "declinedForGood", target: UNDOING, actions: ["announceUpdated", "announceDecline", declined] },
        { target: "#checkout.PROCESSING.STEP_8.settling", actions: ["announceUpdated", "announceDecline", "stepDone"] },
      ],
      // The event is published by the transition out of here, so there is nothing of STEP_8 to undo yet.
      onFailed: toUndo("preferencesMapping"),
      on: early,
    }),
    settling,
    asking,
    confirming: insisted("STEP_8", {
      id: "STEP_9",
      src: "executePCRSuccessSteps",
      input: ({ context }) => inputs.executePCRSuccessSteps(context),
      onDone: { target: "#checkout.PROCESSING.STEP_8.producingConfirmed", actions: ["recordPaymentNews", "stepDone"] },
      on: early,
    }),
    producingConfirmed: insisted("STEP_8", {
      id: "STEP_10",
      src: "produceLineItemsConfirmedEvent",
      input: ({ context }) => inputs.produceLineItemsConfirmedEvent(context),
      onDone: [
        {
          guard: "owes",
          target: "#checkout.COMPLETED.refunding",
          actions: ["announceConfirmed", "stepDone"],
          description: "Success",
        },
        { target: "#checkout.COMPLETED", actions: ["announceConfirmed", "stepDone"], description: "Success" },
      ],
      on: early,
    }),
  },
});
