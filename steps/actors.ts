/** The machine's actors over the participants' contracts: what `checkoutMachine.provide({ actors })` takes. */
import { fromPromise } from "xstate";
import type { UndoName } from "../machines/context.ts";
import type { ActorName } from "../machines/step-inputs.ts";
import type { ActorLogics } from "../machines/vocabulary.ts";
import { createCheckoutOrder } from "./create-order.ts";
import { createPaymentGroup } from "./create-payment-groups.ts";
import { createPreferencesToLineItemsMapping } from "./create-preferences-mapping.ts";
import { createPostSellingPreferences } from "./create-preferences.ts";
import { getLineItemSummary } from "./get-invoice.ts";
import { handleOptinCreationAndModification } from "./handle-opt-ins.ts";
import { hydratePaymentAndUpdateLineItems } from "./hydrate-payment.ts";
import { produceLineItemsConfirmedEvent, produceLineItemsUpdatedEvent } from "./produce-line-items-event.ts";
import { resolveFeatureFlags } from "./resolve-feature-flags.ts";
import {
  cancelIfPending,
  createPaymentAttempt,
  executePCRSuccessSteps,
  getPaymentStatus,
  refundCapture,
} from "./settle-payment.ts";
import type { Compensate, Execute, StepDeps } from "./step.ts";
import { reversePaymentRequest, upsertLineItemsAndCreatePaymentRequest } from "./upsert-line-items.ts";

export type Executions = { [Name in ActorName]: Execute<Name> };

/** Every execution but the locks', which belong to the runtime and are handed in. */
export function checkoutExecutions(deps: StepDeps, acquireLocks: Execute<"acquireLocks">): Executions {
  const paymentGroups = createPaymentGroup(deps);
  const preferences = createPostSellingPreferences(deps);
  const invoice = getLineItemSummary(deps);
  const order = createCheckoutOrder(deps);
  const optIns = handleOptinCreationAndModification(deps);
  const lineItems = upsertLineItemsAndCreatePaymentRequest(deps);
  const hydration = hydratePaymentAndUpdateLineItems(deps);
  const mapping = createPreferencesToLineItemsMapping(deps);
  const updatedEvent = produceLineItemsUpdatedEvent();
  const compensations: Readonly<Record<UndoName, Compensate>> = {
    paymentGroups: paymentGroups.compensate,
    preferences: preferences.compensate,
    invoice: invoice.compensate,
    order: order.compensate,
    optIns: optIns.compensate,
    lineItems: lineItems.compensate,
    paymentRequest: reversePaymentRequest(deps),
    paymentHydration: hydration.compensate,
    preferencesMapping: mapping.compensate,
    lineItemsUpdatedEvent: updatedEvent.compensate,
  };
  return {
    resolveFeatureFlags: resolveFeatureFlags(deps),
    createPaymentGroup: paymentGroups.execute,
    acquireLocks,
    createPostSellingPreferences: preferences.execute,
    getLineItemSummary: invoice.execute,
    createCheckoutOrder: order.execute,
    handleOptinCreationAndModification: optIns.execute,
    upsertLineItemsAndCreatePaymentRequest: lineItems.execute,
    hydratePaymentAndUpdateLineItems: hydration.execute,
    createPreferencesToLineItemsMapping: mapping.execute,
    produceLineItemsUpdatedEvent: updatedEvent.execute,
    createPaymentAttempt: createPaymentAttempt(deps),
    getPaymentStatus: getPaymentStatus(deps),
    cancelIfPending: cancelIfPending(deps),
    executePCRSuccessSteps: executePCRSuccessSteps(deps),
    produceLineItemsConfirmedEvent: produceLineItemsConfirmedEvent(),
    handleRollback: (input, signal) => compensations[input.undo]({ ...input, signal }),
    refundCapture: refundCapture(deps),
  };
}

/** Each execution as the promise actor that the machine invokes. */
export function checkoutActors(executions: Executions): ActorLogics {
  const logics = Object.entries(executions).map(([name, execute]) => {
    const run = execute as (input: unknown, signal: AbortSignal) => Promise<unknown>;
    return [name, fromPromise(({ input, signal }) => run(input, signal))];
  });
  return Object.fromEntries(logics) as ActorLogics;
}
