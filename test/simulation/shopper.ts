/** Who checks out: asks until there is an answer, and changes its mind now and then. */
import type { CheckoutRequest } from "../../steps/request.ts";
import type { InitiateResult } from "../../runtime/initiation.ts";
import { Client, PATIENCE_MS, type ClientWorld } from "./client.ts";
import type { NextWish, ShopperPlan } from "./scenario.ts";

export interface ShopperWorld extends ClientWorld {
  /** As somebody else finds it, who never saw the answer. */
  readonly findCheckout: (idempotencyKey: string) => string | null;
}

const EXPECTED = new Set([
  "CHECKOUT_IN_PROGRESS",
  "CART_ALREADY_CHECKED_OUT",
  "CART_VERSION_STALE",
  "NOT_CANCELLABLE",
  "PAYMENT_NOT_EXPECTED",
  "ALREADY_PAID",
  // By the rules, which a participant checks.
  "REFUSED",
]);

export class Shopper {
  isDone = false;
  /** The stored answer, as every request with this key got it. */
  #answer: string | null = null;
  executionContextId: string | null = null;

  readonly #client: Client;

  constructor(
    readonly plan: ShopperPlan,
    private readonly world: ShopperWorld,
  ) {
    this.#client = new Client(plan.name, EXPECTED, world);
  }

  async shop(): Promise<void> {
    await this.#client.pause(this.plan.startMs);
    const { copies, next } = this.plan;
    const answers = Promise.all(Array.from({ length: copies }, () => this.#initiate()));
    if (next?.isImpatient !== true) await answers;
    if (next !== null) await this.#wish(next);
    await answers;
    this.isDone = true;
  }

  async #initiate(): Promise<void> {
    const { name, idempotencyKey } = this.plan;
    const reply = await this.#client.persist("initiates", async (node) => {
      const result = await node.orchestrator.initiate({
        caller: "shop",
        idempotencyKey,
        requestHash: idempotencyKey,
        request: requestOf(this.plan),
        traceparent: null,
        waitMs: PATIENCE_MS / 2,
      });
      this.#learn(idOf(result));
      return result.kind === "answered" ? result : null;
    });
    if (reply.kind === "refused") return;
    const { answer, replayed } = reply.value;
    const { body } = answer;
    if (replayed) this.world.count("answer replayed");
    if (this.#answer !== null && this.#answer !== body) this.world.complain(`${name} got two answers for one key`);
    this.#answer = body;
  }

  #learn(id: string): void {
    if (this.executionContextId !== null && this.executionContextId !== id) {
      this.world.complain(`one key of ${this.plan.name} began ${this.executionContextId} and ${id}`);
    }
    this.executionContextId = id;
  }

  async #wish({ kind, afterMs, instrument }: NextWish): Promise<void> {
    await this.#client.pause(afterMs);
    const executionContextId = this.executionContextId ?? this.world.findCheckout(this.plan.idempotencyKey);
    if (executionContextId === null) return;
    if (kind === "cancel") {
      await this.#client.persist("cancels", (node) => node.orchestrator.cancel(executionContextId, PATIENCE_MS / 2));
      return;
    }
    const command = { executionContextId, idempotencyKey: "again", method: "CARD", instrumentId: instrument };
    await this.#client.persist("pays again", (node) => node.orchestrator.attemptPayment({ ...command, waitMs: PATIENCE_MS / 2 }));
  }
}

function idOf(result: InitiateResult): string {
  return result.kind === "answered" ? result.executionContextId : result.view.executionContextId;
}

function requestOf({ cartId, cartVersion, userId, instrument, paidLater }: ShopperPlan): CheckoutRequest {
  const timingOf = (place: number) => (place > 2 - paidLater ? "LATER" : "NOW");
  return {
    cart: { cartId, version: cartVersion },
    user: { userId, cityId: "BLR" },
    lineItems: [
      { ref: "l1", sku: "SVC-AC-DEEP", quantity: 2, sellerId: "slr_1", paymentTiming: timingOf(1) },
      { ref: "l2", sku: "SVC-TAP", quantity: 1, sellerId: "slr_2", paymentTiming: timingOf(2) },
    ],
    preferences: [{ ref: "p1", type: "DELIVERY_SLOT", lineItemRefs: ["l1"], payload: { slotId: "slot_0900" } }],
    optIns: [{ ref: "o1", type: "MEMBERSHIP", action: "CREATE", planId: "plus_6m" }],
    payment: { method: "UPI", instrumentId: instrument },
  };
}
