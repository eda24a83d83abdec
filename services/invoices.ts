import { createHash } from "node:crypto";
import { and, count, eq, sql } from "drizzle-orm";
import type { Invoice } from "../machines/context.ts";
import { TerminalError } from "../machines/errors.ts";
import type { Database, Orm } from "../persistence/connect.ts";
import { couponStock, couponUses, invoices } from "../persistence/service-schema.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import type { Call, InvoiceEngine, UndoReport } from "../steps/services.ts";
import type { Catalogue, Coupon } from "./catalogue.ts";
import { limitedCoupons } from "./coupons.ts";
import { EffectLog } from "./effect-log.ts";
import { priceCheckout, type PricingRequest } from "./pricing.ts";

/** How long a price holds. A payment deadline is never later, so a deployment with longer deadlines passes more. */
const INVOICE_VALID_MS = 60 * 60_000;

export interface InvoicesDeps {
  readonly database: Database;
  readonly ids: Ids;
  readonly clock: Clock;
  readonly catalogue: Catalogue;
  readonly validForMs?: number;
}

/** The invoice engine on our own tables: an invoice row never changes, a coupon's use is held until it is released. */
export class SqlInvoices implements InvoiceEngine {
  readonly #effects: EffectLog;

  constructor(private readonly deps: InvoicesDeps) {
    this.#effects = new EffectLog(deps.database);
  }

  async getLineItemSummary(call: Call & PricingRequest & { readonly userId: string }): Promise<Invoice> {
    return this.#effects.perform("getLineItemSummary", call, async (tx) => {
      const now = this.deps.clock.now();
      const pricing = priceCheckout(this.deps.catalogue, call, now);
      const invoiceId = this.deps.ids.next("inv");
      const content = {
        invoiceId,
        version: await nextVersion(tx, call),
        ...pricing,
        expiresAt: now + (this.deps.validForMs ?? INVOICE_VALID_MS),
      };
      const invoice: Invoice = { ...content, hash: hashInvoice(content) };
      await tx.insert(invoices).values({
        id: invoiceId,
        contextId: call.executionContextId,
        version: invoice.version,
        hash: invoice.hash,
        payable: invoice.payable,
        currency: invoice.currency,
        lines: invoice.lines,
        expiresAt: new Date(invoice.expiresAt),
      });
      await this.#holdCoupons(tx, call, invoiceId);
      return { result: invoice, before: null };
    });
  }

  async undoGetLineItemSummary(call: Call): Promise<UndoReport> {
    return this.#effects.undo<Invoice>("getLineItemSummary", call, async (tx, effect) => {
      const released = await tx
        .update(couponUses)
        .set({ status: "RELEASED" })
        .where(and(eq(couponUses.invoiceId, effect.result.invoiceId), eq(couponUses.status, "HELD")))
        .returning({ code: couponUses.code, limited: couponUses.limited });
      for (const use of released.filter(({ limited }) => limited).toSorted(byCode)) {
        await tx
          .update(couponStock)
          .set({ used: sql`${couponStock.used} - 1` })
          .where(eq(couponStock.code, use.code));
      }
      return { conflicts: [] };
    });
  }

  async #holdCoupons(tx: Orm, call: Call & PricingRequest & { readonly userId: string }, invoiceId: string): Promise<void> {
    // One order for everybody, so that two checkouts with the same two coupons can't deadlock.
    const limited = limitedCoupons(this.deps.catalogue, call.couponCodes).toSorted(byCode);
    for (const coupon of limited) {
      if (!(await takeUse(tx, coupon, coupon.useLimit))) throw usedUp(coupon);
    }
    if (call.couponCodes.length === 0) return;
    await tx.insert(couponUses).values(
      call.couponCodes.map((code) => ({
        invoiceId,
        code,
        contextId: call.executionContextId,
        userId: call.userId,
        status: "HELD",
        limited: limited.some((coupon) => coupon.code === code),
      })),
    );
  }
}

/** sha256 over the canonical form: who holds the hash can prove what was promised. */
export function hashInvoice(content: Omit<Invoice, "hash">): string {
  const canonical = JSON.stringify([
    content.invoiceId,
    content.version,
    content.currency,
    content.payable,
    content.expiresAt,
    content.lines.map((line) => Object.entries(line).toSorted(([a], [b]) => (a < b ? -1 : 1))),
  ]);
  return createHash("sha256").update(canonical).digest("hex");
}

async function nextVersion(tx: Orm, call: Call): Promise<number> {
  const [earlier] = await tx.select({ number: count() }).from(invoices).where(eq(invoices.contextId, call.executionContextId));
  return (earlier?.number ?? 0) + 1;
}

/** One statement: the row lock makes the next one re-read `used`, so the last use is never given twice. */
async function takeUse(tx: Orm, coupon: Coupon, useLimit: number): Promise<boolean> {
  const used = await tx
    .insert(couponStock)
    .values({ code: coupon.code, useLimit, used: 1 })
    .onConflictDoUpdate({
      target: couponStock.code,
      set: { used: sql`${couponStock.used} + 1` },
      setWhere: sql`${couponStock.used} < ${couponStock.useLimit}`,
    })
    .returning({ used: couponStock.used });
  return used.length > 0;
}

function byCode(a: { readonly code: string }, b: { readonly code: string }): number {
  return a.code < b.code ? -1 : a.code > b.code ? 1 : 0;
}

function usedUp(coupon: Coupon): TerminalError {
  return new TerminalError("BUSINESS_RULE", `The coupon ${coupon.code} is used up. Remove it and check out again.`, {
    details: { code: coupon.code },
  });
}
