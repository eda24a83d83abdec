/** One checkout's calls to the payments, and what becomes of its money at the bank. */
import { randomUUID } from "node:crypto";
import type { Capture, OwedRefund, PaymentAttempt, PaymentReport, Refund, Settlement } from "../../machines/context.ts";
import { refundKey, stepKey } from "../../machines/keys.ts";
import { owedFor } from "../../machines/payment.ts";
import type { Call, PaymentRequest, Payments, Reversal } from "../../steps/services.ts";
import type { AttemptAtBank, Bank, BankBooks, ParticipantsUnderTest } from "./participants-under-test.ts";

export const AMOUNT = 249_900;
/** Later than any test. */
export const DUE_AT = Date.UTC(2100, 0, 1);
export const UNDONE = { class: "TERMINAL", code: "UNDONE" };
export const TERMINAL = { class: "TERMINAL" };
const CURRENCY = "INR";

export type Instrument = keyof Bank["instruments"];
type Opened = Pick<PaymentAttempt, "pcrId" | "attemptId">;

export class PaymentCalls {
  readonly id = `ctx_${randomUUID()}`;
  readonly payments: Payments;
  readonly #bank: Bank;
  #captures = 0;

  constructor({ services, bank }: ParticipantsUnderTest) {
    this.payments = services.payments;
    this.#bank = bank;
  }

  call(step: "STEP_5" | "STEP_9", round?: number): Call {
    return { executionContextId: this.id, key: stepKey(this.id, step, round) };
  }

  request(
    instrument: Instrument,
    overrides: Partial<Call & PaymentRequest> = {},
  ): Promise<PaymentAttempt & { readonly dueAt: number }> {
    return this.payments.createPaymentRequest({ ...this.call("STEP_5", 1), ...this.#wish(instrument, 1), ...overrides });
  }

  attempt({ pcrId }: { readonly pcrId: string }, round: number, instrument: Instrument): Promise<PaymentAttempt> {
    return this.payments.createPaymentAttempt({ ...this.call("STEP_5", round), ...this.#wish(instrument, round), pcrId });
  }

  status({ pcrId }: { readonly pcrId: string }): Promise<PaymentReport> {
    return this.payments.getPaymentStatus({ executionContextId: this.id, pcrId });
  }

  cancel({ pcrId }: { readonly pcrId: string }): Promise<PaymentReport> {
    return this.payments.cancelIfPending({ ...this.call("STEP_5"), pcrId });
  }

  settle({ pcrId }: { readonly pcrId: string }): Promise<Settlement> {
    return this.payments.recordSettlement({ ...this.call("STEP_9"), pcrId });
  }

  reverse(owed: readonly OwedRefund[] = [], byHand: readonly string[] = []): Promise<Reversal> {
    return this.payments.reversePaymentRequest({ ...this.call("STEP_5", 1), owed, byHand });
  }

  refund({ pcrId }: { readonly pcrId: string }, capture: Capture, round = 1): Promise<Refund> {
    const key = refundKey(this.id, capture.pspReference, round);
    const owed = { ...owedFor(capture, "LATE"), round };
    return this.payments.refundCapture({ executionContextId: this.id, key, pcrId, owed });
  }

  /** The bank takes money for an attempt, each time under a new reference. */
  async captured(opened: Opened, amount = AMOUNT): Promise<Capture> {
    const capture = { pspReference: `psr_${++this.#captures}_${this.id}`, amount, currency: CURRENCY };
    await this.#bank.capture(this.#atBank(opened), capture);
    return capture;
  }

  decline(opened: Opened): Promise<void> {
    return this.#bank.decline(this.#atBank(opened));
  }

  sendBack(refund: Refund): Promise<void> {
    return this.#bank.sendBack(this.id, refund);
  }

  books(): Promise<BankBooks> {
    return this.#bank.books(this.id);
  }

  #atBank({ pcrId, attemptId }: Opened): AttemptAtBank {
    return { executionContextId: this.id, pcrId, attemptId };
  }

  #wish(instrument: Instrument, round: number): PaymentRequest {
    return {
      payerId: "usr_1",
      checkoutOrderId: "co_1",
      amount: AMOUNT,
      currency: CURRENCY,
      method: "UPI",
      instrumentId: this.#bank.instruments[instrument],
      dueAt: DUE_AT,
      round,
    };
  }
}

/** What an attempt that was paid at once was paid with. */
export function captureIn({ outcome }: Pick<PaymentReport, "outcome">): Capture {
  if (outcome.kind !== "captured") throw new Error(`expected a capture, not ${outcome.kind}`);
  const { pspReference, amount, currency } = outcome;
  return { pspReference, amount, currency };
}
