import { and, eq, inArray, sql } from "drizzle-orm";
import type { UpsertedLineItem } from "../machines/context.ts";
import { TerminalError } from "../machines/errors.ts";
import type { Database, Orm } from "../persistence/connect.ts";
import { lineItemPreferences, lineItems } from "../persistence/order-schema.ts";
import type { Ids } from "../steps/ports.ts";
import type { Call, LineItems, UndoConflict, UndoReport } from "../steps/services.ts";
import { EffectLog } from "./effect-log.ts";
import {
  isSameImage,
  itemImage,
  paymentImage,
  type ItemImage,
  type LineItemRow,
  type PaymentHydration,
  type UpsertedImage,
} from "./line-item-images.ts";

export interface LineItemDeps {
  readonly database: Database;
  readonly ids: Ids;
}

type UpsertCall = Parameters<LineItems["upsertLineItems"]>[0];
type HydrateCall = Parameters<LineItems["hydratePaymentAndUpdateLineItems"]>[0];
type MappingCall = Parameters<LineItems["createPreferencesToLineItemsMapping"]>[0];

/**
 * LineItem: DRAFT → UPDATED → CONFIRMED | REVERTED. Each write stores its before-image with itself.
 *
 * An undo sets back only the columns that its own call wrote, and only where they still hold what it
 * wrote: a row that somebody changed since stays theirs, and is reported. So the undos of one checkout
 * also work out of order, when an earlier one had to be deferred.
 */
export class SqlLineItems implements LineItems {
  readonly #database: Database;
  readonly #ids: Ids;
  readonly #effects: EffectLog;

  constructor(deps: LineItemDeps) {
    this.#database = deps.database;
    this.#ids = deps.ids;
    this.#effects = new EffectLog(deps.database);
  }

  async upsertLineItems(call: UpsertCall): Promise<{ readonly lineItems: readonly UpsertedLineItem[] }> {
    const upserted = await this.#effects.perform<readonly UpsertedLineItem[], readonly UpsertedImage[]>(
      "upsertLineItems",
      call,
      async (tx) => {
        if (call.lineItems.length === 0) return { result: [], before: [] };
        const created = await this.#insertNew(tx, call);
        const updated = await updateExisting(tx, call, new Set(created.map((image) => image.ref)));
        const before = [...created, ...updated];
        const idOf = new Map(before.map((image) => [image.ref, image.id]));
        return { result: call.lineItems.map(({ ref }) => ({ ref, lineItemId: idOf.get(ref) ?? missing(ref) })), before };
      },
    );
    return { lineItems: upserted };
  }

  async undoUpsertLineItems(call: Call): Promise<UndoReport> {
    return this.#effects.undo<readonly UpsertedLineItem[], readonly UpsertedImage[]>(
      "upsertLineItems",
      call,
      async (tx, { before }) => {
        const rows = await lockRows(
          tx,
          before.map((image) => image.id),
        );
        const conflicts: UndoConflict[] = [];
        for (const image of before) {
          const row = rows.get(image.id);
          if (row === undefined || row.status === "CONFIRMED" || !isSameImage(itemImage(row), image.after)) {
            conflicts.push(changedSince(image.id));
            continue;
          }
          await write(tx, image.id, image.before ?? { status: "REVERTED" });
        }
        return { conflicts };
      },
    );
  }

  async hydratePaymentAndUpdateLineItems(call: HydrateCall): Promise<{ readonly lineItemIds: readonly string[] }> {
    const { lineItemIds, pcrId, attemptId, paymentStatus } = call;
    const after = { pcrId, attemptId, paymentStatus };
    return this.#effects.perform<{ readonly lineItemIds: readonly string[] }, PaymentHydration>(
      "hydratePaymentAndUpdateLineItems",
      call,
      async (tx) => {
        const rows = await lockRows(tx, lineItemIds);
        for (const id of lineItemIds) {
          const row = rows.get(id);
          if (row?.contextId !== call.executionContextId || row.status !== "DRAFT") throw notOurDraft(id);
        }
        await tx
          .update(lineItems)
          .set({ ...after, status: "UPDATED", updatedAt: sql`now()` })
          .where(inArray(lineItems.id, [...lineItemIds]));
        const items = [...rows.values()].map((row) => ({ id: row.id, before: paymentImage(row) }));
        return { result: { lineItemIds }, before: { after, items } };
      },
    );
  }

  async undoHydratePaymentAndUpdateLineItems(call: Call): Promise<UndoReport> {
    return this.#effects.undo<unknown, PaymentHydration>(
      "hydratePaymentAndUpdateLineItems",
      call,
      async (tx, { before: { after, items } }) => {
        const rows = await lockRows(
          tx,
          items.map((item) => item.id),
        );
        const conflicts: UndoConflict[] = [];
        for (const { id, before } of items) {
          const row = rows.get(id);
          if (row === undefined || row.status === "CONFIRMED" || !isSameImage(paymentImage(row), after)) {
            conflicts.push(changedSince(id));
            continue;
          }
          // Where the upsert was undone before us, the status is no longer ours to set.
          const isOurs = row.contextId === call.executionContextId && row.status === "UPDATED";
          await write(tx, id, isOurs ? { ...before, status: "DRAFT" } : before);
        }
        return { conflicts };
      },
    );
  }

  async createPreferencesToLineItemsMapping(call: MappingCall): Promise<{ readonly mapped: number }> {
    return this.#effects.perform("createPreferencesToLineItemsMapping", call, async (tx) => {
      const rows = call.pairs.map((pair) => ({ ...pair, contextId: call.executionContextId }));
      if (rows.length > 0) await tx.insert(lineItemPreferences).values(rows).onConflictDoNothing();
      return { result: { mapped: rows.length }, before: null };
    });
  }

  async undoCreatePreferencesToLineItemsMapping(call: Call): Promise<UndoReport> {
    return this.#effects.undo("createPreferencesToLineItemsMapping", call, async (tx) => {
      await tx.delete(lineItemPreferences).where(eq(lineItemPreferences.contextId, call.executionContextId));
      return { conflicts: [] };
    });
  }

  /** Repeating it writes the same again. */
  async settleLineItems(call: Call & { readonly pspReference: string | null }): Promise<void> {
    const settled = await this.#database.orm
      .update(lineItems)
      .set({ pspReference: call.pspReference, paymentStatus: "CAPTURED", updatedAt: sql`now()` })
      .where(and(eq(lineItems.contextId, call.executionContextId), inArray(lineItems.status, ["UPDATED", "CONFIRMED"])))
      .returning({ id: lineItems.id });
    if (settled.length === 0) throw nothingStands(call);
  }

  /** Repeating it changes nothing: the status says whether it was done. */
  async confirmLineItems(call: Call): Promise<void> {
    const mine = eq(lineItems.contextId, call.executionContextId);
    await this.#database.orm
      .update(lineItems)
      .set({ status: "CONFIRMED", updatedAt: sql`now()` })
      .where(and(mine, eq(lineItems.status, "UPDATED")));
    const rows = await this.#database.orm.select({ id: lineItems.id, status: lineItems.status }).from(lineItems).where(mine);
    if (rows.length === 0) throw nothingStands(call);
    const left = rows.find(({ status }) => status !== "CONFIRMED");
    if (left === undefined) return;
    throw new TerminalError("LINE_ITEM_NOT_UPDATED", `Line item ${left.id} is ${left.status} and can't be confirmed.`);
  }

  /** One statement for the usual case; a ref that exists is left for `updateExisting`. */
  async #insertNew(tx: Orm, call: UpsertCall): Promise<UpsertedImage[]> {
    const rows = call.lineItems.map((item) => ({
      id: this.#ids.next("li"),
      checkoutOrderId: call.checkoutOrderId,
      ref: item.ref,
      status: "DRAFT" as const,
      ...requestedImage(call, item),
    }));
    const inserted = await tx.insert(lineItems).values(rows).onConflictDoNothing().returning();
    return inserted.map((row) => ({ id: row.id, ref: row.ref, after: itemImage(row), before: null }));
  }
}

async function updateExisting(tx: Orm, call: UpsertCall, created: ReadonlySet<string>): Promise<UpsertedImage[]> {
  const requested = new Map(call.lineItems.filter((item) => !created.has(item.ref)).map((item) => [item.ref, item]));
  if (requested.size === 0) return [];
  const existing = await tx
    .select()
    .from(lineItems)
    .where(and(eq(lineItems.checkoutOrderId, call.checkoutOrderId), inArray(lineItems.ref, [...requested.keys()])))
    .orderBy(lineItems.id)
    .for("update");
  const images: UpsertedImage[] = [];
  for (const row of existing) {
    const item = requested.get(row.ref);
    if (item === undefined) continue;
    const after = requestedImage(call, item);
    await write(tx, row.id, { ...after, status: "DRAFT" });
    images.push({ id: row.id, ref: row.ref, after, before: { ...itemImage(row), status: row.status } });
  }
  return images;
}

function requestedImage(call: UpsertCall, item: UpsertCall["lineItems"][number]): ItemImage {
  return itemImage({ ...item, contextId: call.executionContextId });
}

/** In the order of ids, as everybody locks them: two checkouts on the same rows never wait for each other in a circle. */
async function lockRows(tx: Orm, ids: readonly string[]): Promise<ReadonlyMap<string, LineItemRow>> {
  if (ids.length === 0) return new Map();
  const rows = await tx
    .select()
    .from(lineItems)
    .where(inArray(lineItems.id, [...ids]))
    .orderBy(lineItems.id)
    .for("update");
  return new Map(rows.map((row) => [row.id, row]));
}

async function write(tx: Orm, id: string, columns: Partial<LineItemRow>): Promise<void> {
  await tx
    .update(lineItems)
    .set({ ...columns, updatedAt: sql`now()` })
    .where(eq(lineItems.id, id));
}

function changedSince(id: string): UndoConflict {
  return { entity: "lineItem", id, reason: "Somebody changed it since; it was left as it is." };
}

function notOurDraft(id: string): TerminalError {
  return new TerminalError("LINE_ITEM_NOT_DRAFT", `Line item ${id} is not a draft of this checkout.`);
}

function missing(ref: string): never {
  throw new TerminalError("LINE_ITEM_UNKNOWN", `Line item ${ref} was neither created nor found.`);
}

function nothingStands({ executionContextId }: Call): TerminalError {
  return new TerminalError("UNDONE", `${executionContextId} has no line items that could be settled or confirmed.`);
}
