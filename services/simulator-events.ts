/**
 * Sends the events that the simulator's instruments announced. They wait in its table, so they survive
 * a restart; several nodes may pump, each event is claimed by one at a time and sent at least once.
 */
import { and, asc, eq, inArray, isNull, lt, lte, sql } from "drizzle-orm";
import type { Capture } from "../machines/context.ts";
import type { Database, Orm } from "../persistence/connect.ts";
import { providerSends } from "../persistence/order-schema.ts";
import type { Clock } from "../steps/ports.ts";
import type { ProviderEvent } from "./payment-provider.ts";
import { addCapture, hasCapture, lockCharge, setStatus, type ChargeRow, type SendRow } from "./simulator-ledger.ts";
import { takeBackRefund } from "./simulator-refunds.ts";

/** Hands an event to the receiver; rejects when it isn't known to be stored there. Then it is sent again. */
export type SendEvent = (event: ProviderEvent) => Promise<void>;

export interface EventPumpDeps {
  readonly database: Database;
  readonly clock: Clock;
}

export class SimulatorEvents {
  readonly #database: Database;
  readonly #clock: Clock;

  constructor(deps: EventPumpDeps) {
    this.#database = deps.database;
    this.#clock = deps.clock;
  }

  /** Sends what is due by the clock; how many were delivered. Throws after all were tried, if any failed. */
  async deliverDue(send: SendEvent): Promise<number> {
    let delivered = 0;
    const failures: unknown[] = [];
    for (const row of await this.#claimDue()) {
      const event = await this.#happen(row);
      if (event === null) continue;
      try {
        await send(event);
      } catch (error) {
        failures.push(error);
        continue;
      }
      await this.#close(row.id);
      delivered++;
    }
    if (failures.length > 0)
      throw new AggregateError(failures, `${failures.length} payment events were refused; they are sent again.`);
    return delivered;
  }

  /** Delivers until stopped. Stopping waits for the delivery under way; safe twice. */
  start(send: SendEvent, onError: (error: unknown) => void): () => Promise<void> {
    let isStopped = false;
    let running = Promise.resolve();
    const tick = () => {
      running = this.deliverDue(send).then(
        () => undefined,
        (error: unknown) => onError(error),
      );
      void running.then(schedule);
    };
    const schedule = () => {
      if (!isStopped) cancel = this.#clock.after(POLL_MS, tick);
    };
    let cancel = this.#clock.after(POLL_MS, tick);
    return async () => {
      isStopped = true;
      cancel();
      await running;
    };
  }

  /** Claimed by pushing its next try ahead: if this process dies, somebody else's turn comes then. */
  async #claimDue(): Promise<readonly SendRow[]> {
    const now = new Date(this.#clock.now());
    const orm = this.#database.orm;
    const due = orm
      .select({ id: providerSends.id })
      .from(providerSends)
      .where(and(isNull(providerSends.closedAt), lte(providerSends.sendAt, now), lt(providerSends.tries, TRIES_MAX)))
      .orderBy(asc(providerSends.sendAt), asc(providerSends.id))
      .limit(BATCH_MAX)
      .for("update", { skipLocked: true });
    const claimed = await orm
      .update(providerSends)
      .set({ sendAt: new Date(now.getTime() + RESEND_MS), tries: sql`${providerSends.tries} + 1` })
      .where(inArray(providerSends.id, due))
      .returning();
    return claimed.sort((a, b) => a.occursAt.getTime() - b.occursAt.getTime() || (a.id < b.id ? -1 : 1));
  }

  /** What the event tells is made true before it is told. Null: the charge went another way, so there is nothing to tell. */
  async #happen(row: SendRow): Promise<ProviderEvent | null> {
    return this.#database.transaction(async (tx) => {
      const charge = await lockCharge(tx, row.chargeId);
      if (row.type === "payment_refund_failed") return this.#failRefund(tx, charge, row);
      const isTrue = await this.#decide(tx, charge, row);
      return isTrue ? eventOf(charge, row) : giveUp(tx, row);
    });
  }

  async #decide(tx: Orm, charge: ChargeRow, row: SendRow): Promise<boolean> {
    const isOpen = charge.status === "requires_action" || (charge.status === "cancelled" && row.isLate);
    if (row.type === "payment_collection_requirement_failed") {
      if (!isOpen) return charge.status === "declined";
      await setStatus(tx, charge.id, "declined", { declineCode: BANK_DECLINED, nextAction: null, authorisedAmount: 0 });
      return true;
    }
    if (!isOpen) return hasCapture(tx, charge, charge.id);
    const capture = { pspReference: charge.id, amount: charge.amount, currency: charge.currency };
    await addCapture(tx, charge, capture, { at: row.occursAt.getTime(), now: this.#clock.now() });
    return true;
  }

  async #failRefund(tx: Orm, charge: ChargeRow, row: SendRow): Promise<ProviderEvent | null> {
    if (row.refundId === null) return giveUp(tx, row);
    const refund = await takeBackRefund(tx, row.refundId, this.#clock.now());
    return eventOf(charge, row, refund);
  }

  async #close(id: string): Promise<void> {
    await this.#database.orm
      .update(providerSends)
      .set({ closedAt: new Date(this.#clock.now()) })
      .where(eq(providerSends.id, id));
  }
}

const POLL_MS = 250;
const RESEND_MS = 5_000;
const BATCH_MAX = 50;
/** A receiver that refuses for hours will refuse for ever; a provider gives up too. */
const TRIES_MAX = 1_000;
const BANK_DECLINED = "DECLINED_BY_BANK";
const CODES: Partial<Record<SendRow["type"], string>> = {
  payment_collection_requirement_failed: BANK_DECLINED,
  payment_refund_failed: "REFUND_FAILED_AT_BANK",
};

async function giveUp(tx: Orm, row: SendRow): Promise<null> {
  await tx.update(providerSends).set({ closedAt: row.sendAt }).where(eq(providerSends.id, row.id));
  return null;
}

function eventOf(charge: ChargeRow, row: SendRow, money: Capture = { ...charge, pspReference: charge.id }): ProviderEvent {
  const occurredAt = row.occursAt.toISOString();
  const code = CODES[row.type];
  return {
    type: row.type,
    timestamp: occurredAt,
    data: {
      eventId: row.id,
      pcrId: charge.pcrId,
      attemptId: charge.attemptId,
      pspReference: money.pspReference,
      amount: money.amount,
      currency: money.currency,
      occurredAt,
      ...(code === undefined ? {} : { code }),
      ...(row.refundId === null ? {} : { providerRefundId: row.refundId }),
    },
  };
}
