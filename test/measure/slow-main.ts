/**
 * The service with participants that keep nothing and take STEP_MS for each step, half of it before the effect and half
 * after, before the commit that would remember it. Each effect is a line of the file EFFECTS, which outlives the process.
 * So what is measured is the service's own; the locks of a checkout are the real ones.
 */
import { openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import pino from "pino";
import { createActor, fromPromise, toPromise, type PromiseActorLogic } from "xstate";
import { checkoutMachine } from "../../machines/checkout.ts";
import type { Actors } from "../../machines/step-inputs.ts";
import { loadConfig } from "../../server/config.ts";
import { serve } from "../../server/serve.ts";

interface StepInput {
  readonly executionContextId: string;
}

type Logic = PromiseActorLogic<unknown, StepInput>;

const FAR = 4_000_000_000_000;
const PAYABLE = 249_900;
const CURRENCY = "INR";

/** What a checkout hears that is paid at once. */
function answersTo(id: string) {
  const group = { lineItemRefs: ["l1"], sellerId: "slr_1", paymentTiming: "NOW" as const, paymentGroupId: `pg_${id}` };
  const price = { quantity: 1, unitPrice: PAYABLE, discount: 0, tax: 0, fee: 0, total: PAYABLE };
  const line = { ref: "l1", kind: "LINE_ITEM" as const, sku: "S", paymentGroupId: group.paymentGroupId, ...price };
  const outcome = { kind: "captured" as const, pspReference: `psr_${id}`, amount: PAYABLE, currency: CURRENCY };
  return {
    resolveFeatureFlags: { flags: {} },
    createPaymentGroup: { paymentGroups: [group] },
    createPostSellingPreferences: { preferences: [] },
    getLineItemSummary: {
      invoiceId: `inv_${id}`,
      version: 1,
      hash: "h",
      expiresAt: FAR,
      payable: PAYABLE,
      currency: CURRENCY,
      lines: [line],
    },
    createCheckoutOrder: { checkoutOrderId: `co_${id}`, orderNumber: id },
    handleOptinCreationAndModification: { optIns: [] },
    upsertLineItemsAndCreatePaymentRequest: {
      lineItems: [{ ref: "l1", lineItemId: `li_${id}` }],
      payment: { pcrId: `pcr_${id}`, attemptId: `att_${id}`, outcome },
      dueAt: FAR,
    },
    executePCRSuccessSteps: { captures: [] },
  } satisfies { readonly [Name in keyof Actors]?: Actors[Name]["output"] };
}

const stepMs = Number(process.env["STEP_MS"]);
const effects = openSync(process.env["EFFECTS"] ?? "/dev/null", "a");

// The orchestrator asks the machine for its actors through this one method.
const provide = checkoutMachine.provide.bind(checkoutMachine);
checkoutMachine.provide = (implementations) => {
  const actors = Object.entries(implementations.actors ?? {}).map(([name, logic]) => [name, slow(name, logic as Logic)]);
  return provide({ actors: Object.fromEntries(actors) as NonNullable<typeof implementations.actors> });
};

function slow(name: string, logic: Logic): Logic {
  return fromPromise(async ({ input }: { readonly input: StepInput }) => {
    await sleep(stepMs / 2);
    writeSync(effects, `${input.executionContextId}:${name}\n`);
    const output =
      name === "acquireLocks"
        ? await toPromise(createActor(logic, { input }).start())
        : ((answersTo(input.executionContextId) as Readonly<Record<string, unknown>>)[name] ?? {});
    await sleep(stepMs / 2);
    return output;
  });
}

const { url } = await serve(loadConfig(process.env), pino({ level: "warn" }));
process.stdout.write(`checkoutd  ${url}\n`);
