import { and, eq } from "drizzle-orm";
import fc from "fast-check";
import { afterAll, expect, test } from "vitest";
import { postSellingPreferences, slotBookings, slotStock } from "../../persistence/service-schema.ts";
import { createDemoCatalogue } from "../../services/demo-catalogue.ts";
import { SqlPreferences } from "../../services/preferences.ts";
import type { RequestedPreference } from "../../steps/request.ts";
import { openMemoryDatabase } from "../support/memory-database.ts";
import { countingIds } from "../support/ports.ts";
import { newContext, slotPreference } from "./checkouts.ts";

const database = await openMemoryDatabase();
afterAll(() => database.close());
const service = new SqlPreferences({ database, ids: countingIds(), catalogue: createDemoCatalogue() });

let days = 0;
/** A day that no other test books. */
const newDay = () => new Date(Date.UTC(2027, 0, ++days)).toISOString().slice(0, 10);

async function taken(slotId: string, date: string): Promise<number> {
  const [row] = await database.orm
    .select()
    .from(slotStock)
    .where(and(eq(slotStock.slotId, slotId), eq(slotStock.date, date)));
  return row?.taken ?? 0;
}

function checkout(preferences: readonly RequestedPreference[]) {
  const context = newContext();
  const call = { ...context.call("STEP_1"), preferences };
  return {
    id: context.id,
    book: () => service.createPostSellingPreferences(call),
    undo: () => service.undoCreatePostSellingPreferences(call),
  };
}

test("books one place for one key, however often it is asked", async () => {
  const date = newDay();
  const { id, book } = checkout([
    slotPreference("slot_1800", date),
    { ref: "p2", type: "GIFT", lineItemRefs: ["l2"], payload: { wrap: true } },
  ]);
  const first = await book();
  expect(await book()).toEqual(first);
  expect(first.preferences).toMatchObject([
    { ref: "p1", lineItemRefs: ["l1"] },
    { ref: "p2", lineItemRefs: ["l2"] },
  ]);
  expect(await taken("slot_1800", date)).toBe(1);
  const bookings = await database.orm.select().from(slotBookings).where(eq(slotBookings.contextId, id));
  expect(bookings).toMatchObject([
    { preferenceId: first.preferences[0]?.preferenceId, slotId: "slot_1800", date, status: "HELD" },
  ]);
});

test("refuses a slot that is sold out and leaves nothing of that checkout", async () => {
  const date = newDay();
  await checkout([slotPreference("slot_1800", date)]).book();
  const late = checkout([{ ref: "p0", type: "GIFT", lineItemRefs: ["l1"], payload: {} }, slotPreference("slot_1800", date)]);
  await expect(late.book()).rejects.toMatchObject({
    class: "TERMINAL",
    code: "BUSINESS_RULE",
    details: { slotId: "slot_1800", date, ref: "p1" },
  });
  expect(await database.orm.select().from(postSellingPreferences).where(eq(postSellingPreferences.contextId, late.id))).toEqual(
    [],
  );
});

test("sells the last places once when many ask in the same instant", async () => {
  const date = newDay();
  const answers = await Promise.allSettled(
    Array.from({ length: 12 }, () => checkout([slotPreference("slot_1200", date)]).book()),
  );
  expect(answers.filter((answer) => answer.status === "fulfilled")).toHaveLength(5);
  expect(await taken("slot_1200", date)).toBe(5);
});

test("frees the slot, voids the preference and forgets its words when undone; twice changes nothing", async () => {
  const date = newDay();
  const first = checkout([slotPreference("slot_1800", date)]);
  await first.book();
  expect(await first.undo()).toEqual({ conflicts: [] });
  expect(await first.undo()).toEqual({ conflicts: [] });
  expect(await taken("slot_1800", date)).toBe(0);
  const rows = await database.orm.select().from(postSellingPreferences).where(eq(postSellingPreferences.contextId, first.id));
  expect(rows).toMatchObject([{ status: "VOID", payload: null }]);
  await expect(first.book()).rejects.toMatchObject({ code: "UNDONE" });
  await checkout([slotPreference("slot_1800", date)]).book();
  expect(await taken("slot_1800", date)).toBe(1);
});

test("refuses a slot that exists nowhere or on no day of the calendar", async () => {
  for (const preference of [slotPreference("slot_none", "2027-01-09"), slotPreference("slot_0900", "2027-02-30")]) {
    await expect(checkout([preference]).book()).rejects.toMatchObject({ class: "TERMINAL", code: "BUSINESS_RULE" });
  }
});

test("has as many places taken as checkouts that booked and were not undone, in any order of bookings, repeats and undos", async () => {
  const command = fc.record({ checkout: fc.nat(7), action: fc.constantFrom("book", "undo") });
  await fc.assert(
    fc.asyncProperty(fc.array(command, { maxLength: 24 }), async (commands) => {
      const date = newDay();
      const checkouts = Array.from({ length: 8 }, () => checkout([slotPreference("slot_1200", date)]));
      const model = new Map<number, "held" | "undone">();
      for (const { checkout: index, action } of commands) {
        const held = [...model.values()].filter((state) => state === "held").length;
        const state = model.get(index);
        if (action === "undo") {
          await checkouts[index]?.undo();
          model.set(index, "undone");
        } else if (state === "undone") {
          await expect(checkouts[index]?.book()).rejects.toMatchObject({ code: "UNDONE" });
        } else if (state === undefined && held === 5) {
          await expect(checkouts[index]?.book()).rejects.toMatchObject({ code: "BUSINESS_RULE" });
        } else {
          await checkouts[index]?.book();
          model.set(index, "held");
        }
        expect(await taken("slot_1200", date)).toBe([...model.values()].filter((entry) => entry === "held").length);
      }
    }),
    { numRuns: 15 },
  );
});
