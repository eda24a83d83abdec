import { and, asc, eq, gt } from "drizzle-orm";
import { TransientError } from "../machines/errors.ts";
import type { Database, Orm } from "../persistence/connect.ts";
import { providerCharges } from "../persistence/order-schema.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import type {
  Charge,
  ChargePage,
  ChargeReference,
  ChargeRequest,
  ListedCharge,
  PaymentProvider,
  ProviderEvent,
  ProviderRefund,
  RefundRequest,
} from "./payment-provider.ts";
import { SimulatorEvents, type SendEvent } from "./simulator-events.ts";
import { LATE_DELAY_MS, reactionOf } from "./simulator-instruments.ts";
import * as ledger from "./simulator-ledger.ts";
import { giveBack } from "./simulator-refunds.ts";

export interface SimulatorDeps {
  readonly database: Database;
  readonly ids: Ids;
  readonly clock: Clock;
}

/** One line of the simulator's own ledger. */
export interface LedgerCharge extends ListedCharge {
  readonly key: string;
  readonly authorised: number;
  readonly captured: number;
  readonly refunded: number;
}

/**
 * A payment service provider behind the same contract as a real one, with test instruments and a
 * ledger on our database. Payments reads that ledger through the contract only.
 */
export class SimulatedProvider implements PaymentProvider {
  readonly name = "simulator";
  readonly #database: Database;
  readonly #ids: Ids;
  readonly #clock: Clock;
  readonly #events: SimulatorEvents;

  constructor(deps: SimulatorDeps) {
    this.#database = deps.database;
    this.#ids = deps.ids;
    this.#clock = deps.clock;
    this.#events = new SimulatorEvents(deps);
  }

  async create(request: ChargeRequest): Promise<Charge> {
    // An instrument that nobody knows is refused before anything exists.
    reactionOf(request.instrumentId, 1);
    const row = await ledger.insertCharge(this.#database.orm, this.#ids.next("psr"), request);
    return ledger.chargeOf(this.#database.orm, row, this.#clock.now());
  }

  async confirm({ chargeId }: ChargeReference): Promise<Charge> {
    const { charge, failure } = await this.#database.transaction(async (tx) => {
      const row = await ledger.lockCharge(tx, chargeId);
      if (row.status !== "created") return { charge: await ledger.chargeOf(tx, row, this.#clock.now()), failure: null };
      const tries = row.tries + 1;
      await tx.update(providerCharges).set({ tries }).where(eq(providerCharges.id, chargeId));
      const problem = await this.#react(tx, row, tries);
      const after = await ledger.lockCharge(tx, chargeId);
      return { charge: await ledger.chargeOf(tx, after, this.#clock.now()), failure: problem };
    });
    // Thrown outside the transaction: what was counted or captured stays.
    if (failure !== null) throw failure;
    return charge;
  }

  async cancel({ chargeId }: ChargeReference): Promise<Charge> {
    return this.#database.transaction(async (tx) => {
      const row = await ledger.lockCharge(tx, chargeId);
      const now = this.#clock.now();
      if (row.status !== "created" && row.status !== "requires_action") return ledger.chargeOf(tx, row, now);
      await ledger.setStatus(tx, chargeId, "cancelled", { nextAction: null, authorisedAmount: 0 });
      await ledger.endSends(tx, chargeId, now, LATE_DELAY_MS);
      return ledger.chargeOf(tx, { ...row, status: "cancelled", nextAction: null }, now);
    });
  }

  async retrieve({ chargeId }: ChargeReference): Promise<Charge> {
    return this.#database.transaction(async (tx) => {
      const row = await ledger.lockCharge(tx, chargeId);
      return ledger.chargeOf(tx, row, this.#clock.now());
    });
  }

  async refund(request: RefundRequest): Promise<ProviderRefund> {
    const id = this.#ids.next("rfd");
    return this.#database.transaction((tx) => giveBack(tx, id, request, this.#clock.now()));
  }

  /**
   * A success that somebody else announced with a valid signature: the money is taken, also when the
   * charge was cancelled or failed before. Idempotent by (pcrId, pspReference).
   *
   * False: the payment requirement has no charge yet (the event was faster than the answer to `create`). The money is
   * kept, and the first confirmation, cancellation or retrieval of a charge of that requirement takes it over under
   * its lock: it then reads as captured, so it is neither charged nor cancelled, and a reversal gives it back.
   * It can also be refunded before.
   */
  async recordAuthenticatedSuccess(event: ProviderEvent): Promise<boolean> {
    if (event.type !== "payment_collection_requirement_success") return false;
    const { pcrId, attemptId, pspReference, amount, currency } = event.data;
    const capture = { pspReference, amount, currency };
    const now = this.#clock.now();
    return this.#database.transaction(async (tx) => {
      const charges = await ledger.lockChargesOf(tx, pcrId);
      // An attempt named wrongly doesn't make the money vanish: it is then booked on the latest one.
      const charge = charges.find((one) => one.attemptId === attemptId) ?? charges[0];
      if (charge === undefined) await ledger.addEarlyCapture(tx, pcrId, capture, now);
      else await ledger.addCapture(tx, await ledger.takeOver(tx, charge), capture, { at: now, now });
      return charge !== undefined;
    });
  }

  async listCharges(page: ChargePage & { readonly pcrId?: string } = {}): Promise<readonly LedgerCharge[]> {
    const rows = await this.#database.orm
      .select()
      .from(providerCharges)
      .where(
        and(
          page.after === undefined ? undefined : gt(providerCharges.id, page.after),
          page.pcrId === undefined ? undefined : eq(providerCharges.pcrId, page.pcrId),
        ),
      )
      .orderBy(asc(providerCharges.id))
      .limit(Math.min(page.limit ?? PAGE_MAX, PAGE_MAX));
    const charges = await ledger.chargesOf(this.#database.orm, rows, this.#clock.now());
    return rows.map((row, index) => ({
      ...(charges[index] as Charge),
      key: row.key,
      executionContextId: row.contextId,
      pcrId: row.pcrId,
      attemptId: row.attemptId,
      currency: row.currency,
      movedAt: row.movedAt?.getTime() ?? null,
      authorised: row.authorisedAmount,
      captured: row.capturedAmount,
      refunded: row.refundedAmount,
    }));
  }

  /** Sends the events that are due; how many were delivered. */
  deliverDue(send: SendEvent): Promise<number> {
    return this.#events.deliverDue(send);
  }

  /** Sends events as they fall due, also those of an earlier process; returns how to stop. */
  start(send: SendEvent, onError: (error: unknown) => void): () => Promise<void> {
    return this.#events.start(send, onError);
  }

  async #react(tx: Orm, row: ledger.ChargeRow, tries: number): Promise<TransientError | null> {
    const now = this.#clock.now();
    const reaction = reactionOf(row.instrumentId, tries);
    switch (reaction.kind) {
      case "unavailable":
        return new TransientError("PROVIDER_UNAVAILABLE", "The payment provider doesn't answer. Try again later.");
      case "decline":
        await ledger.setStatus(tx, row.id, "declined", { declineCode: reaction.code });
        return null;
      case "capture":
        await ledger.addCapture(tx, row, { pspReference: row.id, amount: row.amount, currency: row.currency }, { at: now, now });
        return reaction.isReplyLost
          ? new TransientError("PROVIDER_TIMEOUT", "The payment provider's reply didn't arrive. Repeat the call under its key.")
          : null;
      case "ask": {
        const nextAction = { type: "UPI_COLLECT", expiresAt: row.expiresAt.getTime() };
        await ledger.setStatus(tx, row.id, "requires_action", { nextAction, authorisedAmount: row.amount });
        await ledger.scheduleSends(tx, row, reaction.sends, now);
        return null;
      }
    }
  }
}

const PAGE_MAX = 1_000;
