/** `npx tsx examples/replace-a-service/main.ts`: one checkout that is paid and one that is declined, with orders in our own system. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pino from "pino";
import { loadConfig } from "../../server/config.ts";
import { serve } from "../../server/serve.ts";
import { startOrderSystem } from "./order-system.ts";
import { OurOrders } from "./our-orders.ts";

const dataDir = await mkdtemp(join(tmpdir(), "checkoutd-example-"));
const orderSystem = await startOrderSystem();
const config = loadConfig({ DATA_DIR: dataDir, PORT: "0" });
const node = await serve(config, pino({ level: "warn" }), { orders: new OurOrders(orderSystem.url) });

await checkOut("cart_1", "usr_1", "ins_sync_ok");
// The demo's flags give this user one attempt, so its decline is final.
await checkOut("cart_2", "usr_one_attempt_2", "ins_decline");
for (const { orderNumber, status } of orderSystem.orders) process.stdout.write(`our order ${orderNumber}  ${status}\n`);

await node.stop();
await orderSystem.stop();
await rm(dataDir, { recursive: true });

async function checkOut(cartId: string, userId: string, instrumentId: string): Promise<void> {
  const response = await fetch(`${node.url}/orchestration/checkout/initiate`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "Idempotency-Key": `example-${cartId}`, Prefer: "wait=30" },
    body: JSON.stringify({
      cart: { cartId, version: 1 },
      user: { userId, cityId: "BLR" },
      lineItems: [{ ref: "l1", sku: "PRD-FILTER", quantity: 1, sellerId: "slr_2", paymentTiming: "NOW" }],
      payment: { method: "CARD", instrumentId },
    }),
  });
  const { status, code, rollback } = (await response.json()) as Record<string, unknown>;
  process.stdout.write(
    `${cartId}  ${response.status} ${String(code ?? status)}${code === undefined ? "" : `, rollback ${String(rollback)}`}\n`,
  );
}
