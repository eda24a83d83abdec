/** The example of the README: it runs as printed, and its stand-in keeps the promises that a participant makes. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { startOrderSystem } from "../../examples/replace-a-service/order-system.ts";
import { OurOrders } from "../../examples/replace-a-service/our-orders.ts";

const EXAMPLE = "examples/replace-a-service";
/** A process of its own; a loaded machine takes seconds to start one. */
const PROCESS_TIMEOUT_MS = 120_000;
const README = readFileSync("README.md", "utf8");

async function setup() {
  const system = await startOrderSystem();
  const orders = new OurOrders(system.url);
  const call = { executionContextId: "ctx_1", key: "ctx_1:STEP_3" };
  const request = { ...call, userId: "u", cityId: "BLR", cartId: "c", invoiceId: "inv_1", payable: 1, currency: "INR" };
  return { system, orders, call, request, [Symbol.asyncDispose]: () => system.stop() };
}

describe("replacing a service", () => {
  it("runs as the README prints it", { timeout: PROCESS_TIMEOUT_MS }, async () => {
    const { stdout } = await promisify(execFile)(process.execPath, ["--import", "tsx", `${EXAMPLE}/main.ts`]);
    expect(stdout).toBe(
      [
        "cart_1  200 CONFIRMED",
        "cart_2  422 PAYMENT_DECLINED, rollback DONE",
        "our order ORD-1  CONFIRMED",
        "our order ORD-2  CANCELLED (PAYMENT_DECLINED)",
        "",
      ].join("\n"),
    );
    expect(README).toContain(stdout.trim());
  });

  it("is shown by the README as it stands in the file", () => {
    const source = readFileSync(`${EXAMPLE}/our-orders.ts`, "utf8");
    expect(README).toContain(source.slice(source.indexOf("export class")).trim());
  });
});

describe("the order system of the example", () => {
  it("gives the same order for the same key", async () => {
    await using desk = await setup();
    const first = await desk.orders.createCheckoutOrder(desk.request);
    expect(await desk.orders.createCheckoutOrder(desk.request)).toEqual(first);
    expect(desk.system.orders).toHaveLength(1);
  });

  it("refuses the delayed original after its undo", async () => {
    await using desk = await setup();
    await desk.orders.undoCreateCheckoutOrder({ ...desk.call, reason: "CANCELLED" });
    await expect(desk.orders.createCheckoutOrder(desk.request)).rejects.toMatchObject({ class: "TERMINAL" });
    expect(desk.system.orders).toEqual([]);
  });

  it("cancels what was created, twice as once", async () => {
    await using desk = await setup();
    await desk.orders.createCheckoutOrder(desk.request);
    for (let times = 0; times < 2; times++) await desk.orders.undoCreateCheckoutOrder({ ...desk.call, reason: "SOLD_OUT" });
    expect(desk.system.orders).toMatchObject([{ status: "CANCELLED (SOLD_OUT)" }]);
    await expect(desk.orders.createCheckoutOrder(desk.request)).rejects.toMatchObject({ class: "TERMINAL" });
  });
});
