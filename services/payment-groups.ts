import { and, asc, eq, inArray } from "drizzle-orm";
import type { PaymentGroup } from "../machines/context.ts";
import { InvariantError, TerminalError } from "../machines/errors.ts";
import type { Database, Orm } from "../persistence/connect.ts";
import { paymentGroups } from "../persistence/service-schema.ts";
import type { Ids } from "../steps/ports.ts";
import type { RequestedLineItem } from "../steps/request.ts";
import type { Call, PaymentGroups, UndoConflict, UndoReport } from "../steps/services.ts";
import type { Catalogue } from "./catalogue.ts";
import { EffectLog } from "./effect-log.ts";

export interface PaymentGroupsDeps {
  readonly database: Database;
  readonly ids: Ids;
  readonly catalogue: Catalogue;
}

type GroupRow = typeof paymentGroups.$inferSelect;

/** Payment groups on our own tables. A group is found by its context; only its own checkout ever changes it. */
export class SqlPaymentGroups implements PaymentGroups {
  readonly #effects: EffectLog;

  constructor(private readonly deps: PaymentGroupsDeps) {
    this.#effects = new EffectLog(deps.database);
  }

  async createPaymentGroup(
    call: Call & { readonly payerId: string; readonly cityId: string; readonly lineItems: readonly RequestedLineItem[] },
  ): Promise<{ readonly paymentGroups: readonly PaymentGroup[] }> {
    return this.#effects.perform("createPaymentGroup", call, async (tx) => {
      const rows = partition(call.lineItems, this.deps.catalogue).map((part) => ({
        id: this.deps.ids.next("pg"),
        contextId: call.executionContextId,
        payerId: call.payerId,
        cityId: call.cityId,
        sellerId: part.sellerId,
        currency: part.currency,
        timing: part.paymentTiming,
        lineItemRefs: part.lineItemRefs,
        status: "OPEN",
      }));
      if (rows.length > 0) await tx.insert(paymentGroups).values(rows);
      const created = rows.map((row) => ({
        paymentGroupId: row.id,
        lineItemRefs: row.lineItemRefs,
        sellerId: row.sellerId,
        paymentTiming: row.timing,
      }));
      return { result: { paymentGroups: created }, before: null };
    });
  }

  async undoCreatePaymentGroup(call: Call): Promise<UndoReport> {
    return this.#effects.undo<{ paymentGroups: readonly PaymentGroup[] }>("createPaymentGroup", call, async (tx, effect) => {
      const ids = effect.result.paymentGroups.map((group) => group.paymentGroupId);
      const rows = await lockRows(tx, call, ids);
      const releasable = rows.filter((row) => row.status === "OPEN" || row.status === "LOCKED");
      await setStatus(tx, releasable, "RELEASED");
      return { conflicts: rows.filter((row) => row.status === "SETTLED").map(settledConflict) };
    });
  }

  async lockPaymentGroups(call: Call & { readonly amounts: Readonly<Record<string, number>> }): Promise<void> {
    await this.#effects.perform("lockPaymentGroups", call, async (tx) => {
      const rows = await lockRows(tx, call);
      // The undo has its own key. Without this a delayed lock would report success on groups that were released.
      refuseReleased(rows, call);
      for (const row of rows) {
        const amount = Object.hasOwn(call.amounts, row.id) ? call.amounts[row.id] : undefined;
        if (amount === undefined || !Number.isSafeInteger(amount) || amount < 0) {
          throw new InvariantError(`Payment group ${row.id} of ${call.executionContextId} has no valid amount to pay.`);
        }
        if (row.status !== "OPEN") throw new InvariantError(`Payment group ${row.id} is ${row.status}, not OPEN.`);
        await tx.update(paymentGroups).set({ status: "LOCKED", amount }).where(eq(paymentGroups.id, row.id));
      }
      const unknown = Object.keys(call.amounts).filter((id) => !rows.some((row) => row.id === id));
      if (unknown.length > 0) {
        throw new InvariantError(`${unknown.join(", ")} belong to another checkout than ${call.executionContextId}, or to none.`);
      }
      return { result: null, before: null };
    });
  }

  /** A LATER group is recorded, not collected: it stays LOCKED. */
  async settlePaymentGroups(call: Call): Promise<void> {
    await this.#effects.perform("settlePaymentGroups", call, async (tx) => {
      const rows = await lockRows(tx, call);
      refuseReleased(rows, call);
      if (rows.length === 0) throw new TerminalError("UNDONE", `${call.executionContextId} has no payment groups to settle.`);
      const collected = rows.filter((row) => row.timing === "NOW");
      const open = collected.find((row) => row.status === "OPEN");
      if (open !== undefined) throw new InvariantError(`Payment group ${open.id} was never locked and can't be settled.`);
      await setStatus(tx, collected, "SETTLED");
      return { result: null, before: null };
    });
  }
}

interface Part {
  readonly sellerId: string;
  readonly currency: string;
  readonly paymentTiming: "NOW" | "LATER";
  readonly lineItemRefs: string[];
}

/** By seller, currency and timing, in the order in which the cart names them first. */
export function partition(lineItems: readonly RequestedLineItem[], catalogue: Catalogue): readonly Part[] {
  const parts = new Map<string, Part>();
  for (const item of lineItems) {
    const sku = catalogue.sku(item.sku);
    if (sku === undefined) {
      throw new TerminalError("BUSINESS_RULE", `${item.sku} is no longer sold. Remove it from the cart and check out again.`, {
        details: { ref: item.ref, sku: item.sku },
      });
    }
    const key = JSON.stringify([item.sellerId, sku.currency, item.paymentTiming]);
    const part = parts.get(key) ?? {
      sellerId: item.sellerId,
      currency: sku.currency,
      paymentTiming: item.paymentTiming,
      lineItemRefs: [],
    };
    part.lineItemRefs.push(item.ref);
    parts.set(key, part);
  }
  return [...parts.values()];
}

/** In order of id: two transactions over the same groups never wait for one another in a circle. */
async function lockRows(tx: Orm, call: Call, ids?: readonly string[]): Promise<GroupRow[]> {
  if (ids?.length === 0) return [];
  return tx
    .select()
    .from(paymentGroups)
    .where(
      and(
        eq(paymentGroups.contextId, call.executionContextId),
        ids === undefined ? undefined : inArray(paymentGroups.id, [...ids]),
      ),
    )
    .orderBy(asc(paymentGroups.id))
    .for("update");
}

async function setStatus(tx: Orm, rows: readonly GroupRow[], status: string): Promise<void> {
  if (rows.length === 0) return;
  const ids = rows.map((row) => row.id);
  await tx.update(paymentGroups).set({ status }).where(inArray(paymentGroups.id, ids));
}

function refuseReleased(rows: readonly GroupRow[], call: Call): void {
  const released = rows.find((row) => row.status === "RELEASED");
  if (released === undefined) return;
  throw new TerminalError(
    "UNDONE",
    `Payment group ${released.id} of ${call.executionContextId} was released and can't be used again.`,
  );
}

function settledConflict(row: GroupRow): UndoConflict {
  return {
    entity: "paymentGroup",
    id: row.id,
    reason: "It is settled; money that was collected is never released as if it were not.",
  };
}
