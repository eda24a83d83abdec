import { afterAll, beforeAll, expect, test } from "vitest";
import type { Database } from "../../persistence/connect.ts";
import { SqlLineItems } from "../../services/line-items.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { countingIds } from "../support/ports.ts";

let database: Database;
const ids = countingIds();

beforeAll(async () => {
  database = await openMemoryDatabase();
});
afterAll(() => database.close());

interface Row {
  id: string;
  ref: string;
  status: string;
  quantity: number;
  total: number;
  context_id: string;
  pcr_id: string | null;
  payment_status: string | null;
  psp_reference: string | null;
}

function setup(checkoutOrderId = ids.next("co")) {
  const executionContextId = ids.next("ctx");
  const service = new SqlLineItems({ database, ids });
  const on = (step: string) => ({ executionContextId, key: `${executionContextId}:${step}` });
  const item = (ref: string, quantity: number) => ({
    ref,
    sku: "SVC-AC-DEEP",
    quantity,
    sellerId: "slr_1",
    paymentTiming: "NOW" as const,
    unitPrice: 99950,
    total: 99950 * quantity,
    currency: "INR",
    paymentGroupId: "pg_1",
    preferenceIds: ["psp_1", "psp_2"],
  });
  const upsert = { ...on("STEP_5"), checkoutOrderId, lineItems: [item("l1", 2), item("l2", 1)] };
  const hydrate = (lineItemIds: readonly string[]) => ({
    ...on("STEP_6"),
    lineItemIds,
    pcrId: "pcr_1",
    attemptId: "att_1",
    paymentStatus: "REQUIRES_ACTION",
  });
  const rows = () =>
    database.rows<Row>("select * from checkoutd.line_items where checkout_order_id = $1 order by ref", [checkoutOrderId]);
  const upserted = async () => (await service.upsertLineItems(upsert)).lineItems.map(({ lineItemId }) => lineItemId);
  return { service, on, upsert, hydrate, rows, upserted, item, executionContextId, checkoutOrderId };
}

test("creates drafts in the order of the request, and repeats the same ids under the same key", async () => {
  const { service, upsert, rows } = setup();
  const first = await service.upsertLineItems(upsert);
  expect(first.lineItems.map(({ ref }) => ref)).toEqual(["l1", "l2"]);
  expect(await service.upsertLineItems(upsert)).toEqual(first);
  expect((await rows()).map(({ status }) => status)).toEqual(["DRAFT", "DRAFT"]);
});

test("an undo reverts what was created, twice the same", async () => {
  const { service, upsert, rows } = setup();
  await service.upsertLineItems(upsert);
  expect(await service.undoUpsertLineItems(upsert)).toEqual({ conflicts: [] });
  expect(await service.undoUpsertLineItems(upsert)).toEqual({ conflicts: [] });
  expect((await rows()).map(({ status }) => status)).toEqual(["REVERTED", "REVERTED"]);
});

test("an undo of nothing refuses each delayed original", async () => {
  const { service, on, upsert, hydrate, rows } = setup();
  const mapping = { ...on("STEP_7"), pairs: [{ preferenceId: "psp_1", lineItemId: "li_1" }] };
  await service.undoUpsertLineItems(upsert);
  await service.undoHydratePaymentAndUpdateLineItems(on("STEP_6"));
  await service.undoCreatePreferencesToLineItemsMapping(mapping);
  await expect(service.upsertLineItems(upsert)).rejects.toMatchObject({ code: "UNDONE" });
  await expect(service.hydratePaymentAndUpdateLineItems(hydrate([]))).rejects.toMatchObject({ code: "UNDONE" });
  await expect(service.createPreferencesToLineItemsMapping(mapping)).rejects.toMatchObject({ code: "UNDONE" });
  expect(await rows()).toEqual([]);
});

test("a row that somebody changed since stays theirs, and the conflict is recorded", async () => {
  const { service, upsert, upserted, rows } = setup();
  const [changed] = await upserted();
  await database.rows("update checkoutd.line_items set quantity = 9 where id = $1", [changed]);
  const report = await service.undoUpsertLineItems(upsert);
  expect(report.conflicts).toMatchObject([{ entity: "lineItem", id: changed }]);
  expect(await service.undoUpsertLineItems(upsert)).toEqual(report);
  expect((await rows()).map(({ status, quantity }) => [status, quantity])).toEqual([
    ["DRAFT", 9],
    ["REVERTED", 1],
  ]);
});

test("an existing row is updated, and its undo sets the before-image back", async () => {
  const earlier = setup();
  const earlierIds = await earlier.upserted();
  await earlier.service.hydratePaymentAndUpdateLineItems(earlier.hydrate(earlierIds));
  const later = setup(earlier.checkoutOrderId);
  const upsert = { ...later.upsert, lineItems: [later.item("l1", 5), later.item("l3", 1)] };
  const { lineItems } = await later.service.upsertLineItems(upsert);
  expect(lineItems[0]?.lineItemId).toBe(earlierIds[0]);
  expect(await later.rows()).toMatchObject([
    { ref: "l1", status: "DRAFT", quantity: 5, context_id: later.executionContextId },
    { ref: "l2", status: "UPDATED", quantity: 1, context_id: earlier.executionContextId },
    { ref: "l3", status: "DRAFT", quantity: 1 },
  ]);
  expect(await later.service.undoUpsertLineItems(upsert)).toEqual({ conflicts: [] });
  expect(await later.rows()).toMatchObject([
    { ref: "l1", status: "UPDATED", quantity: 2, context_id: earlier.executionContextId },
    { ref: "l2", status: "UPDATED", quantity: 1 },
    { ref: "l3", status: "REVERTED" },
  ]);
});

test("ties the items to the payment, and the undo sets them back to drafts", async () => {
  const { service, on, hydrate, upserted, rows } = setup();
  const lineItemIds = await upserted();
  expect(await service.hydratePaymentAndUpdateLineItems(hydrate(lineItemIds))).toEqual({ lineItemIds });
  expect(await rows()).toMatchObject([
    { status: "UPDATED", pcr_id: "pcr_1" },
    { status: "UPDATED", pcr_id: "pcr_1" },
  ]);
  expect(await service.undoHydratePaymentAndUpdateLineItems(on("STEP_6"))).toEqual({ conflicts: [] });
  expect(await rows()).toMatchObject([
    { status: "DRAFT", pcr_id: null },
    { status: "DRAFT", pcr_id: null },
  ]);
});

test("the undos also work out of order, when the later step's had to be deferred", async () => {
  const { service, on, upsert, hydrate, upserted, rows } = setup();
  await service.hydratePaymentAndUpdateLineItems(hydrate(await upserted()));
  expect(await service.undoUpsertLineItems(upsert)).toEqual({ conflicts: [] });
  expect(await service.undoHydratePaymentAndUpdateLineItems(on("STEP_6"))).toEqual({ conflicts: [] });
  expect(await rows()).toMatchObject([
    { status: "REVERTED", pcr_id: null },
    { status: "REVERTED", pcr_id: null },
  ]);
});

test("refuses to tie a payment to the items of another checkout", async () => {
  const theirs = setup();
  const ours = setup();
  const call = ours.hydrate(await theirs.upserted());
  await expect(ours.service.hydratePaymentAndUpdateLineItems(call)).rejects.toMatchObject({ code: "LINE_ITEM_NOT_DRAFT" });
  expect(await theirs.rows()).toMatchObject([{ status: "DRAFT" }, { status: "DRAFT" }]);
});

test("maps preferences to items, and the undo deletes this checkout's rows only", async () => {
  const mine = setup();
  const theirs = setup();
  const pairs = [{ preferenceId: "psp_1", lineItemId: "li_shared" }];
  expect(await mine.service.createPreferencesToLineItemsMapping({ ...mine.on("STEP_7"), pairs })).toEqual({ mapped: 1 });
  await theirs.service.createPreferencesToLineItemsMapping({ ...theirs.on("STEP_7"), pairs });
  await mine.service.undoCreatePreferencesToLineItemsMapping(mine.on("STEP_7"));
  const left = await database.rows<{ context_id: string }>(
    "select context_id from checkoutd.line_item_preferences where line_item_id = 'li_shared'",
  );
  expect(left).toEqual([{ context_id: theirs.executionContextId }]);
});

test("settles and confirms, and repeating either changes nothing", async () => {
  const { service, on, hydrate, upserted, rows } = setup();
  await service.hydratePaymentAndUpdateLineItems(hydrate(await upserted()));
  for (let repetition = 0; repetition < 2; repetition++) {
    await service.settleLineItems({ ...on("STEP_9"), pspReference: "psr_1" });
    await service.confirmLineItems(on("STEP_9"));
  }
  const settled = { status: "CONFIRMED", payment_status: "CAPTURED", psp_reference: "psr_1" };
  expect(await rows()).toMatchObject([settled, settled]);
});

test("refuses to confirm an item that was never updated", async () => {
  const { service, on, upserted } = setup();
  await upserted();
  await expect(service.confirmLineItems(on("STEP_9"))).rejects.toMatchObject({ code: "LINE_ITEM_NOT_UPDATED" });
});
