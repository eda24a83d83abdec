/** The participants of a checkout in memory, by their contracts (steps/services.ts). They can be copied while a checkout stands still. */
import type { PaymentGroup } from "../../machines/context.ts";
import type { Clock } from "../../steps/ports.ts";
import type { RequestedLineItem } from "../../steps/request.ts";
import type { CheckoutServices } from "../../steps/services.ts";
import { EffectBook } from "./effect-book.ts";
import { FakePayments } from "./fake-payments.ts";

const UNIT_PRICE = 99_950;
const CURRENCY = "INR";
const INVOICE_VALID_MS = 86_400_000;
const NO_EXTRAS = { discount: 0, tax: 0, fee: 0 };

export class FakeParticipants {
  readonly services: CheckoutServices;

  constructor(
    clock: Pick<Clock, "now">,
    readonly effects = new EffectBook(),
    readonly payments = new FakePayments(),
  ) {
    this.services = servicesOver(clock, effects, payments);
  }

  clone(clock: Pick<Clock, "now">): FakeParticipants {
    return new FakeParticipants(clock, this.effects.clone(), this.payments.clone());
  }
}

function servicesOver(clock: Pick<Clock, "now">, effects: EffectBook, payments: FakePayments): CheckoutServices {
  return {
    payments,
    rules: { check: async () => [] },
    flags: { resolve: async () => ({}) },
    paymentGroups: {
      createPaymentGroup: async (call) =>
        effects.perform("createPaymentGroup", call, () => ({
          paymentGroups: paymentGroupsOf(call.lineItems, call.executionContextId),
        })),
      undoCreatePaymentGroup: async (call) => effects.undo("createPaymentGroup", call),
      lockPaymentGroups: async (call) => {
        effects.requireLive("createPaymentGroup", call);
        effects.perform("lockPaymentGroups", call, () => null);
      },
      settlePaymentGroups: async (call) => {
        effects.requireLive("lockPaymentGroups", call);
        effects.confirm("createPaymentGroup", call);
      },
    },
    preferences: {
      createPostSellingPreferences: async (call) =>
        effects.perform("createPostSellingPreferences", call, () => ({
          preferences: call.preferences.map(({ ref, lineItemRefs }) => ({ ref, lineItemRefs, preferenceId: `psp_${ref}` })),
        })),
      undoCreatePostSellingPreferences: async (call) => effects.undo("createPostSellingPreferences", call),
    },
    invoices: {
      getLineItemSummary: async (call) =>
        effects.perform("getLineItemSummary", call, () => {
          const lines = call.lineItems.map(({ ref, sku, quantity }) => ({
            ...NO_EXTRAS,
            ref,
            kind: "LINE_ITEM" as const,
            sku,
            quantity,
            unitPrice: UNIT_PRICE,
            total: UNIT_PRICE * quantity,
            paymentGroupId: call.paymentGroups.find(({ lineItemRefs }) => lineItemRefs.includes(ref))?.paymentGroupId ?? "",
          }));
          const payable = lines.reduce((sum, { total }) => sum + total, 0);
          const expiresAt = clock.now() + INVOICE_VALID_MS;
          return { invoiceId: "inv_1", version: 1, hash: "hash", payable, currency: CURRENCY, expiresAt, lines };
        }),
      undoGetLineItemSummary: async (call) => effects.undo("getLineItemSummary", call),
    },
    orders: {
      createCheckoutOrder: async (call) =>
        effects.perform("createCheckoutOrder", call, () => ({ checkoutOrderId: "co_1", orderNumber: "BLR-000001" })),
      undoCreateCheckoutOrder: async (call) => effects.undo("createCheckoutOrder", call),
      confirmCheckoutOrder: async (call) => effects.confirm("createCheckoutOrder", call),
    },
    optIns: {
      handleOptinCreationAndModification: async (call) =>
        effects.perform("handleOptinCreationAndModification", call, () => ({
          optIns: call.optIns.map(({ ref }) => ({ ref, optInId: `opt_${ref}` })),
        })),
      undoHandleOptinCreationAndModification: async (call) => effects.undo("handleOptinCreationAndModification", call),
      activateOptIns: async (call) => effects.confirm("handleOptinCreationAndModification", call),
    },
    lineItems: {
      upsertLineItems: async (call) =>
        effects.perform("upsertLineItems", call, () => ({
          lineItems: call.lineItems.map(({ ref }) => ({ ref, lineItemId: `li_${ref}` })),
        })),
      undoUpsertLineItems: async (call) => effects.undo("upsertLineItems", call),
      hydratePaymentAndUpdateLineItems: async (call) => {
        effects.requireLive("upsertLineItems", call);
        return effects.perform("hydratePaymentAndUpdateLineItems", call, () => ({ lineItemIds: call.lineItemIds }));
      },
      undoHydratePaymentAndUpdateLineItems: async (call) => effects.undo("hydratePaymentAndUpdateLineItems", call),
      createPreferencesToLineItemsMapping: async (call) =>
        effects.perform("createPreferencesToLineItemsMapping", call, () => ({ mapped: call.pairs.length })),
      undoCreatePreferencesToLineItemsMapping: async (call) => effects.undo("createPreferencesToLineItemsMapping", call),
      settleLineItems: async (call) => effects.requireLive("upsertLineItems", call),
      confirmLineItems: async (call) => {
        effects.requireLive("hydratePaymentAndUpdateLineItems", call);
        effects.confirm("upsertLineItems", call);
      },
    },
  };
}

/** By seller and timing. */
function paymentGroupsOf(lineItems: readonly RequestedLineItem[], executionContextId: string): readonly PaymentGroup[] {
  const isOne = (item: RequestedLineItem) => (other: RequestedLineItem) =>
    other.sellerId === item.sellerId && other.paymentTiming === item.paymentTiming;
  const firsts = lineItems.filter((item, place) => lineItems.findIndex(isOne(item)) === place);
  return firsts.map((item, place) => ({
    paymentGroupId: `pg_${place + 1}_${executionContextId}`,
    lineItemRefs: lineItems.filter(isOne(item)).map(({ ref }) => ref),
    sellerId: item.sellerId,
    paymentTiming: item.paymentTiming,
  }));
}
