/** Rivals for the last place, on a real Postgres: the embedded database runs one transaction at a time and proves little. */
import { and, eq } from "drizzle-orm";
import { afterAll, expect, test } from "vitest";
import { migrate } from "../../persistence/migrate.ts";
import { connectPostgres } from "../../persistence/postgres-database.ts";
import { couponStock, paymentGroups, slotStock } from "../../persistence/service-schema.ts";
import { createDemoCatalogue } from "../../services/demo-catalogue.ts";
import { SqlInvoices } from "../../services/invoices.ts";
import { SqlOptIns } from "../../services/opt-ins.ts";
import { SqlPaymentGroups } from "../../services/payment-groups.ts";
import { SqlPreferences } from "../../services/preferences.ts";
import { countingIds, ManualClock } from "../support/ports.ts";
import { createTestDatabase, describeOn } from "../support/server.ts";
import { lineItem, newContext, optIn, slotPreference } from "./checkouts.ts";

const catalogue = createDemoCatalogue();
const succeeded = (answers: readonly PromiseSettledResult<unknown>[]) =>
  answers.filter(({ status }) => status === "fulfilled").length;
const codes = (answers: readonly PromiseSettledResult<unknown>[]) =>
  new Set(answers.flatMap((answer) => (answer.status === "rejected" ? [(answer.reason as { code?: unknown }).code] : [])));

async function openServices(server: string) {
  const own = await createTestDatabase(server);
  const database = connectPostgres(own.url, { connectionsMax: 12 });
  await migrate(database);
  const ids = countingIds();
  return {
    database,
    preferences: new SqlPreferences({ database, ids, catalogue }),
    invoices: new SqlInvoices({ database, ids, clock: new ManualClock(), catalogue }),
    optInService: new SqlOptIns({ database, ids }),
    groups: new SqlPaymentGroups({ database, ids, catalogue }),
    taken: async (slotId: string, date: string): Promise<number> => {
      const at = and(eq(slotStock.slotId, slotId), eq(slotStock.date, date));
      const [row] = await database.orm.select().from(slotStock).where(at);
      return row?.taken ?? 0;
    },
    close: async () => {
      await database.close();
      await own.drop();
    },
  };
}

describeOn("postgres", "on several connections at once", (server) => {
  const ready = openServices(server);
  afterAll(async () => (await ready).close());

  test("sixty checkouts that want the same two slots in opposite orders take five places of each, without a deadlock", async () => {
    const { preferences, taken } = await ready;
    const slots = [slotPreference("slot_1200", "2027-02-01", "a"), slotPreference("slot_1200", "2027-02-02", "b")];
    const book = (index: number) =>
      preferences.createPostSellingPreferences({
        ...newContext().call("STEP_1"),
        preferences: index % 2 === 0 ? slots : slots.toReversed(),
      });
    const answers = await Promise.allSettled(Array.from({ length: 60 }, (_, index) => book(index)));
    expect(succeeded(answers)).toBe(5);
    expect(codes(answers)).toEqual(new Set(["BUSINESS_RULE"]));
    expect([await taken("slot_1200", "2027-02-01"), await taken("slot_1200", "2027-02-02")]).toEqual([5, 5]);
  });

  test("one key, called ten times in the same instant, books one place and hears one answer", async () => {
    const { preferences, taken } = await ready;
    const call = { ...newContext().call("STEP_1"), preferences: [slotPreference("slot_0900", "2027-02-03")] };
    const answers = await Promise.all(Array.from({ length: 10 }, () => preferences.createPostSellingPreferences(call)));
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(await taken("slot_0900", "2027-02-03")).toBe(1);
  });

  test("an original that races its own undo leaves no place taken", async () => {
    const { preferences, taken } = await ready;
    const race = () => {
      const call = newContext().call("STEP_1");
      const wanted = [slotPreference("slot_0900", "2027-02-04")];
      return [
        preferences.createPostSellingPreferences({ ...call, preferences: wanted }),
        preferences.undoCreatePostSellingPreferences(call),
      ];
    };
    const answers = await Promise.allSettled(Array.from({ length: 50 }, race).flat());
    expect([...codes(answers)].every((code) => code === "UNDONE")).toBe(true);
    expect(await taken("slot_0900", "2027-02-04")).toBe(0);
  });

  test("thirty checkouts use a coupon of three uses three times", async () => {
    const { database, invoices } = await ready;
    const paymentGroup = { paymentGroupId: "pg", lineItemRefs: ["l1"], sellerId: "slr_1", paymentTiming: "NOW" as const };
    const cart = {
      userId: "u",
      cityId: "BLR",
      lineItems: [lineItem()],
      optIns: [],
      couponCodes: ["FIRST3"],
      paymentGroups: [paymentGroup],
    };
    const price = () => invoices.getLineItemSummary({ ...newContext().call("STEP_2"), ...cart });
    const answers = await Promise.allSettled(Array.from({ length: 30 }, price));
    expect(succeeded(answers)).toBe(3);
    expect(await database.orm.select().from(couponStock)).toMatchObject([{ code: "FIRST3", used: 3 }]);
  });

  test("ten checkouts that change one membership: one does, the others are refused", async () => {
    const { optInService } = await ready;
    const { call } = newContext();
    await optInService.handleOptinCreationAndModification({ ...call("STEP_4"), userId: "usr_m", optIns: [optIn()] });
    await optInService.activateOptIns(call("ACTIVATE"));
    const wanted = [optIn({ action: "MODIFY", planId: "plus_12m" })];
    const modify = () =>
      optInService.handleOptinCreationAndModification({ ...newContext().call("STEP_4"), userId: "usr_m", optIns: wanted });
    expect(succeeded(await Promise.allSettled(Array.from({ length: 10 }, modify)))).toBe(1);
  });

  test("a lock of payment groups that races their release never leaves them locked", async () => {
    const { database, groups } = await ready;
    const contexts = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const context = newContext();
        const cart = { payerId: "u", cityId: "BLR", lineItems: [lineItem()] };
        const created = await groups.createPaymentGroup({ ...context.call("GROUPS"), ...cart });
        return { context, amounts: Object.fromEntries(created.paymentGroups.map((group) => [group.paymentGroupId, 1])) };
      }),
    );
    const race = contexts.flatMap(({ context, amounts }) => [
      groups.lockPaymentGroups({ ...context.call("LOCK"), amounts }),
      groups.undoCreatePaymentGroup(context.call("GROUPS")),
    ]);
    expect([...codes(await Promise.allSettled(race))].every((code) => code === "UNDONE")).toBe(true);
    const rows = await database.orm.select({ status: paymentGroups.status }).from(paymentGroups);
    expect(new Set(rows.map((row) => row.status))).toEqual(new Set(["RELEASED"]));
  });
});
