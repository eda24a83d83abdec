import { eq } from "drizzle-orm";
import { afterAll, expect, test } from "vitest";
import { couponStock, couponUses, invoices } from "../../persistence/service-schema.ts";
import { createDemoCatalogue } from "../../services/demo-catalogue.ts";
import { hashInvoice, SqlInvoices } from "../../services/invoices.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { countingIds, ManualClock } from "../support/ports.ts";
import { FILTER, lineItem, newContext, optIn } from "./checkouts.ts";

const database = await openMemoryDatabase();
afterAll(() => database.close());
const clock = new ManualClock();
const engine = new SqlInvoices({ database, ids: countingIds(), clock, catalogue: createDemoCatalogue(), validForMs: 900_000 });

function checkout(couponCodes: readonly string[]) {
  const context = newContext();
  const call = {
    ...context.call("STEP_2"),
    userId: "usr_42",
    cityId: "BLR",
    lineItems: [lineItem(), FILTER],
    optIns: [optIn()],
    couponCodes,
    paymentGroups: [
      { paymentGroupId: "pg_1", lineItemRefs: ["l1"], sellerId: "slr_1", paymentTiming: "NOW" as const },
      { paymentGroupId: "pg_2", lineItemRefs: ["l2"], sellerId: "slr_2", paymentTiming: "NOW" as const },
    ],
  };
  return { id: context.id, price: () => engine.getLineItemSummary(call), undo: () => engine.undoGetLineItemSummary(call) };
}

async function used(code: string): Promise<number> {
  const [row] = await database.orm.select().from(couponStock).where(eq(couponStock.code, code));
  return row?.used ?? 0;
}

test("pins the price, its expiry and its hash: the same key gives the same invoice after the clock moved on", async () => {
  const { id, price } = checkout(["NEW100"]);
  const expiresAt = clock.now() + 900_000;
  const invoice = await price();
  expect(invoice).toMatchObject({ version: 1, payable: 249_900, currency: "INR", expiresAt });
  clock.advance(60_000);
  expect(await price()).toEqual(invoice);
  const { hash, ...content } = invoice;
  expect(hashInvoice(content)).toBe(hash);
  expect(hashInvoice({ ...content, payable: content.payable - 1 })).not.toBe(hash);
  expect(await database.orm.select().from(invoices).where(eq(invoices.contextId, id))).toMatchObject([
    { id: invoice.invoiceId, hash, payable: 249_900, lines: invoice.lines, expiresAt: new Date(expiresAt) },
  ]);
});

test("hashes the same content alike, whatever the order of the keys", async () => {
  const { hash, ...content } = await checkout([]).price();
  const lines = content.lines.map((line) => Object.fromEntries(Object.entries(line).toReversed()) as typeof line & object);
  expect(hashInvoice({ ...content, lines })).toBe(hash);
});

test("holds a limited coupon's uses, refuses the one too many, and gives a use back exactly once", async () => {
  const checkouts = Array.from({ length: 4 }, () => checkout(["FIRST3", "NEW100"]));
  const answers = await Promise.allSettled(checkouts.map((entry) => entry.price()));
  expect(answers.filter((answer) => answer.status === "fulfilled")).toHaveLength(3);
  const refused = answers.find((answer) => answer.status === "rejected");
  expect(refused?.reason).toMatchObject({ class: "TERMINAL", code: "BUSINESS_RULE", details: { code: "FIRST3" } });
  expect(await used("FIRST3")).toBe(3);

  const winner = checkouts[answers.findIndex((answer) => answer.status === "fulfilled")];
  expect(await winner?.undo()).toEqual({ conflicts: [] });
  expect(await winner?.undo()).toEqual({ conflicts: [] });
  expect(await used("FIRST3")).toBe(2);
  expect(
    await database.orm
      .select()
      .from(couponUses)
      .where(eq(couponUses.contextId, winner?.id ?? "")),
  ).toMatchObject([{ status: "RELEASED" }, { status: "RELEASED" }]);
  await expect(winner?.price()).rejects.toMatchObject({ code: "UNDONE" });
  await checkout(["FIRST3"]).price();
  expect(await used("FIRST3")).toBe(3);
});

test("leaves no invoice and no use behind when the price is refused", async () => {
  const { id, price } = checkout(["TOKYO100"]);
  await expect(price()).rejects.toMatchObject({ code: "BUSINESS_RULE" });
  expect(await database.orm.select().from(invoices).where(eq(invoices.contextId, id))).toEqual([]);
  expect(await database.orm.select().from(couponUses).where(eq(couponUses.contextId, id))).toEqual([]);
});
