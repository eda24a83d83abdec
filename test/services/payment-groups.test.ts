import { eq } from "drizzle-orm";
import { afterAll, expect, test } from "vitest";
import { paymentGroups } from "../../persistence/service-schema.ts";
import { createDemoCatalogue } from "../../services/demo-catalogue.ts";
import { partition, SqlPaymentGroups } from "../../services/payment-groups.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { countingIds } from "../support/ports.ts";
import { FILTER, lineItem, newContext } from "./checkouts.ts";

const database = await openMemoryDatabase();
afterAll(() => database.close());
const catalogue = createDemoCatalogue();
const groups = new SqlPaymentGroups({ database, ids: countingIds(), catalogue });

async function setup(lineItems = [lineItem(), FILTER]) {
  const context = newContext();
  const create = { ...context.call("PAYMENT_GROUPS"), payerId: "usr_42", cityId: "BLR", lineItems };
  const rows = () =>
    database.orm.select().from(paymentGroups).where(eq(paymentGroups.contextId, context.id)).orderBy(paymentGroups.id);
  const statuses = async () => (await rows()).map((row) => row.status);
  return { context, create, rows, statuses };
}

test("partitions by seller, currency and timing in the order of the cart", () => {
  const items = [
    lineItem(),
    FILTER,
    lineItem({ ref: "l3", sku: "SVC-PLUMBER" }),
    lineItem({ ref: "l4", paymentTiming: "LATER" }),
    lineItem({ ref: "l5", sku: "JP-TEA" }),
  ];
  expect(partition(items, catalogue)).toEqual([
    { sellerId: "slr_1", currency: "INR", paymentTiming: "NOW", lineItemRefs: ["l1", "l3"] },
    { sellerId: "slr_2", currency: "INR", paymentTiming: "NOW", lineItemRefs: ["l2"] },
    { sellerId: "slr_1", currency: "INR", paymentTiming: "LATER", lineItemRefs: ["l4"] },
    { sellerId: "slr_1", currency: "JPY", paymentTiming: "NOW", lineItemRefs: ["l5"] },
  ]);
});

test("gives the same groups to the same key, however often it is asked", async () => {
  const { create, rows } = await setup();
  const first = await groups.createPaymentGroup(create);
  expect(await groups.createPaymentGroup(create)).toEqual(first);
  expect(first.paymentGroups.map((group) => group.lineItemRefs)).toEqual([["l1"], ["l2"]]);
  expect(await rows()).toMatchObject([
    { sellerId: "slr_1", currency: "INR", timing: "NOW", status: "OPEN", amount: null, payerId: "usr_42" },
    { sellerId: "slr_2", currency: "INR", timing: "NOW", status: "OPEN", amount: null, payerId: "usr_42" },
  ]);
});

test("locks with the amounts, then settles what is paid now and leaves LATER locked", async () => {
  const { context, create, rows } = await setup([lineItem(), lineItem({ ref: "l2", paymentTiming: "LATER" })]);
  const [now, later] = (await groups.createPaymentGroup(create)).paymentGroups;
  const amounts = { [now?.paymentGroupId ?? ""]: 201_901, [later?.paymentGroupId ?? ""]: 47_999 };
  await groups.lockPaymentGroups({ ...context.call("LOCK"), amounts });
  await groups.lockPaymentGroups({ ...context.call("LOCK"), amounts });
  expect(await rows()).toMatchObject([
    { status: "LOCKED", amount: 201_901 },
    { status: "LOCKED", amount: 47_999 },
  ]);
  await groups.settlePaymentGroups(context.call("SETTLE"));
  await groups.settlePaymentGroups(context.call("SETTLE"));
  expect(await rows()).toMatchObject([{ status: "SETTLED" }, { status: "LOCKED" }]);
});

test("locks none of them when an amount is missing or names a group of somebody else", async () => {
  const { context, create, statuses } = await setup();
  const [first, second] = (await groups.createPaymentGroup(create)).paymentGroups.map((group) => group.paymentGroupId);
  const lock = (amounts: Record<string, number>) => groups.lockPaymentGroups({ ...context.call("LOCK"), amounts });
  await expect(lock({ [first ?? ""]: 1 })).rejects.toMatchObject({ code: "INVARIANT_VIOLATED" });
  await expect(lock({ [first ?? ""]: 1, [second ?? ""]: 1.5 })).rejects.toMatchObject({ code: "INVARIANT_VIOLATED" });
  await expect(lock({ [first ?? ""]: 1, [second ?? ""]: 1, pg_else: 1 })).rejects.toMatchObject({ code: "INVARIANT_VIOLATED" });
  await expect(groups.settlePaymentGroups(context.call("SETTLE"))).rejects.toMatchObject({ code: "INVARIANT_VIOLATED" });
  expect(await statuses()).toEqual(["OPEN", "OPEN"]);
});

test("releases open and locked groups once, and refuses the delayed create and lock after that", async () => {
  const { context, create, statuses } = await setup();
  const ids = (await groups.createPaymentGroup(create)).paymentGroups.map((group) => group.paymentGroupId);
  const undo = () => groups.undoCreatePaymentGroup(context.call("PAYMENT_GROUPS"));
  expect(await undo()).toEqual({ conflicts: [] });
  expect(await undo()).toEqual({ conflicts: [] });
  expect(await statuses()).toEqual(["RELEASED", "RELEASED"]);
  await expect(groups.createPaymentGroup(create)).rejects.toMatchObject({ class: "TERMINAL", code: "UNDONE" });
  const amounts = Object.fromEntries(ids.map((id) => [id, 1]));
  await expect(groups.lockPaymentGroups({ ...context.call("LOCK"), amounts })).rejects.toMatchObject({ code: "UNDONE" });
  await expect(groups.settlePaymentGroups(context.call("SETTLE"))).rejects.toMatchObject({ code: "UNDONE" });
  expect(await statuses()).toEqual(["RELEASED", "RELEASED"]);
});

test("leaves a tombstone when the undo comes first: the late original makes no row", async () => {
  const { context, create, rows } = await setup();
  expect(await groups.undoCreatePaymentGroup(context.call("PAYMENT_GROUPS"))).toEqual({ conflicts: [] });
  await expect(groups.createPaymentGroup(create)).rejects.toMatchObject({ code: "UNDONE" });
  expect(await rows()).toEqual([]);
});

test("keeps a settled group settled and reports it instead", async () => {
  const { context, create, statuses } = await setup([lineItem()]);
  const [group] = (await groups.createPaymentGroup(create)).paymentGroups;
  await groups.lockPaymentGroups({ ...context.call("LOCK"), amounts: { [group?.paymentGroupId ?? ""]: 5 } });
  await groups.settlePaymentGroups(context.call("SETTLE"));
  const report = await groups.undoCreatePaymentGroup(context.call("PAYMENT_GROUPS"));
  expect(report.conflicts).toMatchObject([{ entity: "paymentGroup", id: group?.paymentGroupId }]);
  expect(await statuses()).toEqual(["SETTLED"]);
});

test("refuses a SKU that left the catalogue after the request was checked", async () => {
  const { create } = await setup([lineItem({ sku: "GONE" })]);
  await expect(groups.createPaymentGroup(create)).rejects.toMatchObject({ class: "TERMINAL", code: "BUSINESS_RULE" });
});
