import { afterAll, beforeAll, expect, test } from "vitest";
import { TerminalError } from "../../machines/errors.ts";
import type { Database } from "../../persistence/connect.ts";
import { SqlCheckoutOrders } from "../../services/orders.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { countingIds } from "../support/ports.ts";

let database: Database;
const ids = countingIds();

beforeAll(async () => {
  database = await openMemoryDatabase();
});
afterAll(() => database.close());

function setup(cityId = "BLR") {
  const executionContextId = ids.next("ctx");
  const orders = new SqlCheckoutOrders({ database, ids });
  const call = {
    executionContextId,
    key: `${executionContextId}:STEP_3`,
    userId: "usr_42",
    cityId,
    cartId: "cart_1",
    invoiceId: "inv_1",
    payable: 249900,
    currency: "INR",
  };
  const row = async () => {
    const rows = await database.rows<{ status: string; cancel_reason: string | null }>(
      "select status, cancel_reason from checkoutd.checkout_orders where context_id = $1",
      [executionContextId],
    );
    return rows;
  };
  return { orders, call, row };
}

test("creates a pending order with a number of its city", async () => {
  const { orders, call, row } = setup();
  const order = await orders.createCheckoutOrder(call);
  expect(order.orderNumber).toMatch(/^BLR-\d{6}$/);
  expect(await row()).toEqual([{ status: "PENDING", cancel_reason: null }]);
});

test("answers the same order when the same key is used again, also by another process", async () => {
  const { orders, call, row } = setup();
  const order = await orders.createCheckoutOrder(call);
  const { orders: restarted } = setup();
  expect(await restarted.createCheckoutOrder(call)).toEqual(order);
  expect(await row()).toHaveLength(1);
});

test("gives every order of a city its own number, past the end of a block and over two processes", async () => {
  const fortyOrders = ({ orders }: ReturnType<typeof setup>) =>
    Array.from({ length: 40 }, () => orders.createCheckoutOrder(setup("PNQ").call));
  const created = await Promise.all([...fortyOrders(setup("PNQ")), ...fortyOrders(setup("PNQ"))]);
  const numbers = new Set(created.map((order) => order.orderNumber));
  expect(numbers.size).toBe(80);
  expect(numbers).toContain("PNQ-000001");
});

test("confirms once and stays confirmed", async () => {
  const { orders, call, row } = setup();
  await orders.createCheckoutOrder(call);
  await orders.confirmCheckoutOrder({ ...call, key: `${call.executionContextId}:STEP_9` });
  await orders.confirmCheckoutOrder({ ...call, key: `${call.executionContextId}:STEP_9` });
  expect(await row()).toEqual([{ status: "CONFIRMED", cancel_reason: null }]);
});

test("an undo cancels with the reason, and a second one changes nothing", async () => {
  const { orders, call, row } = setup();
  await orders.createCheckoutOrder(call);
  expect(await orders.undoCreateCheckoutOrder({ ...call, reason: "PRICE_CHANGED" })).toEqual({ conflicts: [] });
  expect(await orders.undoCreateCheckoutOrder({ ...call, reason: "OTHER" })).toEqual({ conflicts: [] });
  expect(await row()).toEqual([{ status: "CANCELLED", cancel_reason: "PRICE_CHANGED" }]);
  await expect(orders.confirmCheckoutOrder(call)).rejects.toMatchObject({ code: "ORDER_NOT_PENDING" });
});

test("an undo of nothing refuses the delayed original", async () => {
  const { orders, call, row } = setup();
  await orders.undoCreateCheckoutOrder({ ...call, reason: "CANCELLED" });
  const delayed = orders.createCheckoutOrder(call);
  await expect(delayed).rejects.toBeInstanceOf(TerminalError);
  await expect(delayed).rejects.toMatchObject({ code: "UNDONE" });
  expect(await row()).toEqual([]);
});

test("an undo leaves an order that is confirmed, and says so", async () => {
  const { orders, call, row } = setup();
  const { checkoutOrderId } = await orders.createCheckoutOrder(call);
  await orders.confirmCheckoutOrder(call);
  const report = await orders.undoCreateCheckoutOrder({ ...call, reason: "CANCELLED" });
  expect(report.conflicts).toMatchObject([{ entity: "checkoutOrder", id: checkoutOrderId }]);
  expect(await row()).toEqual([{ status: "CONFIRMED", cancel_reason: null }]);
});
