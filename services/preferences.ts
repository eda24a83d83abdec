import { and, asc, eq, inArray, sql } from "drizzle-orm";
import type { CreatedPreference } from "../machines/context.ts";
import { TerminalError } from "../machines/errors.ts";
import type { Database, Orm } from "../persistence/connect.ts";
import { postSellingPreferences, slotBookings, slotStock } from "../persistence/service-schema.ts";
import type { Ids } from "../steps/ports.ts";
import type { RequestedPreference } from "../steps/request.ts";
import type { Call, PostSellingPreferences, UndoReport } from "../steps/services.ts";
import type { Catalogue } from "./catalogue.ts";
import { EffectLog } from "./effect-log.ts";
import { type SlotChoice, slotChoiceOf } from "./slots.ts";

export interface PreferencesDeps {
  readonly database: Database;
  readonly ids: Ids;
  readonly catalogue: Catalogue;
}

/** Post-selling preferences on our own tables. A DELIVERY_SLOT takes one place of its slot, whatever the number of its line items. */
export class SqlPreferences implements PostSellingPreferences {
  readonly #effects: EffectLog;

  constructor(private readonly deps: PreferencesDeps) {
    this.#effects = new EffectLog(deps.database);
  }

  async createPostSellingPreferences(
    call: Call & { readonly preferences: readonly RequestedPreference[] },
  ): Promise<{ readonly preferences: readonly CreatedPreference[] }> {
    return this.#effects.perform("createPostSellingPreferences", call, async (tx) => {
      const created = call.preferences.map((preference) => ({ preference, id: this.deps.ids.next("psp") }));
      if (created.length > 0) {
        await tx.insert(postSellingPreferences).values(
          created.map(({ preference, id }) => ({
            id,
            contextId: call.executionContextId,
            ref: preference.ref,
            type: preference.type,
            lineItemRefs: preference.lineItemRefs,
            payload: preference.payload,
            status: "ACTIVE",
          })),
        );
      }
      await this.#bookSlots(tx, call, created);
      const preferences = created.map(({ preference, id }) => ({
        ref: preference.ref,
        preferenceId: id,
        lineItemRefs: preference.lineItemRefs,
      }));
      return { result: { preferences }, before: null };
    });
  }

  async undoCreatePostSellingPreferences(call: Call): Promise<UndoReport> {
    return this.#effects.undo<{ preferences: readonly CreatedPreference[] }>(
      "createPostSellingPreferences",
      call,
      async (tx, effect) => {
        const ids = effect.result.preferences.map((preference) => preference.preferenceId);
        if (ids.length > 0) await voidPreferences(tx, call, ids);
        return { conflicts: [] };
      },
    );
  }

  async #bookSlots(
    tx: Orm,
    call: Call,
    created: readonly { readonly preference: RequestedPreference; readonly id: string }[],
  ): Promise<void> {
    const bookings = created
      .filter(({ preference }) => preference.type === "DELIVERY_SLOT")
      .map(({ preference, id }) => ({ id, ref: preference.ref, choice: slotChoiceOf(preference) }));
    // One order for everybody: two checkouts that want the same two slots can't deadlock.
    for (const { id, ref, choice } of bookings.toSorted((a, b) => compareChoices(a.choice, b.choice))) {
      const slot = choice === null ? undefined : this.deps.catalogue.slot(choice.slotId);
      if (choice === null || slot === undefined) throw noSuchSlot(ref);
      if (!(await takePlace(tx, choice, slot.capacity))) throw soldOut(ref, choice);
      await tx.insert(slotBookings).values({
        preferenceId: id,
        contextId: call.executionContextId,
        slotId: choice.slotId,
        date: choice.date,
        status: "HELD",
      });
    }
  }
}

/**
 * One statement, so that the row lock of the first booker makes the second one re-read `taken`: the
 * last place is never sold twice. No row comes back when the condition fails.
 */
async function takePlace(tx: Orm, choice: SlotChoice, capacity: number): Promise<boolean> {
  const taken = await tx
    .insert(slotStock)
    .values({ slotId: choice.slotId, date: choice.date, capacity, taken: 1 })
    .onConflictDoUpdate({
      target: [slotStock.slotId, slotStock.date],
      set: { taken: sql`${slotStock.taken} + 1` },
      setWhere: sql`${slotStock.taken} < ${slotStock.capacity}`,
    })
    .returning({ taken: slotStock.taken });
  return taken.length > 0;
}

async function voidPreferences(tx: Orm, call: Call, ids: readonly string[]): Promise<void> {
  await tx
    .update(postSellingPreferences)
    .set({ status: "VOID", payload: null })
    .where(and(inArray(postSellingPreferences.id, [...ids]), eq(postSellingPreferences.contextId, call.executionContextId)));
  const held = await tx
    .select()
    .from(slotBookings)
    .where(and(inArray(slotBookings.preferenceId, [...ids]), eq(slotBookings.status, "HELD")))
    .orderBy(asc(slotBookings.slotId), asc(slotBookings.date))
    .for("update");
  for (const booking of held) {
    await tx
      .update(slotStock)
      .set({ taken: sql`${slotStock.taken} - 1` })
      .where(and(eq(slotStock.slotId, booking.slotId), eq(slotStock.date, booking.date)));
    await tx.update(slotBookings).set({ status: "FREED" }).where(eq(slotBookings.preferenceId, booking.preferenceId));
  }
}

function compareChoices(a: SlotChoice | null, b: SlotChoice | null): number {
  const left = a === null ? "" : `${a.slotId} ${a.date}`;
  const right = b === null ? "" : `${b.slotId} ${b.date}`;
  return left < right ? -1 : left > right ? 1 : 0;
}

function soldOut(ref: string, choice: SlotChoice): TerminalError {
  return new TerminalError(
    "BUSINESS_RULE",
    `The slot ${choice.slotId} on ${choice.date} is sold out. Choose another slot and check out again.`,
    {
      details: { ref, slotId: choice.slotId, date: choice.date },
    },
  );
}

function noSuchSlot(ref: string): TerminalError {
  return new TerminalError(
    "BUSINESS_RULE",
    `Preference ${ref} names no slot that exists. Choose another slot and check out again.`,
    {
      details: { ref },
    },
  );
}
