/**
 * Payments over a provider in memory. Its behaviour says what becomes of a charge at once; what happens to its money
 * later is up to whoever drives it. The provider trusts keys alone: a refund under a new key moves money again.
 */
import type {
  Capture,
  OwedRefund,
  PaymentAttempt,
  PaymentOutcome,
  PaymentReport,
  Refund,
  Settlement,
} from "../../machines/context.ts";
import { TerminalError } from "../../machines/errors.ts";
import { refundKey } from "../../machines/keys.ts";
import { owedFor } from "../../machines/payment.ts";
import type { RollbackInput } from "../../machines/step-inputs.ts";
import type { Call, PaymentRequest, Payments, Reversal } from "../../steps/services.ts";

export interface Charge {
  readonly attemptId: string;
  readonly key: string;
  readonly status: "PENDING" | "CAPTURED" | "DECLINED" | "CANCELLED";
  /** What was answered at once: the same key gives the same reply, whatever became of the charge since. */
  readonly outcome: PaymentOutcome;
}

export interface ChargeRequest {
  readonly executionContextId: string;
  readonly pcrId: string;
  readonly attemptId: string;
  readonly instrumentId: string;
  readonly amount: number;
  readonly currency: string;
}

export interface ProviderBehaviour {
  /** What becomes of a new charge at once. */
  charge(request: ChargeRequest): "PENDING" | "CAPTURED" | "DECLINED";
  /** It accepted a refund. */
  refunded(executionContextId: string, pcrId: string, refund: Refund): void;
}

/** Every charge asks for an action and waits; every refund stands. */
const PATIENT: ProviderBehaviour = { charge: () => "PENDING", refunded: () => {} };

export interface Captured extends Capture {
  readonly attemptId: string;
}

/** Money that went back, and perhaps came again. */
export interface GivenBack {
  readonly key: string;
  readonly refund: Refund;
  readonly hasFailed: boolean;
}

/** One payment collection requirement and the provider's books on it. Never changed, only replaced. */
export interface Requirement {
  readonly pcrId: string;
  readonly amount: number;
  readonly currency: string;
  readonly dueAt: number;
  readonly isReversed: boolean;
  /** One for each attempt, in their order. */
  readonly charges: readonly Charge[];
  readonly captures: readonly Captured[];
  readonly givenBack: readonly GivenBack[];
}

interface KnownRequest {
  readonly executionContextId: string;
  readonly pcrId: string;
}

export class FakePayments implements Payments {
  /** Calls that found what they ask for undone already. */
  refusals = 0;

  /** By context. Null: it was reversed before it was ever requested. */
  constructor(
    private readonly requirements = new Map<string, Requirement | null>(),
    private readonly behaviour = PATIENT,
  ) {}

  clone(): FakePayments {
    return new FakePayments(new Map(this.requirements), this.behaviour);
  }

  find(executionContextId: string): Requirement | null {
    return this.requirements.get(executionContextId) ?? null;
  }

  /** The provider takes money for an attempt, whatever became of it; the same reference is the same capture. */
  capture(executionContextId: string, captured: Captured): void {
    this.#change(executionContextId, (pcr) => {
      if (pcr.captures.some(({ pspReference }) => pspReference === captured.pspReference)) return pcr;
      return {
        ...withStatus(pcr, "CAPTURED", ({ attemptId }) => attemptId === captured.attemptId),
        captures: [...pcr.captures, captured],
      };
    });
  }

  /** The customer's bank refuses an attempt that is still open. */
  decline(executionContextId: string, attemptId: string): void {
    this.#change(executionContextId, (pcr) =>
      withStatus(pcr, "DECLINED", (charge) => charge.attemptId === attemptId && charge.status === "PENDING"),
    );
  }

  /** The bank sends an accepted refund back: the capture is held again. */
  failRefund(executionContextId: string, refundId: string): void {
    this.#change(executionContextId, (pcr) => ({
      ...pcr,
      givenBack: pcr.givenBack.map((one) => (one.refund.refundId === refundId ? { ...one, hasFailed: true } : one)),
    }));
  }

  async createPaymentRequest(call: Call & PaymentRequest): Promise<PaymentAttempt & { readonly dueAt: number }> {
    const { executionContextId, amount, currency, dueAt } = call;
    const known = this.requirements.get(executionContextId);
    if (known === null || known?.isReversed === true) throw this.#reversed(executionContextId);
    if (known?.charges.every(({ key }) => key !== call.key) === true) {
      throw new TerminalError("PCR_EXISTS", `${executionContextId} has a payment request under another key.`);
    }
    const pcrId = `pcr_${executionContextId}`;
    const opened = { pcrId, amount, currency, dueAt, isReversed: false, charges: [], captures: [], givenBack: [] };
    const pcr = known ?? this.#charge(opened, call);
    return { ...attemptOf(pcr, call.key), dueAt: pcr.dueAt };
  }

  async createPaymentAttempt(call: Call & PaymentRequest & { readonly pcrId: string }): Promise<PaymentAttempt> {
    const pcr = this.#known(call);
    if (pcr.isReversed) throw this.#reversed(call.executionContextId);
    if (pcr.charges.some(({ key }) => key === call.key)) return attemptOf(pcr, call.key);
    const closed = this.#set(call.executionContextId, cancelled(pcr));
    const { attemptId, outcome } = reportOf(closed);
    if (outcome.kind === "captured") return { pcrId: pcr.pcrId, attemptId, outcome, isEarlier: true };
    return attemptOf(this.#charge(closed, call), call.key);
  }

  async getPaymentStatus(query: KnownRequest): Promise<PaymentReport> {
    return reportOf(this.#known(query));
  }

  async recordSettlement(call: Call & KnownRequest): Promise<Settlement> {
    const pcr = this.#set(call.executionContextId, cancelled(this.#known(call)));
    return { captures: pcr.captures.filter((capture) => isHeld(pcr, capture)).map(moneyOf) };
  }

  async cancelIfPending(call: Call & KnownRequest): Promise<PaymentReport> {
    return reportOf(this.#set(call.executionContextId, cancelled(this.#known(call))));
  }

  async reversePaymentRequest(call: Call & Pick<RollbackInput, "owed" | "byHand">): Promise<Reversal> {
    const { executionContextId, owed, byHand } = call;
    const known = this.requirements.get(executionContextId) ?? null;
    if (known === null) {
      this.requirements.set(executionContextId, null);
      return { pcrId: null, refunds: [] };
    }
    const pcr = this.#set(executionContextId, { ...cancelled(known), isReversed: true });
    for (const capture of pcr.captures) {
      if (!isHeld(pcr, capture) || byHand.includes(capture.pspReference)) continue;
      const due = owed.find(({ pspReference }) => pspReference === capture.pspReference);
      this.#giveBack(executionContextId, due ?? owedFor(capture, "ROLLBACK"));
    }
    const standing = this.#known({ executionContextId }).givenBack.filter(({ hasFailed }) => !hasFailed);
    return { pcrId: pcr.pcrId, refunds: standing.map(({ refund }) => refund) };
  }

  async refundCapture(call: Call & KnownRequest & { readonly owed: OwedRefund }): Promise<Refund> {
    // Refused where this is another checkout's payment request.
    this.#known(call);
    return this.#giveBack(call.executionContextId, call.owed, call.key);
  }

  #charge(pcr: Requirement, call: Call & PaymentRequest): Requirement {
    const { executionContextId, key, instrumentId } = call;
    const { pcrId, amount, currency } = pcr;
    const attemptId = `att_${pcr.charges.length + 1}_${pcrId}`;
    // Nothing to pay: the provider never hears of it.
    const isFree = amount === 0;
    const request = { executionContextId, pcrId, attemptId, instrumentId, amount, currency };
    const status = isFree ? "CAPTURED" : this.behaviour.charge(request);
    const capture = { attemptId, pspReference: isFree ? `free_${pcrId}` : `psr_${attemptId}`, amount, currency };
    const charge = { attemptId, key, status, outcome: outcomeOf(pcr, status, capture) };
    const captures = status === "CAPTURED" && !isFree ? [...pcr.captures, capture] : pcr.captures;
    return this.#set(executionContextId, { ...pcr, charges: [...pcr.charges, charge], captures });
  }

  /** A round whose refund failed goes on under the next one's key, and the answer names what failed on the way. */
  #giveBack(executionContextId: string, owed: OwedRefund, key?: string): Refund {
    const pcr = this.#known({ executionContextId });
    const ownKey = key ?? refundKey(executionContextId, owed.pspReference, owed.round);
    const known = pcr.givenBack.find((one) => one.key === ownKey);
    if (known?.hasFailed === true) {
      const next = this.#giveBack(executionContextId, { ...owed, round: owed.round + 1 });
      return { ...next, failedRefundIds: [...namesOf(known), ...next.failedRefundIds] };
    }
    if (known !== undefined) return known.refund;
    if (!pcr.captures.some(({ pspReference }) => pspReference === owed.pspReference)) {
      throw new TerminalError("CAPTURE_UNKNOWN", `The provider never captured ${owed.pspReference}.`);
    }
    const name = `${pcr.givenBack.length + 1}_${owed.pspReference}`;
    const refund: Refund = { ...owed, refundId: `rfd_${name}`, providerRefundId: `re_${name}` };
    this.#set(executionContextId, { ...pcr, givenBack: [...pcr.givenBack, { key: ownKey, refund, hasFailed: false }] });
    this.behaviour.refunded(executionContextId, pcr.pcrId, refund);
    return refund;
  }

  #reversed(executionContextId: string): TerminalError {
    this.refusals++;
    return new TerminalError(
      "UNDONE",
      `The payment request of ${executionContextId} was reversed; nothing is collected any more.`,
    );
  }

  #known({ executionContextId, pcrId }: Partial<KnownRequest> & { readonly executionContextId: string }): Requirement {
    const pcr = this.find(executionContextId);
    if (pcr !== null && (pcrId === undefined || pcrId === pcr.pcrId)) return pcr;
    throw new TerminalError("PCR_UNKNOWN", `${executionContextId} has no such payment request.`);
  }

  #change(executionContextId: string, change: (pcr: Requirement) => Requirement): void {
    this.#set(executionContextId, change(this.#known({ executionContextId })));
  }

  #set(executionContextId: string, pcr: Requirement): Requirement {
    this.requirements.set(executionContextId, pcr);
    return pcr;
  }
}

function withStatus(pcr: Requirement, status: Charge["status"], isMeant: (charge: Charge) => boolean): Requirement {
  return { ...pcr, charges: pcr.charges.map((charge) => (isMeant(charge) ? { ...charge, status } : charge)) };
}

function cancelled(pcr: Requirement): Requirement {
  return withStatus(pcr, "CANCELLED", ({ status }) => status === "PENDING");
}

function attemptOf(pcr: Requirement, key: string): PaymentAttempt {
  const charge = pcr.charges.find((one) => one.key === key);
  return { pcrId: pcr.pcrId, attemptId: charge?.attemptId ?? "", outcome: charge?.outcome ?? pending(pcr) };
}

function outcomeOf(pcr: Requirement, status: "PENDING" | "CAPTURED" | "DECLINED", capture: Capture): PaymentOutcome {
  switch (status) {
    case "PENDING":
      return pending(pcr);
    case "CAPTURED":
      return { kind: "captured", ...moneyOf(capture) };
    case "DECLINED":
      return { kind: "declined", code: "DECLINED" };
  }
}

function pending({ dueAt }: Requirement): PaymentOutcome {
  return { kind: "pending", nextAction: { type: "UPI_COLLECT", expiresAt: dueAt } };
}

function reportOf(pcr: Requirement): PaymentReport {
  const captures = pcr.captures.map(moneyOf);
  const paying = pcr.captures.find((one) => isHeld(pcr, one) && one.amount === pcr.amount && one.currency === pcr.currency);
  if (paying !== undefined) {
    return { attemptId: paying.attemptId, outcome: { kind: "captured", ...moneyOf(paying) }, captures };
  }
  const latest = pcr.charges.at(-1);
  return { attemptId: latest?.attemptId ?? "", outcome: unpaidOutcome(pcr, latest), captures };
}

function unpaidOutcome(pcr: Requirement, latest: Charge | undefined): PaymentReport["outcome"] {
  switch (latest?.status) {
    case "PENDING":
      return pending(pcr);
    case "DECLINED":
      return { kind: "declined", code: "DECLINED" };
    case "CAPTURED":
      if (pcr.amount === 0) return latest.outcome;
      return pcr.captures.some((one) => isHeld(pcr, one)) ? { kind: "declined", code: "AMOUNT_MISMATCH" } : { kind: "cancelled" };
    case "CANCELLED":
    case undefined:
      return { kind: "cancelled" };
  }
}

function isHeld(pcr: Requirement, { pspReference }: Capture): boolean {
  return !pcr.givenBack.some(({ refund, hasFailed }) => !hasFailed && refund.pspReference === pspReference);
}

function namesOf({ refund }: GivenBack): readonly string[] {
  return refund.providerRefundId === null ? [] : [refund.providerRefundId];
}

/** Only the three fields that are money. */
function moneyOf({ pspReference, amount, currency }: Capture): Capture {
  return { pspReference, amount, currency };
}
