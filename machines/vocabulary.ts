/**
 * The words of the chart: what its actions, guards and delays are called and do. Pure functions of
 * context and event; time and jitter are in the event.
 */
import { assign, emit, enqueueActions, fromPromise, setup, type PromiseActorLogic } from "xstate";
import { NO_RETRY, type CheckoutContext, type CheckoutInput, type LastError, type Refund, type UndoName } from "./context.ts";
import type { StepFailure } from "./errors.ts";
import type { CheckoutEvent, OutboundEvent, OutboundEventType, RefundFailedEvent } from "./events.ts";
import {
  attemptsLeft,
  newRefunds,
  paymentAfter,
  withAttempt,
  withFailedRefund,
  withFailedRequest,
  withFailedReversal,
  withLateCapture,
  withRefunds,
} from "./payment.ts";
import { afterBounce, afterFailure, mayRetry, type RetryLimits } from "./retry.ts";
import { afterPayment, isAllUndone, nextDeferred, resolvedBy, rollbackAfter } from "./rollback.ts";
import type { ActorName, Actors } from "./step-inputs.ts";
import type { DocumentedState } from "./view.ts";

/** How long an undo is tried in place before it is deferred, so that one stuck participant doesn't hold up the others. */
const UNDO_BUDGET_MS = 30_000;

/** A step that succeeded leaves no trouble behind. */
const PROGRESS = { retry: NO_RETRY, lastError: null };

export type ActorLogics = { [Name in ActorName]: PromiseActorLogic<Actors[Name]["output"], Actors[Name]["input"]> };

/** The machine only names its actors; whoever runs it provides them. */
function unprovided<Name extends ActorName>(name: Name): ActorLogics[Name] {
  const refusal = new Error(`No implementation of ${name} was provided to the checkout machine.`);
  return fromPromise(() => Promise.reject(refusal)) as ActorLogics[Name];
}

const actors: ActorLogics = {
  resolveFeatureFlags: unprovided("resolveFeatureFlags"),
  createPaymentGroup: unprovided("createPaymentGroup"),
  acquireLocks: unprovided("acquireLocks"),
  createPostSellingPreferences: unprovided("createPostSellingPreferences"),
  getLineItemSummary: unprovided("getLineItemSummary"),
  createCheckoutOrder: unprovided("createCheckoutOrder"),
  handleOptinCreationAndModification: unprovided("handleOptinCreationAndModification"),
  upsertLineItemsAndCreatePaymentRequest: unprovided("upsertLineItemsAndCreatePaymentRequest"),
  hydratePaymentAndUpdateLineItems: unprovided("hydratePaymentAndUpdateLineItems"),
  createPreferencesToLineItemsMapping: unprovided("createPreferencesToLineItemsMapping"),
  produceLineItemsUpdatedEvent: unprovided("produceLineItemsUpdatedEvent"),
  createPaymentAttempt: unprovided("createPaymentAttempt"),
  getPaymentStatus: unprovided("getPaymentStatus"),
  cancelIfPending: unprovided("cancelIfPending"),
  executePCRSuccessSteps: unprovided("executePCRSuccessSteps"),
  produceLineItemsConfirmedEvent: unprovided("produceLineItemsConfirmedEvent"),
  handleRollback: unprovided("handleRollback"),
  refundCapture: unprovided("refundCapture"),
};

export const checkoutSetup = setup({
  types: {
    context: {} as CheckoutContext,
    events: {} as CheckoutEvent,
    input: {} as CheckoutInput,
    emitted: {} as OutboundEvent,
    tags: {} as "finished" | "undoing" | "awaitingPayment" | "insisting" | "deferred",
    meta: {} as { refines: DocumentedState },
  },
  actors,
  delays: {
    backoff: ({ context }) => context.retry.delayMs,
    paymentPoll: ({ context }) => context.policy.paymentPollMs,
    paymentDeadline: ({ context, event }) => {
      const { dueAt } = context.payment;
      return dueAt === null || event.at === undefined ? context.policy.paymentDeadlineMs : Math.max(0, dueAt - event.at);
    },
  },
  guards: {
    mayRetryStep: ({ context, event }) => mayRetry(context.retry, failureOf(event), event, stepLimits(context)),
    mayRetryUndo: ({ context, event }) => mayRetry(context.retry, failureOf(event), event, undoLimits(context)),
    settled: ({ context }) => context.payment.settledBy !== null,
    isTransient: ({ event }) => failureOf(event).class === "TRANSIENT",
    isLastAttempt: ({ context }) => attemptsLeft(context) === 0,
    /** This failure is the one that makes a loop that never gives up call for an operator. */
    alarms: ({ context }) => context.retry.failures === context.policy.undoRetryMax,
    paid: ({ context, event }) => paymentAfter(context, event).settledBy !== null,
    declinedForGood: ({ context, event }) => paymentAfter(context, event).status === "DECLINED" && attemptsLeft(context) === 0,
    attemptsRemain: ({ context }) => attemptsLeft(context) > 0,
    owesAfterNews: ({ context, event }) => paymentAfter(context, event).owed.length > context.payment.owed.length,
    owesLateCapture: ({ context, event }) => withLateCapture(context.payment, event).owed.length > context.payment.owed.length,
    owes: ({ context }) => context.payment.owed.length > 0,
    /** Among what is owed then is something that no bank ever sent back: it needn't wait. */
    owesFresh: ({ context, event }) =>
      withRefunds(context.payment, [outputOf(event, "refundCapture")]).owed.some(({ round }) => round === 1),
    owesMore: ({ context, event }) => withRefunds(context.payment, [outputOf(event, "refundCapture")]).owed.length > 0,
    refundFailed: ({ context, event }) =>
      event.type === "payment_refund_failed" && withFailedRefund(context.payment, event) !== context.payment,
    /** An event that names no attempt, after there were several. */
    isUnclear: ({ context, event }) => "data" in event && event.data.attemptId === undefined && context.payment.round > 1,
    resolves: ({ context, event }) => event.type === "RESOLVE" && resolvedBy(context, event) !== null,
    resolvesAll: ({ context, event }) => {
      const after = event.type === "RESOLVE" ? resolvedBy(context, event) : null;
      return after !== null && isAllUndone(after);
    },
    allUndone: ({ context, event }, { undo }: { undo: UndoName | null }) =>
      isAllUndone(rollbackAfter(context, undo ?? nextDeferred(context), outputOf(event, "handleRollback"))),
  },
  actions: {
    keepFlags: assign(({ context, event }) => {
      const { flags } = outputOf(event, "resolveFeatureFlags");
      return { flags, policy: overridden(context.policy, flags), ...PROGRESS };
    }),
    keepPaymentGroups: assign(({ event }) => ({ ...outputOf(event, "createPaymentGroup"), ...PROGRESS })),
    keepPreferences: assign(({ event }) => ({ ...outputOf(event, "createPostSellingPreferences"), ...PROGRESS })),
    keepInvoice: assign(({ event }) => ({ invoice: outputOf(event, "getLineItemSummary"), ...PROGRESS })),
    keepOrder: assign(({ event }) => ({ order: outputOf(event, "createCheckoutOrder"), ...PROGRESS })),
    keepOptIns: assign(({ event }) => ({ ...outputOf(event, "handleOptinCreationAndModification"), ...PROGRESS })),
    keepLineItemsAndPayment: assign(({ context, event }) => {
      const { lineItems, dueAt, payment } = outputOf(event, "upsertLineItemsAndCreatePaymentRequest");
      const due = { ...context, payment: { ...context.payment, dueAt } };
      return { lineItems, payment: withAttempt(due, payment), ...PROGRESS };
    }),
    stepDone: assign(PROGRESS),

    countFailure: assign(({ context, event }, { step }: { step: string }) => ({
      retry: afterFailure(context.retry, failureOf(event), event, Number.MAX_SAFE_INTEGER),
      lastError: errorAt(step, failureOf(event)),
    })),
    /** The reason of the rollback stays: an undo's failure is not what the client did wrong. */
    countUndoFailure: assign(({ context, event }) => ({
      retry: afterFailure(context.retry, failureOf(event), event, Number.MAX_SAFE_INTEGER),
    })),
    /** For loops that never give up: counting stops once an operator was asked, so that waiting for ever is one state. */
    countFailureForEver: assign(({ context, event }) => ({
      retry: afterFailure(context.retry, failureOf(event), event, context.policy.undoRetryMax + 1),
    })),
    fail: assign(({ event }, { step }: { step: string }) => ({ lastError: errorAt(step, failureOf(event)), retry: NO_RETRY })),
    giveUp: assign((_, reason: { step: string; code: string; message: string }) => ({
      lastError: { class: "TERMINAL" as const, ...reason },
      retry: NO_RETRY,
    })),
    /** The deadline is the reason unless something else failed first. */
    expire: assign(({ context }) => ({
      lastError: context.lastError ?? {
        class: "TERMINAL" as const,
        step: "STEP_8",
        code: "PAYMENT_EXPIRED",
        message: "The payment was not completed in time.",
      },
      retry: NO_RETRY,
    })),
    /** The provider refused the attempt outright: it is spent like a declined one. */
    spendAttempt: enqueueActions(({ context, event, enqueue }) => {
      const payment = withFailedRequest(context.payment, failureOf(event).code);
      enqueue.assign({ payment, ...PROGRESS });
      enqueue.emit(paymentFailed({ ...context, payment }));
    }),
    alarm: emit(({ event }, { step }: { step: string }) =>
      outbound("checkout_needs_attention", { step, code: failureOf(event).code }),
    ),

    recordPaymentNews: assign(({ context, event }) => ({ payment: paymentAfter(context, event) })),
    /** As recordPaymentNews, once the line items' update is published: a decline is published too. */
    takePaymentNews: enqueueActions(({ context, event, enqueue }) => {
      const payment = paymentAfter(context, event);
      enqueue.assign({ payment, ...PROGRESS });
      const isNews = context.payment.status !== "DECLINED" || context.payment.attemptId !== payment.attemptId;
      if (payment.status === "DECLINED" && isNews) enqueue.emit(paymentFailed({ ...context, payment }));
    }),
    announceDecline: enqueueActions(({ context, enqueue }) => {
      if (context.payment.status === "DECLINED") enqueue.emit(paymentFailed(context));
    }),
    startAttempt: assign(({ context, event }) => {
      if (event.type !== "ATTEMPT_PAYMENT") return {};
      const choice = { method: event.method, instrumentId: event.instrumentId };
      const round = context.payment.round + 1;
      return {
        payment: {
          ...context.payment,
          status: "REQUIRES_ACTION" as const,
          round,
          choice,
          attemptId: null,
          nextAction: null,
          declineCode: null,
        },
        retry: NO_RETRY,
      };
    }),

    recordLateCapture: assign(({ context, event }) => ({ payment: withLateCapture(context.payment, event) })),
    /** As recordLateCapture, while undoing. */
    deferLateCapture: assign(({ context, event }) => afterPayment(context, withLateCapture(context.payment, event))),
    keepRefund: enqueueActions(({ context, event, enqueue }) => {
      const refund = outputOf(event, "refundCapture");
      enqueue.assign({ payment: withRefunds(context.payment, [refund]), retry: NO_RETRY });
      for (const one of newRefunds(context.payment, [refund])) enqueue.emit(refunded(context, one));
    }),
    /** What no bank ever sent back comes first, with a count of failures of its own. */
    takeFreshFirst: assign(({ context: { payment } }) => ({
      payment: { ...payment, owed: payment.owed.toSorted((one, other) => one.round - other.round) },
      retry: NO_RETRY,
    })),
    /** The provider took a refund back: operators are told, and the money is owed again. */
    takeBackRefund: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== "payment_refund_failed") return;
      enqueue.assign({ payment: withFailedRefund(context.payment, event) });
      enqueue.emit(refundBounced("refunding", event));
    }),
    backOffAfterBounce: assign(({ context, event }) => {
      const round = Math.max(...context.payment.owed.map((owed) => owed.round));
      return { retry: afterBounce(round, event, context.policy.undoRetryMax + 1) };
    }),
    takeBackReversal: enqueueActions(({ context, event, enqueue }) => {
      if (event.type !== "payment_refund_failed") return;
      const payment = withFailedReversal(context.payment, event);
      if (payment === context.payment) return;
      enqueue.assign(afterPayment(context, payment));
      enqueue.emit(refundBounced("undo:paymentRequest", event));
    }),
    keepResolution: enqueueActions(({ context, event, enqueue }) => {
      const after = event.type === "RESOLVE" ? resolvedBy(context, event) : null;
      if (after === null) return;
      enqueue.assign({ ...after, retry: NO_RETRY });
      for (const refund of newRefunds(context.payment, after.payment.refunds)) enqueue.emit(refunded(context, refund));
    }),

    keepUndo: enqueueActions(({ context, event, enqueue }, { undo }: { undo: UndoName | null }) => {
      const name = undo ?? nextDeferred(context);
      const output = outputOf(event, "handleRollback");
      const after = rollbackAfter(context, name, output);
      enqueue.assign({ ...after, retry: NO_RETRY });
      for (const refund of newRefunds(context.payment, output.refunds)) {
        enqueue.emit(refunded({ payment: after.payment }, refund));
      }
      if (name === "lineItemsUpdatedEvent") {
        const lineItemIds = context.lineItems.map((item) => item.lineItemId);
        enqueue.emit(outbound("line_items_reverted", { lineItemIds, reason: context.lastError?.code ?? null }));
      }
    }),
    defer: assign(({ context }, { undo }: { undo: UndoName }) => ({
      deferred: context.deferred.includes(undo) ? context.deferred : [...context.deferred, undo],
      retry: NO_RETRY,
    })),
    /** The next deferred undo or refund gets its turn, so that one stuck participant doesn't starve the others. */
    passTurn: assign(({ context: { deferred, payment } }) => ({
      deferred: rotated(deferred),
      payment: { ...payment, owed: rotated(payment.owed) },
    })),

    announceInitiated: emit(({ context }) =>
      outbound("checkout_initiated", { userId: context.userId, cartId: context.cartId, cartVersion: context.cartVersion }),
    ),
    announceUpdated: emit(({ event }) => outbound("line_items_updated", outputOf(event, "produceLineItemsUpdatedEvent"))),
    announceConfirmed: emit(({ event }) => outbound("line_items_confirmed", outputOf(event, "produceLineItemsConfirmedEvent"))),
    announceCompleted: emit(({ context }) =>
      outbound("checkout_completed", {
        checkoutOrderId: context.order?.checkoutOrderId ?? null,
        payable: context.invoice?.payable ?? null,
        currency: context.invoice?.currency ?? null,
      }),
    ),
    announceRolledBack: emit(({ context }) =>
      outbound("checkout_rolled_back", {
        reason: context.lastError?.code ?? null,
        undone: context.undone,
        undoneByHand: context.undoneByHand,
      }),
    ),
  },
});

/** The output of the actor that just finished. Its type is what the step's contract says; the edge that started it checked it. */
function outputOf<Name extends ActorName>(event: unknown, _actor: Name): Actors[Name]["output"] {
  return (event as { readonly output: Actors[Name]["output"] }).output;
}

function outbound(type: OutboundEventType, data: OutboundEvent["data"]): OutboundEvent {
  return { type, data };
}

function rotated<Item>([first, ...others]: readonly Item[]): readonly Item[] {
  return first === undefined ? [] : [...others, first];
}

function failureOf(event: unknown): StepFailure {
  return (event as { readonly error: StepFailure }).error;
}

function errorAt(step: string, failure: StepFailure): LastError {
  return { ...failure, step };
}

function stepLimits({ policy }: CheckoutContext): RetryLimits {
  return { retryMax: policy.stepRetryMax, budgetMs: policy.stepRetryBudgetMs };
}

function undoLimits({ policy }: CheckoutContext): RetryLimits {
  return { retryMax: policy.undoRetryMax, budgetMs: UNDO_BUDGET_MS };
}

/** A flag may override the payment's deadline and number of attempts; 0 or absent overrides nothing. */
function overridden(policy: CheckoutContext["policy"], flags: CheckoutContext["flags"]): CheckoutContext["policy"] {
  const positive = (key: string, otherwise: number) => {
    const value = flags[key]?.value;
    return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? value : otherwise;
  };
  return {
    ...policy,
    paymentDeadlineMs: positive("payment_deadline_ms", policy.paymentDeadlineMs),
    paymentAttemptsMax: positive("payment_attempts_max", policy.paymentAttemptsMax),
  };
}

/** Field by field: subscribers build on each that is published. */
function refunded({ payment }: Pick<CheckoutContext, "payment">, refund: Refund): OutboundEvent {
  const { refundId, pspReference, amount, currency, reason, round, byHand } = refund;
  const facts = { pcrId: payment.pcrId, refundId, pspReference, amount, currency, reason, round };
  return outbound("payment_refunded", byHand === true ? { ...facts, byHand } : facts);
}

function refundBounced(step: string, { data }: RefundFailedEvent): OutboundEvent {
  return outbound("checkout_needs_attention", { step, code: data.code, pspReference: data.pspReference });
}

function paymentFailed(context: CheckoutContext): OutboundEvent {
  const { pcrId, attemptId, round, declineCode } = context.payment;
  return outbound("payment_failed", { pcrId, attemptId, attempt: round, code: declineCode, attemptsLeft: attemptsLeft(context) });
}
