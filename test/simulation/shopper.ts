/** A client of the API: it asks, waits for a while, asks again with the same key, and changes its mind now and then. */
import { CheckoutError } from "../../machines/errors.ts";
import type { CheckoutRequest } from "../../steps/request.ts";
import type { Clock } from "../../steps/ports.ts";
import type { InitiateResult } from "../../runtime/initiation.ts";
import type { NextWish, ShopperPlan } from "./scenario.ts";
import type { SimulatedNode } from "./simulated-node.ts";

export interface ShopperWorld {
  readonly clock: Clock;
  /** A node that answers, if there is one. */
  readonly anyNode: () => SimulatedNode | null;
  /** As somebody else finds it, who never saw the answer. */
  readonly findCheckout: (idempotencyKey: string) => string | null;
  readonly trace: (what: () => string) => void;
  /** What happened, to be counted. */
  readonly count: (what: string) => void;
  /** Something happened that no client may ever see. */
  readonly complain: (what: string) => void;
}

const PATIENCE_MS = 4_000;
const ASK_AGAIN_MS = 1_000;
/** With these the same request is worth sending again. */
const WORTH_REPEATING = new Set(["RETRY_SCHEDULED", "DRAINING", "OVERLOADED", "UNAVAILABLE", "NO_ANSWER"]);
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

/** What a call came to: its value, or the code with which it was refused. */
type Reply<Value> = { readonly kind: "answered"; readonly value: Value } | { readonly kind: "refused"; readonly code: string };

export class Shopper {
  isDone = false;
  /** The stored answer, as every request with this key got it. */
  #answer: string | null = null;
  executionContextId: string | null = null;

  constructor(
    readonly plan: ShopperPlan,
    private readonly world: ShopperWorld,
  ) {}

  async shop(): Promise<void> {
    await this.#pause(this.plan.startMs);
    const { copies, next } = this.plan;
    const answers = Promise.all(Array.from({ length: copies }, () => this.#initiate()));
    if (next?.isImpatient !== true) await answers;
    if (next !== null) await this.#wish(next);
    await answers;
    this.isDone = true;
  }

  async #initiate(): Promise<void> {
    const { name, idempotencyKey } = this.plan;
    const reply = await this.#persist("initiates", async (node) => {
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
    await this.#pause(afterMs);
    const executionContextId = this.executionContextId ?? this.world.findCheckout(this.plan.idempotencyKey);
    if (executionContextId === null) return;
    if (kind === "cancel") {
      await this.#persist("cancels", (node) => node.orchestrator.cancel(executionContextId, PATIENCE_MS / 2));
      return;
    }
    const command = { executionContextId, idempotencyKey: "again", method: "CARD", instrumentId: instrument };
    await this.#persist("pays again", (node) => node.orchestrator.attemptPayment({ ...command, waitMs: PATIENCE_MS / 2 }));
  }

  /** Until there is an answer, or a refusal that another try would only meet again. `null` = no answer yet. */
  async #persist<Value>(what: string, ask: (node: SimulatedNode) => Promise<Value | null>): Promise<Reply<Value>> {
    const { anyNode, trace, complain, count } = this.world;
    for (;;) {
      const node = anyNode();
      if (node !== null) {
        trace(() => `${this.plan.name} ${what} at ${node.name}`);
        const value = await this.#within(ask(node)).catch((error: unknown) => codeOf(error));
        if (value !== null && typeof value !== "string") {
          trace(() => `${this.plan.name} has an answer${statusOf(value)}`);
          return { kind: "answered", value };
        }
        if (typeof value === "string") {
          count(`told ${value}`);
          trace(() => `${this.plan.name} is told ${value}`);
        }
        if (typeof value === "string" && !WORTH_REPEATING.has(value)) {
          if (!EXPECTED.has(value)) complain(`${this.plan.name} ${what} and is told ${value}`);
          return { kind: "refused", code: value };
        }
      }
      await this.#pause(ASK_AGAIN_MS);
    }
  }

  #within<Value>(answer: Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      const cancel = this.world.clock.after(PATIENCE_MS, () => reject(new NoAnswer()));
      answer.then(resolve, reject).finally(cancel);
    });
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resume) => this.world.clock.after(ms, resume));
  }
}

function statusOf(value: unknown): string {
  const { answer, status } = value as {
    readonly answer?: { readonly status: number; readonly body: string };
    readonly status?: string;
  };
  if (answer === undefined) return status === undefined ? "" : `: ${status}`;
  return `: ${answer.status} ${(JSON.parse(answer.body) as { readonly status?: string }).status ?? ""}`;
}

class NoAnswer extends Error {
  readonly code = "NO_ANSWER";
}

function codeOf(error: unknown): string {
  if (error instanceof CheckoutError || error instanceof NoAnswer) return error.code;
  return `${String(error)}`;
}

function idOf(result: InitiateResult): string {
  return result.kind === "answered" ? result.executionContextId : result.view.executionContextId;
}

function requestOf({ cartId, cartVersion, userId, instrument }: ShopperPlan): CheckoutRequest {
  return {
    cart: { cartId, version: cartVersion },
    user: { userId, cityId: "BLR" },
    lineItems: [
      { ref: "l1", sku: "SVC-AC-DEEP", quantity: 2, sellerId: "slr_1", paymentTiming: "NOW" },
      { ref: "l2", sku: "SVC-TAP", quantity: 1, sellerId: "slr_2", paymentTiming: "NOW" },
    ],
    preferences: [{ ref: "p1", type: "DELIVERY_SLOT", lineItemRefs: ["l1"], payload: { slotId: "slot_0900" } }],
    optIns: [{ ref: "o1", type: "MEMBERSHIP", action: "CREATE", planId: "plus_6m" }],
    payment: { method: "UPI", instrumentId: instrument },
  };
}
