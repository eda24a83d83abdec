/** What a checkout remembers before anything has happened. */
import { expect, test } from "vitest";
import { initialContext, NO_RETRY, UNDO_ORDER } from "../../machines/context.ts";

const INPUT = {
  executionContextId: "ctx_1",
  userId: "usr_1",
  cartId: "cart_1",
  cartVersion: 3,
  policy: {
    stepRetryMax: 5,
    stepRetryBudgetMs: 60_000,
    undoRetryMax: 5,
    paymentDeadlineMs: 900_000,
    paymentAttemptsMax: 3,
    paymentPollMs: 30_000,
  },
};

test("a checkout begins with what it was asked for, and nothing done", () => {
  expect(initialContext(INPUT)).toEqual({
    ...INPUT,
    flags: {},
    paymentGroups: [],
    preferences: [],
    invoice: null,
    order: null,
    optIns: [],
    lineItems: [],
    payment: {
      status: "NOT_REQUESTED",
      pcrId: null,
      attemptId: null,
      round: 1,
      dueAt: null,
      nextAction: null,
      declineCode: null,
      choice: null,
      settledBy: null,
      failedAttemptIds: [],
      owed: [],
      refunds: [],
    },
    retry: { failures: 0, firstFailedAt: null, delayMs: 0 },
    lastError: null,
    undone: [],
    deferred: [],
    undoneByHand: [],
  });
});

test("an actor that only decides needs no input, and has the same fields", () => {
  const [decider, checkout] = [initialContext(undefined), initialContext(INPUT)];
  expect(Object.keys(decider)).toEqual(Object.keys(checkout));
  expect(Object.keys(decider.policy)).toEqual(Object.keys(checkout.policy));
});

test("no retry is no failure and no wait", () => {
  expect(NO_RETRY).toEqual({ failures: 0, firstFailedAt: null, delayMs: 0 });
});

test("what is undone has the order in which it was done", () => {
  expect(UNDO_ORDER).toEqual([
    "paymentGroups",
    "preferences",
    "invoice",
    "order",
    "optIns",
    "lineItems",
    "paymentRequest",
    "paymentHydration",
    "preferencesMapping",
    "lineItemsUpdatedEvent",
  ]);
});
