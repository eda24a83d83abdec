/**
 * One checkout's calls to the participants, as its steps make them. What can be undone and what builds on it are lists:
 * the suite states its laws over them.
 */
import { randomUUID } from "node:crypto";
import type { PaymentGroup } from "../../machines/context.ts";
import type { RequestedLineItem } from "../../steps/request.ts";
import type { Call, CheckoutServices, UndoReport } from "../../steps/services.ts";

/** In the documented order; a later one builds on the earlier ones. Payment requests have a suite of their own. */
export const UNDOABLE_OPERATIONS = [
  "createPaymentGroup",
  "createPostSellingPreferences",
  "getLineItemSummary",
  "createCheckoutOrder",
  "handleOptinCreationAndModification",
  "upsertLineItems",
  "hydratePaymentAndUpdateLineItems",
  "createPreferencesToLineItemsMapping",
] as const;
export type UndoableOperation = (typeof UNDOABLE_OPERATIONS)[number];

/** An operation without an undo of its own. */
export interface FollowUp {
  readonly name: string;
  /** What it builds on: once that is undone, there is nothing to follow up. */
  readonly of: UndoableOperation;
  /** What has to come in between. */
  readonly needs: readonly string[];
  /** From then on what it builds on is no longer undone. */
  readonly isConfirmation: boolean;
}

export const FOLLOW_UPS = [
  { name: "lockPaymentGroups", of: "createPaymentGroup", needs: [], isConfirmation: false },
  { name: "settlePaymentGroups", of: "createPaymentGroup", needs: ["lockPaymentGroups"], isConfirmation: true },
  { name: "hydratePaymentAndUpdateLineItems", of: "upsertLineItems", needs: [], isConfirmation: false },
  { name: "settleLineItems", of: "upsertLineItems", needs: ["hydratePaymentAndUpdateLineItems"], isConfirmation: false },
  { name: "confirmLineItems", of: "upsertLineItems", needs: ["hydratePaymentAndUpdateLineItems"], isConfirmation: true },
  { name: "activateOptIns", of: "handleOptinCreationAndModification", needs: [], isConfirmation: true },
  { name: "confirmCheckoutOrder", of: "createCheckoutOrder", needs: [], isConfirmation: true },
] as const satisfies readonly FollowUp[];
type FollowUpName = (typeof FOLLOW_UPS)[number]["name"];

const LINE_ITEMS: readonly RequestedLineItem[] = [
  { ref: "l1", sku: "SVC-AC-DEEP", quantity: 2, sellerId: "slr_1", paymentTiming: "NOW" },
  { ref: "l2", sku: "PRD-FILTER", quantity: 1, sellerId: "slr_2", paymentTiming: "NOW" },
];
const CITY = "BLR";
const CURRENCY = "INR";
const DAY_MS = 86_400_000;

let slotsTaken = 0;

/** A day of its own each time: a slot has few places. */
function freshDate(): string {
  return new Date(Date.UTC(2030, 0, 1) + DAY_MS * ++slotsTaken).toISOString().slice(0, 10);
}

export class CheckoutCalls {
  readonly id = `ctx_${randomUUID()}`;
  readonly #userId = `usr_${randomUUID()}`;
  readonly #date = freshDate();
  #paymentGroups: readonly PaymentGroup[] = [];
  #lineItemIds: readonly string[] = [];

  constructor(private readonly services: CheckoutServices) {}

  call(step: string): Call {
    return { executionContextId: this.id, key: `${this.id}:${step}` };
  }

  /** With everything that it builds on done before, which is done once. */
  async performed(operation: UndoableOperation): Promise<unknown> {
    if (operation === "hydratePaymentAndUpdateLineItems") await this.perform("upsertLineItems");
    return this.perform(operation);
  }

  /** Under a key of its own, or of whichever step it is told. */
  async perform(operation: UndoableOperation, step: string = operation): Promise<unknown> {
    const { paymentGroups, preferences, invoices, orders, optIns, lineItems } = this.services;
    const call = this.call(step);
    const customer = { userId: this.#userId, cityId: CITY };
    switch (operation) {
      case "createPaymentGroup": {
        const created = await paymentGroups.createPaymentGroup({
          ...call,
          payerId: this.#userId,
          cityId: CITY,
          lineItems: LINE_ITEMS,
        });
        this.#paymentGroups = created.paymentGroups;
        return created;
      }
      case "createPostSellingPreferences": {
        const payload = { slotId: "slot_0900", date: this.#date };
        const slot = { ref: "p1", type: "DELIVERY_SLOT" as const, lineItemRefs: ["l1"], payload };
        return preferences.createPostSellingPreferences({ ...call, preferences: [slot] });
      }
      case "getLineItemSummary": {
        const wanted = { lineItems: LINE_ITEMS, optIns: [], couponCodes: ["NEW100"], paymentGroups: this.#groups() };
        return invoices.getLineItemSummary({ ...call, ...customer, ...wanted });
      }
      case "createCheckoutOrder": {
        const order = { cartId: `cart_${this.id}`, invoiceId: "inv_1", payable: 249_900, currency: CURRENCY };
        return orders.createCheckoutOrder({ ...call, ...customer, ...order });
      }
      case "handleOptinCreationAndModification": {
        const membership = { ref: "o1", type: "MEMBERSHIP", action: "CREATE", planId: "plus_6m" } as const;
        return optIns.handleOptinCreationAndModification({ ...call, userId: this.#userId, optIns: [membership] });
      }
      case "upsertLineItems": {
        const upserted = await lineItems.upsertLineItems({
          ...call,
          checkoutOrderId: `co_${this.id}`,
          lineItems: LINE_ITEMS.map((item) => ({ ...item, ...PRICE, preferenceIds: [] })),
        });
        this.#lineItemIds = upserted.lineItems.map(({ lineItemId }) => lineItemId);
        return upserted;
      }
      case "hydratePaymentAndUpdateLineItems":
        return lineItems.hydratePaymentAndUpdateLineItems({
          ...call,
          lineItemIds: this.#lineItemIds.length === 0 ? ["li_of_nobody"] : this.#lineItemIds,
          pcrId: `pcr_${this.id}`,
          attemptId: `att_${this.id}`,
          paymentStatus: "REQUIRES_ACTION",
        });
      case "createPreferencesToLineItemsMapping": {
        const pair = { preferenceId: `psp_${this.id}`, lineItemId: `li_${this.id}` };
        return lineItems.createPreferencesToLineItemsMapping({ ...call, pairs: [pair] });
      }
    }
  }

  async undo(operation: UndoableOperation, step: string = operation): Promise<UndoReport> {
    const { paymentGroups, preferences, invoices, orders, optIns, lineItems } = this.services;
    const call = this.call(step);
    switch (operation) {
      case "createPaymentGroup":
        return paymentGroups.undoCreatePaymentGroup(call);
      case "createPostSellingPreferences":
        return preferences.undoCreatePostSellingPreferences(call);
      case "getLineItemSummary":
        return invoices.undoGetLineItemSummary(call);
      case "createCheckoutOrder":
        return orders.undoCreateCheckoutOrder({ ...call, reason: "CANCELLED" });
      case "handleOptinCreationAndModification":
        return optIns.undoHandleOptinCreationAndModification(call);
      case "upsertLineItems":
        return lineItems.undoUpsertLineItems(call);
      case "hydratePaymentAndUpdateLineItems":
        return lineItems.undoHydratePaymentAndUpdateLineItems(call);
      case "createPreferencesToLineItemsMapping":
        return lineItems.undoCreatePreferencesToLineItemsMapping(call);
    }
  }

  async follow(name: FollowUpName): Promise<unknown> {
    const { paymentGroups, orders, optIns, lineItems } = this.services;
    const call = this.call(name);
    switch (name) {
      case "lockPaymentGroups": {
        const amounts = Object.fromEntries(this.#groups().map(({ paymentGroupId }) => [paymentGroupId, 100]));
        return paymentGroups.lockPaymentGroups({ ...call, amounts });
      }
      case "settlePaymentGroups":
        return paymentGroups.settlePaymentGroups(call);
      case "hydratePaymentAndUpdateLineItems":
        return this.perform(name);
      case "settleLineItems":
        return lineItems.settleLineItems({ ...call, pspReference: "psr_1" });
      case "confirmLineItems":
        return lineItems.confirmLineItems(call);
      case "activateOptIns":
        return optIns.activateOptIns(call);
      case "confirmCheckoutOrder":
        return orders.confirmCheckoutOrder(call);
    }
  }

  /** A checkout without groups names some all the same: its step has a bug, or its call comes from another time. */
  #groups(): readonly PaymentGroup[] {
    const lineItemRefs = LINE_ITEMS.map(({ ref }) => ref);
    const nobodys = { paymentGroupId: "pg_of_nobody", lineItemRefs, sellerId: "slr_1", paymentTiming: "NOW" } as const;
    return this.#paymentGroups.length === 0 ? [nobodys] : this.#paymentGroups;
  }
}

const PRICE = { unitPrice: 100, total: 100, currency: CURRENCY, paymentGroupId: "pg_1" };
