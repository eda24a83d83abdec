/**
 * Payment requests of far-away users: each times out for its caller and arrives seconds later all the same, after its
 * undo when the client has cancelled meanwhile.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { TransientError } from "../../machines/errors.ts";
import type { Payments } from "../../steps/services.ts";

/** Users whose requests are delayed. */
export const FAR = "usr_far_";
const DELAY_MS = 2_500;

export class DelayedRequests {
  readonly #underWay = new Set<Promise<void>>();
  #refused = 0;

  around = (payments: Payments): Payments => {
    const createPaymentRequest: Payments["createPaymentRequest"] = (call) => {
      if (!call.payerId.startsWith(FAR)) return payments.createPaymentRequest(call);
      // Nobody can call it back any more.
      const { signal: _, ...original } = call;
      const arrival = sleep(DELAY_MS)
        .then(() => payments.createPaymentRequest(original))
        .then(
          () => undefined,
          (error: unknown) => void ((error as { readonly code?: string }).code === "UNDONE" && this.#refused++),
        )
        .finally(() => this.#underWay.delete(arrival));
      this.#underWay.add(arrival);
      return Promise.reject(new TransientError("TIMEOUT", "The payment request was not answered in time."));
    };
    return new Proxy(payments, {
      get: (target, name) => {
        if (name === "createPaymentRequest") return createPaymentRequest;
        const member: unknown = Reflect.get(target, name, target);
        return typeof member === "function" ? member.bind(target) : member;
      },
    });
  };

  /** Requests that arrived after their undo and were refused. */
  get refused(): number {
    return this.#refused;
  }

  /** Resolves when all have arrived. */
  async arrived(): Promise<void> {
    await Promise.all(this.#underWay);
  }
}
