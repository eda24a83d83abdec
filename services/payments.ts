import type { OwedRefund, PaymentAttempt, PaymentOutcome, PaymentReport, Refund, Settlement } from "../machines/context.ts";
import { TerminalError, TransientError } from "../machines/errors.ts";
import type { Database } from "../persistence/connect.ts";
import type { Ids } from "../steps/ports.ts";
import type { Call, PaymentRequest, Payments, Reversal } from "../steps/services.ts";
import { EffectLog } from "./effect-log.ts";
import { attemptStatusOf, heldCaptures, outcomeOf, reportOf, type AttemptCharge } from "./payment-outcome.ts";
import type { Charge, PaymentProvider } from "./payment-provider.ts";
import { PaymentRecords, reversed, type AttemptRow, type OpenedAttempt, type PcrRow } from "./payment-records.ts";
import { PaymentRefunds, refundsDue } from "./payment-refunds.ts";
import { RefundRecords } from "./refund-records.ts";

export interface PaymentDeps {
  readonly database: Database;
  readonly ids: Ids;
  readonly provider: PaymentProvider;
}

/**
 * Payment collection requirements (PCR) over a provider. The intent is durable before the provider is
 * called, under the same key, so whatever crashes in between can be repeated or undone by that key.
 * The provider is the authority on money; our rows only remember what it said.
 */
export class SqlPayments implements Payments {
  readonly #provider: PaymentProvider;
  readonly #effects: EffectLog;
  readonly #records: PaymentRecords;
  readonly #refunds: PaymentRefunds;

  constructor(deps: PaymentDeps) {
    this.#provider = deps.provider;
    this.#effects = new EffectLog(deps.database);
    this.#records = new PaymentRecords(deps.database, deps.ids);
    this.#refunds = new PaymentRefunds(deps.provider, new RefundRecords(deps.database, deps.ids));
  }

  async createPaymentRequest(call: Call & PaymentRequest): Promise<PaymentAttempt & { readonly dueAt: number }> {
    const opened = await this.#effects.perform<OpenedAttempt>(REQUEST, call, async (tx) => ({
      result: await this.#records.openRequest(tx, call),
      before: null,
    }));
    const attempt = await this.#collect(opened, call.signal);
    const pcr = await this.#records.pcr(opened.pcrId, call.executionContextId);
    return { ...attempt, dueAt: pcr.dueAt.getTime() };
  }

  async createPaymentAttempt(call: Call & PaymentRequest & { readonly pcrId: string }): Promise<PaymentAttempt> {
    const pcr = await this.#records.pcr(call.pcrId, call.executionContextId);
    if (pcr.reversedAt !== null) throw reversed(pcr.id);
    // A repeated call goes on with its own attempt: the earlier ones were closed before it was opened.
    if (!(await this.#records.hasAttempt(call.key))) {
      const earlier = await this.#close(pcr, await this.#records.attempts(pcr.id, call.round), call.signal);
      const report = reportOf(pcr, earlier);
      if (report?.outcome.kind === "captured") {
        return { pcrId: pcr.id, attemptId: report.attemptId, outcome: report.outcome, isEarlier: true };
      }
    }
    const opened = await this.#effects.perform<OpenedAttempt>("createPaymentAttempt", call, async (tx) => ({
      result: await this.#records.openAttempt(tx, call),
      before: null,
    }));
    return this.#collect(opened, call.signal);
  }

  async getPaymentStatus(query: { readonly executionContextId: string; readonly pcrId: string }): Promise<PaymentReport> {
    const pcr = await this.#records.pcr(query.pcrId, query.executionContextId);
    const found: AttemptCharge[] = [];
    for (const attempt of await this.#records.attempts(pcr.id)) {
      const chargeId = await this.#chargeId(pcr, attempt);
      const charge = chargeId === null ? null : await this.#provider.retrieve({ chargeId });
      found.push({ attempt, charge });
    }
    return reportOf(pcr, found) ?? noAttempt(pcr);
  }

  async recordSettlement(call: Call & { readonly pcrId: string }): Promise<Settlement> {
    const pcr = await this.#records.pcr(call.pcrId, call.executionContextId);
    const attempts = await this.#records.attempts(pcr.id);
    // Those that an event settled among them: cancelling what is captured changes nothing and says that it is captured.
    const unsettled = attempts.filter(({ status }) => status !== "CAPTURED");
    await this.#close(pcr, unsettled, call.signal);
    // From the record and not from this call: an earlier one may have found a capture, and its reply was lost.
    return { captures: await this.#records.heldCaptures(pcr.id) };
  }

  async cancelIfPending(call: Call & { readonly pcrId: string }): Promise<PaymentReport> {
    const pcr = await this.#records.pcr(call.pcrId, call.executionContextId);
    const closed = await this.#close(pcr, await this.#records.attempts(pcr.id), call.signal);
    return reportOf(pcr, closed) ?? noAttempt(pcr);
  }

  async reversePaymentRequest(call: ReversalCall): Promise<Reversal> {
    await this.#effects.undo<OpenedAttempt>(REQUEST, call, async (tx) => {
      await this.#records.markReversed(tx, call.executionContextId);
      return { conflicts: [] };
    });
    const pcr = await this.#records.pcrOf(call.executionContextId);
    if (pcr === null) return { pcrId: null, refunds: [] };
    const seenTo = new Set(call.byHand);
    for (let pass = 1; pass <= REVERSAL_PASSES_MAX; pass++) {
      if (await this.#reverseOnce(pcr, call, seenTo)) continue;
      const standing = await this.#refunds.standing(pcr);
      return { pcrId: pcr.id, refunds: standing.map(({ refund }) => refund) };
    }
    throw new TransientError("REVERSAL_INCOMPLETE", `The provider still holds money of ${pcr.id}. Reverse it again.`);
  }

  async refundCapture(call: Call & { readonly pcrId: string; readonly owed: OwedRefund }): Promise<Refund> {
    const pcr = await this.#records.pcr(call.pcrId, call.executionContextId);
    return this.#refunds.giveBack(pcr, call.owed, call.signal);
  }

  /** Charges an opened attempt under its key, or finds out what an earlier try under that key came to. */
  async #collect(opened: OpenedAttempt, signal: AbortSignal | undefined): Promise<PaymentAttempt> {
    const { pcr, attempt } = await this.#records.attempt(opened.attemptId);
    if (pcr.reversedAt !== null) throw reversed(pcr.id);
    if (attempt.outcome !== null) return { ...opened, outcome: attempt.outcome };
    if (isFree(pcr)) {
      const outcome: PaymentOutcome = { kind: "captured", pspReference: `free_${pcr.id}`, amount: 0, currency: pcr.currency };
      return { ...opened, outcome: await this.#records.recordOutcome(attempt, "CAPTURED", outcome) };
    }
    const chargeId = attempt.chargeId ?? (await this.#create(pcr, attempt, signal)).chargeId;
    signal?.throwIfAborted();
    const charge = await this.#provider.confirm({ chargeId, ...withSignal(signal) });
    const outcome = await this.#records.recordOutcome(attempt, attemptStatusOf(charge), outcomeOf(pcr, charge));
    return { ...opened, outcome };
  }

  async #create(pcr: PcrRow, attempt: AttemptRow, signal: AbortSignal | undefined): Promise<Charge> {
    signal?.throwIfAborted();
    // From our rows, never from the call: the same key must say the same, whatever a retry was given.
    const charge = await this.#provider.create({
      key: attempt.key,
      executionContextId: pcr.contextId,
      pcrId: pcr.id,
      attemptId: attempt.id,
      amount: pcr.amount,
      currency: pcr.currency,
      method: attempt.method,
      instrumentId: attempt.instrumentId,
      expiresAt: pcr.dueAt.getTime(),
      ...(attempt.returnUrl === null ? {} : { returnUrl: attempt.returnUrl }),
      ...withSignal(signal),
    });
    await this.#records.recordCharge(attempt.id, charge.chargeId);
    return charge;
  }

  /** Null when the provider refused to create a charge: then nothing can be held. */
  async #chargeId(pcr: PcrRow, attempt: AttemptRow, signal?: AbortSignal): Promise<string | null> {
    if (attempt.chargeId !== null) return attempt.chargeId;
    if (isFree(pcr)) return null;
    // It isn't known whether a charge exists. Repeated under its key it moves no money, and gives us its id.
    try {
      return (await this.#create(pcr, attempt, signal)).chargeId;
    } catch (error) {
      if (error instanceof TerminalError) return null;
      throw error;
    }
  }

  /** Cancels what isn't captured of these attempts; says what the provider then answers. */
  async #close(pcr: PcrRow, attempts: readonly AttemptRow[], signal?: AbortSignal): Promise<readonly AttemptCharge[]> {
    const closed: AttemptCharge[] = [];
    for (const attempt of attempts) {
      const chargeId = await this.#chargeId(pcr, attempt, signal);
      const charge = chargeId === null ? null : await this.#provider.cancel({ chargeId, ...withSignal(signal) });
      if (!isFree(pcr)) await this.#records.recordClosed(attempt, attemptStatusOf(charge), charge?.captures ?? []);
      closed.push({ attempt, charge });
    }
    return closed;
  }

  /**
   * One look at the provider's truth; true = there was something to give back or to wait for, so look again. `seenTo`
   * grows by what is given back: once a call the provider's word on it counts more than its reads, which may lag behind.
   */
  async #reverseOnce(pcr: PcrRow, call: ReversalCall, seenTo: Set<string>): Promise<boolean> {
    const closed = await this.#close(pcr, await this.#records.attempts(pcr.id), call.signal);
    const standing = await this.#refunds.standing(pcr);
    const isUnfinished = closed.some(({ charge }) => charge !== null && !FINISHED.has(charge.status));
    const known = refundsDue(closed.flatMap(heldCaptures), call.owed, standing);
    const due = known.filter(({ pspReference }) => !seenTo.has(pspReference));
    const failures: unknown[] = [];
    for (const owed of due) {
      try {
        await this.#refunds.giveBack(pcr, owed, call.signal);
        seenTo.add(owed.pspReference);
      } catch (error) {
        // One that can't be given back must not keep the others.
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
    return isUnfinished || due.length > 0;
  }
}

type ReversalCall = Parameters<Payments["reversePaymentRequest"]>[0];

const REQUEST = "createPaymentRequest";
/** Passes over the provider's truth before an operator or a later try goes on: captures may land while we look. */
const REVERSAL_PASSES_MAX = 5;
/** No money will be taken any more, as far as the provider can promise; a late success is a new fact. */
const FINISHED: ReadonlySet<Charge["status"]> = new Set(["captured", "declined", "cancelled"]);

/** Nothing to pay: the provider never hears of it. */
function isFree(pcr: PcrRow): boolean {
  return pcr.amount === 0;
}

function withSignal(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}

function noAttempt(pcr: PcrRow): never {
  throw new TerminalError("ATTEMPT_UNKNOWN", `The payment request ${pcr.id} has no attempt.`);
}
