import { and, asc, desc, eq, gt } from "drizzle-orm";
import { TransientError } from "../machines/errors.ts";
import type { Database, Orm } from "../persistence/connect.ts";
import { providerCharges } from "../persistence/order-schema.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import type {
  Charge,
  ChargeReference,
  ChargeRequest,
  PaymentProvider,
  ProviderEvent,
  ProviderRefund,
  RefundRequest,
} from "./payment-provider.ts";
import { SimulatorEvents, type SendEvent } from "./simulator-events.ts";
import { LATE_DELAY_MS, reactionOf } from "./simulator-instruments.ts";
import * as ledger from "./simulator-ledger.ts";

export interface SimulatorDeps {
  readonly database: Database;
  readonly ids: Ids;
  readonly clock: Clock;
}

/** One line of the ledger, for reconciliation. */
export interface LedgerCharge {
  readonly chargeId: string;
  readonly key: string;
  readonly executionContextId: string;
  readonly pcrId: string;
  readonly attemptId: string;
  readonly status: Charge["status"];
  readonly currency: string;
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
    const { key, pcrId, pspReference } = request;
    const refundId = await this.#database.transaction((tx) => ledger.giveBack(tx, { id, key, pcrId, pspReference }));
    return { refundId };
  }

  /**
   * A success that somebody else announced with a valid signature: the money is taken, also when the
   * charge was cancelled or failed before. Idempotent by (pcrId, pspReference). False: no such charge.
   */
  async recordAuthenticatedSuccess(event: ProviderEvent): Promise<boolean> {
    if (event.type !== "payment_collection_requirement_success") return false;
    const { pcrId, attemptId, pspReference, amount, currency } = event.data;
    return this.#database.transaction(async (tx) => {
      const ofPcr = eq(providerCharges.pcrId, pcrId);
      // An attempt named wrongly doesn't make the money vanish: it is then booked on the latest one.
      const charges = await tx
        .select()
        .from(providerCharges)
        .where(ofPcr)
        .orderBy(desc(providerCharges.createdAt), desc(providerCharges.id))
        .for("update");
      const charge = charges.find((one) => one.attemptId === attemptId) ?? charges[0];
      if (charge === undefined) return false;
      await ledger.addCapture(tx, charge, { pspReference, amount, currency }, this.#clock.now());
      return true;
    });
  }

  /** In the order of their ids, a page at a time. */
  async listCharges(
    page: { readonly after?: string; readonly limit?: number; readonly pcrId?: string } = {},
  ): Promise<readonly LedgerCharge[]> {
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
      .limit(page.limit ?? PAGE_MAX);
    return rows.map((row) => ({
      chargeId: row.id,
      key: row.key,
      executionContextId: row.contextId,
      pcrId: row.pcrId,
      attemptId: row.attemptId,
      status: row.status,
      currency: row.currency,
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
        await ledger.addCapture(tx, row, { pspReference: row.id, amount: row.amount, currency: row.currency }, now);
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
