/** The orders of a team that has an order system of its own, spoken to over HTTP. */
import type { CheckoutOrder } from "../../machines/context.ts";
import { TerminalError, TransientError } from "../../machines/errors.ts";
import type { Call, CheckoutOrders, UndoReport } from "../../steps/services.ts";

const TIMEOUT_MS = 2_000;

export class OurOrders implements CheckoutOrders {
  constructor(private readonly url: string) {}

  createCheckoutOrder(call: Parameters<CheckoutOrders["createCheckoutOrder"]>[0]): Promise<CheckoutOrder> {
    return this.#post("/orders", call);
  }
  undoCreateCheckoutOrder(call: Call & { readonly reason: string }): Promise<UndoReport> {
    return this.#post("/orders/cancel", call);
  }
  confirmCheckoutOrder(call: Call): Promise<void> {
    return this.#post("/orders/confirm", call);
  }

  async #post<Answer>(path: string, { signal, ...body }: Call): Promise<Answer> {
    const headers = { "Content-Type": "application/json", "Idempotency-Key": body.key };
    const bounded = AbortSignal.any([AbortSignal.timeout(TIMEOUT_MS), ...(signal === undefined ? [] : [signal])]);
    const response = await fetch(this.url + path, { method: "POST", headers, body: JSON.stringify(body), signal: bounded });
    if (response.ok) return (await response.json()) as Answer;
    const Failure = response.status >= 500 || response.status === 429 ? TransientError : TerminalError;
    throw new Failure("ORDER_SYSTEM", `The order system answered ${response.status}.`);
  }
}
