/** Each step of the chart: its input, where it leads, and what becomes of it when it fails or the checkout is cancelled. */
import { describe, expect, it, test } from "vitest";
import { DOWN, DUE, GROUPS, INVOICE, ITEMS, MachineRun, OPEN, OUTPUTS, PREFERENCES, REFUSED } from "./machine-run.ts";

const ID = { executionContextId: "ctx_1" };
const FACTS = { checkoutOrderId: "co_1", lineItems: ITEMS, invoice: INVOICE };

interface Step {
  readonly id: string;
  readonly path: string;
  readonly src: string;
  readonly input: object;
  /** Where it leads when it can't be done. */
  readonly undo: string;
  /** Where it stands when it is done. */
  readonly next: string;
}

const STEPS: readonly Step[] = [
  {
    id: "pinningFlags",
    path: "PROCESSING.opening.pinningFlags",
    src: "resolveFeatureFlags",
    input: { ...ID, key: "ctx_1:resolveFeatureFlags" },
    undo: "ROLLEDBACK.atRest",
    next: "PROCESSING.opening.creatingPaymentGroups.running",
  },
  {
    id: "creatingPaymentGroups",
    path: "PROCESSING.opening.creatingPaymentGroups",
    src: "createPaymentGroup",
    input: { ...ID, key: "ctx_1:createPaymentGroup" },
    undo: "PROCESSING.undoing.paymentGroups.running",
    next: "PROCESSING.opening.acquiringLocks.running",
  },
  {
    id: "acquiringLocks",
    path: "PROCESSING.opening.acquiringLocks",
    src: "acquireLocks",
    input: { ...ID, key: "ctx_1:acquireLocks", paymentGroupIds: ["pg_now", "pg_later"] },
    undo: "PROCESSING.undoing.paymentGroups.running",
    next: "PROCESSING.STEP_1.running",
  },
  {
    id: "STEP_1",
    path: "PROCESSING.STEP_1",
    src: "createPostSellingPreferences",
    input: { ...ID, key: "ctx_1:STEP_1" },
    undo: "PROCESSING.undoing.preferences.running",
    next: "PROCESSING.STEP_2.running",
  },
  {
    id: "STEP_2",
    path: "PROCESSING.STEP_2",
    src: "getLineItemSummary",
    input: { ...ID, key: "ctx_1:STEP_2", paymentGroups: GROUPS },
    undo: "PROCESSING.undoing.invoice.running",
    next: "PROCESSING.STEP_3.running",
  },
  {
    id: "STEP_3",
    path: "PROCESSING.STEP_3",
    src: "createCheckoutOrder",
    input: { ...ID, key: "ctx_1:STEP_3", invoiceId: "inv_1", payable: 100_000, currency: "INR" },
    undo: "PROCESSING.undoing.order.running",
    next: "PROCESSING.STEP_4.running",
  },
  {
    id: "STEP_4",
    path: "PROCESSING.STEP_4",
    src: "handleOptinCreationAndModification",
    input: { ...ID, key: "ctx_1:STEP_4" },
    undo: "PROCESSING.undoing.optIns.running",
    next: "PROCESSING.STEP_5.running",
  },
  {
    id: "STEP_5",
    path: "PROCESSING.STEP_5",
    src: "upsertLineItemsAndCreatePaymentRequest",
    input: {
      ...ID,
      key: "ctx_1:STEP_5",
      paymentKey: "ctx_1:STEP_5:1",
      checkoutOrderId: "co_1",
      invoice: INVOICE,
      amount: DUE,
      preferences: PREFERENCES,
      paymentDeadlineMs: 900_000,
    },
    undo: "PROCESSING.undoing.paymentRequest.running",
    next: "PROCESSING.STEP_6.running",
  },
  {
    id: "STEP_6",
    path: "PROCESSING.STEP_6",
    src: "hydratePaymentAndUpdateLineItems",
    input: {
      ...ID,
      key: "ctx_1:STEP_6",
      lineItemIds: ["li_1", "li_2"],
      pcrId: "pcr_1",
      attemptId: "att_1",
      paymentStatus: "REQUIRES_ACTION",
    },
    undo: "PROCESSING.undoing.paymentHydration.running",
    next: "PROCESSING.STEP_7.running",
  },
  {
    id: "STEP_7",
    path: "PROCESSING.STEP_7",
    src: "createPreferencesToLineItemsMapping",
    input: {
      ...ID,
      key: "ctx_1:STEP_7",
      pairs: [
        { preferenceId: "prf_1", lineItemId: "li_1" },
        { preferenceId: "prf_1", lineItemId: "li_2" },
        { preferenceId: "prf_2", lineItemId: "li_2" },
      ],
    },
    undo: "PROCESSING.undoing.preferencesMapping.running",
    next: "PROCESSING.STEP_8.producing.running",
  },
  {
    id: "STEP_8",
    path: "PROCESSING.STEP_8.producing",
    src: "produceLineItemsUpdatedEvent",
    input: { ...ID, key: "ctx_1:STEP_8", ...FACTS, paymentStatus: "REQUIRES_ACTION" },
    undo: "PROCESSING.undoing.preferencesMapping.running",
    next: "PROCESSING.STEP_8.settling.awaitingPayment",
  },
];

function outputOf(id: string): unknown {
  return OUTPUTS.find(([step]) => step === id)?.[1];
}

describe.each(STEPS)("$id", ({ id, path, src, input, undo, next }) => {
  it("is given the ids that it needs, and its key", () => {
    const run = MachineRun.at(id);
    expect(run.path).toBe(`${path}.running`);
    expect(run.running).toEqual({ id, src, input });
    expect(run.view.status).toBe("PROCESSING");
  });

  it("leads to the next once it is done, with no trouble left behind", () => {
    const run = MachineRun.at(id);
    run.fail(DOWN).ring("backoff").done(outputOf(id));
    expect(run.path).toBe(next);
    expect(run.context).toMatchObject({ lastError: null, retry: { failures: 0, firstFailedAt: null, delayMs: 0 } });
  });

  it("is tried again under the same key after a wait, while it may work later", () => {
    const run = MachineRun.at(id).fail(DOWN);
    expect(run.path).toBe(`${path}.backingOff`);
    expect(run.context.lastError).toEqual({ ...DOWN, step: id });
    expect(run.context.retry).toEqual({ failures: 1, firstFailedAt: 1_000, delayMs: 100 });
    expect(run.timers).toEqual({ [`xstate.after.backoff.checkout.${path}.backingOff`]: 1_100 });
    expect(run.ring("backoff").running).toEqual({ id, src, input });
  });

  it("is undone with everything before it when it never will", () => {
    const run = MachineRun.at(id).fail(DOWN).ring("backoff").fail(REFUSED);
    expect(run.path).toBe(undo);
    expect(run.context.lastError).toEqual({ ...REFUSED, step: id });
    expect(run.context.retry.failures).toBe(0);
  });

  it("is given up after its last try", () => {
    const run = MachineRun.at(id, { stepRetryMax: 1 });
    expect(run.fail(DOWN).ring("backoff").fail(DOWN).path).toBe(undo);
  });

  it("is undone with everything before it when the checkout is cancelled, also between two tries", () => {
    const cancelled = { class: "TERMINAL", step: id, code: "CANCELLED", message: "The checkout was cancelled." };
    for (const run of [MachineRun.at(id), MachineRun.at(id).fail(DOWN)]) {
      run.send({ type: "CANCEL" });
      expect(run.path).toBe(undo);
      expect(run.context.lastError).toEqual(cancelled);
      expect(run.context.retry.failures).toBe(0);
    }
  });
});

test("it begins with its own checkout's input and with nothing else", () => {
  const run = new MachineRun();
  expect(run.path).toBe("INITIALIZED");
  expect(run.view).toMatchObject({ executionContextId: "ctx_1", state: "INITIALIZED", status: "PROCESSING", finished: false });
  expect(run.context).toMatchObject({ userId: "usr_1", cartId: "cart_1", cartVersion: 1, policy: { stepRetryMax: 5 } });
});

test("its beginning is told, and then nothing until its line items are updated", () => {
  const run = new MachineRun().send({ type: "START" });
  expect(run.told).toEqual([{ type: "checkout_initiated", data: { userId: "usr_1", cartId: "cart_1", cartVersion: 1 } }]);
  for (const [step, output] of OUTPUTS) {
    run.done(output);
    const updated = { type: "line_items_updated", data: { lineItemIds: ["li_1", "li_2"], invoiceId: "inv_1" } };
    expect(run.told).toEqual(step === "STEP_8" ? [updated] : []);
  }
});

test("what the steps give back is remembered", () => {
  const { context } = MachineRun.at("awaitingPayment");
  expect(context).toMatchObject({
    flags: {},
    paymentGroups: GROUPS,
    preferences: PREFERENCES,
    invoice: INVOICE,
    order: { checkoutOrderId: "co_1", orderNumber: "BLR-1" },
    optIns: [{ ref: "o1", optInId: "opt_1" }],
    lineItems: ITEMS,
    payment: { status: "REQUIRES_ACTION", pcrId: "pcr_1", attemptId: "att_1", dueAt: 901_000, round: 1 },
  });
  expect(context.payment.nextAction).toEqual(OPEN.outcome.nextAction);
});

describe("a flag", () => {
  const pinned = (value: unknown) => ({ value, variant: null, reason: "STATIC" });
  const policyWith = (flags: object) => MachineRun.at("pinningFlags").done({ flags }).context.policy;

  it("overrides the deadline and the number of attempts", () => {
    const policy = policyWith({ payment_deadline_ms: pinned(60_000), payment_attempts_max: pinned(1) });
    expect(policy).toMatchObject({ paymentDeadlineMs: 60_000, paymentAttemptsMax: 1, stepRetryMax: 5 });
  });

  it.each([0, -1, 1.5, "60000", true])("of %j overrides nothing", (value) => {
    const policy = policyWith({ payment_deadline_ms: pinned(value), payment_attempts_max: pinned(value) });
    expect(policy).toMatchObject({ paymentDeadlineMs: 900_000, paymentAttemptsMax: 3 });
  });

  it("is remembered with its variant and reason", () => {
    const flags = { new_tax: { value: true, variant: "on", reason: "TARGETING_MATCH" } };
    expect(MachineRun.at("pinningFlags").done({ flags }).context.flags).toEqual(flags);
  });
});

describe("what needs an id that no step gave", () => {
  it.each([
    ["STEP_2", null, "invoice"],
    ["STEP_3", null, "order"],
  ])("%s without its result is refused by name", (id, output, name) => {
    const run = MachineRun.at(id);
    expect(() => {
      run.done(output);
      run.done({ optIns: [] });
    }).toThrow(name);
  });
});
