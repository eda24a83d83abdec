import { and, eq, sql } from "drizzle-orm";
import type { CheckoutOrder } from "../machines/context.ts";
import { TerminalError } from "../machines/errors.ts";
import type { Database } from "../persistence/connect.ts";
import { checkoutOrders } from "../persistence/order-schema.ts";
import type { Ids } from "../steps/ports.ts";
import type { Call, CheckoutOrders, UndoReport } from "../steps/services.ts";
import { EffectLog } from "./effect-log.ts";
import { OrderNumbers } from "./order-numbers.ts";

export interface OrderDeps {
  readonly database: Database;
  readonly ids: Ids;
}

/** CheckoutOrder: PENDING → CONFIRMED | CANCELLED(reason). Never deleted. */
export class SqlCheckoutOrders implements CheckoutOrders {
  readonly #database: Database;
  readonly #ids: Ids;
  readonly #effects: EffectLog;
  readonly #numbers: OrderNumbers;

  constructor(deps: OrderDeps) {
    this.#database = deps.database;
    this.#ids = deps.ids;
    this.#effects = new EffectLog(deps.database);
    this.#numbers = new OrderNumbers(deps.database);
  }

  async createCheckoutOrder(call: Parameters<CheckoutOrders["createCheckoutOrder"]>[0]): Promise<CheckoutOrder> {
    // Outside the transaction: the number's row is everybody's. A repeated call wastes a number.
    const orderNumber = await this.#numbers.next(call.cityId, call.executionContextId);
    return this.#effects.perform<CheckoutOrder>("createCheckoutOrder", call, async (tx) => {
      const order = { checkoutOrderId: this.#ids.next("co"), orderNumber };
      await tx.insert(checkoutOrders).values({
        id: order.checkoutOrderId,
        contextId: call.executionContextId,
        orderNumber,
        userId: call.userId,
        cityId: call.cityId,
        cartId: call.cartId,
        invoiceId: call.invoiceId,
        payable: call.payable,
        currency: call.currency,
        status: "PENDING",
      });
      return { result: order, before: null };
    });
  }

  async undoCreateCheckoutOrder(call: Call & { readonly reason: string }): Promise<UndoReport> {
    return this.#effects.undo<CheckoutOrder>("createCheckoutOrder", call, async (tx, { result }) => {
      const id = result.checkoutOrderId;
      const cancelled = await tx
        .update(checkoutOrders)
        .set({ status: "CANCELLED", cancelReason: call.reason, updatedAt: sql`now()` })
        .where(and(eq(checkoutOrders.id, id), eq(checkoutOrders.status, "PENDING")))
        .returning({ id: checkoutOrders.id });
      if (cancelled.length > 0) return { conflicts: [] };
      const [order] = await tx.select({ status: checkoutOrders.status }).from(checkoutOrders).where(eq(checkoutOrders.id, id));
      // Cancelled by somebody else is what we wanted; anything else is theirs and stays.
      if (order?.status === "CANCELLED") return { conflicts: [] };
      return { conflicts: [{ entity: "checkoutOrder", id, reason: `It is ${order?.status ?? "missing"}, not PENDING.` }] };
    });
  }

  /** Repeating it changes nothing: the status says whether it was done. */
  async confirmCheckoutOrder(call: Call): Promise<void> {
    const mine = eq(checkoutOrders.contextId, call.executionContextId);
    const confirmed = await this.#database.orm
      .update(checkoutOrders)
      .set({ status: "CONFIRMED", updatedAt: sql`now()` })
      .where(and(mine, eq(checkoutOrders.status, "PENDING")))
      .returning({ id: checkoutOrders.id });
    if (confirmed.length > 0) return;
    const [order] = await this.#database.orm.select({ status: checkoutOrders.status }).from(checkoutOrders).where(mine);
    if (order?.status === "CONFIRMED") return;
    throw new TerminalError(
      "ORDER_NOT_PENDING",
      `The order of ${call.executionContextId} is ${order?.status ?? "missing"} and can't be confirmed.`,
    );
  }
}
