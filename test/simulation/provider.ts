/** How customers and their banks behave, by instrument: when money is taken, and what the provider tells of it. */
import type { Capture, Refund } from "../../machines/context.ts";
import type { PaymentNewsEvent } from "../../machines/events.ts";
import type { Clock } from "../../steps/ports.ts";
import type { Faults } from "./faults.ts";
import type { ChargeRequest, FakePayments, ProviderBehaviour } from "./fake-payments.ts";

export const INSTRUMENTS = [
  "pays at once",
  "pays at once, and is told first",
  "is declined at once",
  "pays later",
  "pays later with another amount",
  "pays at the deadline",
  "pays after everything",
  "pays twice",
  "fails later",
  "fails, then pays",
  "never pays",
] as const;
export type Instrument = (typeof INSTRUMENTS)[number];

export interface ProviderDeps {
  readonly clock: Clock;
  readonly faults: Faults;
  readonly payments: () => FakePayments;
  /** Resolves when a node has it for good. */
  readonly deliver: (event: PaymentNewsEvent) => Promise<void>;
  readonly paymentDeadlineMs: number;
  readonly trace: (what: () => string) => void;
}

const LATER_MAX_MS = 12_000;
/** After the deadline, and after most rollbacks. */
const TOO_LATE_MAX_MS = 60_000;
const EVENT_DELAY_MAX_MS = 3_000;
const LATE_EVENT_MAX_MS = 40_000;
const BOUNCE_MAX_MS = 20_000;
/** Of failures that are told as an expiry. */
const EXPIRIES_SHARE = 0.3;

export class SimulatedProvider implements ProviderBehaviour {
  /** Things that are still to come, and events that nobody has yet. */
  outstanding = 0;
  /** When the whole amount of a checkout was first taken for an attempt that was open, in milliseconds since the epoch. */
  readonly paidAt = new Map<string, number>();
  #eventsTold = 0;

  constructor(private readonly deps: ProviderDeps) {}

  charge(request: ChargeRequest): "PENDING" | "CAPTURED" | "DECLINED" {
    const { faults, paymentDeadlineMs } = this.deps;
    const later = faults.draw() * LATER_MAX_MS;
    const paying: Capture = { pspReference: `psr_${request.attemptId}`, amount: request.amount, currency: request.currency };
    const pay = (capture = paying, isForced = false) => this.#pay(request, capture, isForced);
    switch (request.instrumentId as Instrument) {
      case "pays at once":
        this.#tellOfCapture(request, paying);
        return "CAPTURED";
      case "pays at once, and is told first":
        this.#tellOfCapture(request, paying, 0);
        return "CAPTURED";
      case "is declined at once":
        return "DECLINED";
      case "pays later":
        this.#after(later, () => pay());
        return "PENDING";
      case "pays later with another amount":
        this.#after(later, () => pay({ ...paying, amount: request.amount - 1 }));
        return "PENDING";
      case "pays at the deadline":
        this.#after(paymentDeadlineMs - EVENT_DELAY_MAX_MS + faults.draw() * 2 * EVENT_DELAY_MAX_MS, () => pay(paying, true));
        return "PENDING";
      case "pays after everything":
        this.#after(paymentDeadlineMs + faults.draw() * TOO_LATE_MAX_MS, () => pay(paying, true));
        return "PENDING";
      case "pays twice":
        this.#after(later, () => pay());
        this.#after(faults.draw() * LATER_MAX_MS, () => pay({ ...paying, pspReference: `${paying.pspReference}_again` }, true));
        return "PENDING";
      case "fails later":
        this.#after(later, () => this.#fail(request));
        return "PENDING";
      case "fails, then pays":
        this.#after(later, () => this.#fail(request));
        this.#after(later + faults.draw() * LATER_MAX_MS, () => pay(paying, true));
        return "PENDING";
      case "never pays":
        return "PENDING";
    }
  }

  refunded(executionContextId: string, pcrId: string, refund: Refund): void {
    const { faults, payments, trace } = this.deps;
    if (refund.round > 2 || !faults.strikes("refund: sent back")) return;
    this.#after(faults.draw() * BOUNCE_MAX_MS, () => {
      trace(() => `the bank sends refund ${refund.refundId} back`);
      payments().failRefund(executionContextId, refund.refundId);
      const { pspReference, amount, currency, providerRefundId } = refund;
      if (providerRefundId === null) return;
      const notice = this.#notice({ pcrId }, { pspReference, amount, currency });
      this.#tell({ type: "payment_refund_failed", data: { ...notice, code: "ACCOUNT_CLOSED", providerRefundId } });
    });
  }

  /** Unless the charge was closed before; `isForced`: banks settle what was authorised, whatever we cancelled since. */
  #pay(request: ChargeRequest, capture: Capture, isForced: boolean): void {
    const { executionContextId, attemptId } = request;
    const charge = this.deps
      .payments()
      .find(executionContextId)
      ?.charges.find((one) => one.attemptId === attemptId);
    const isOpen = charge?.status === "PENDING";
    if (!isOpen && !isForced) return;
    this.deps.trace(() => `${executionContextId}: the provider captures ${capture.amount} as ${capture.pspReference}`);
    this.deps.payments().capture(executionContextId, { ...capture, attemptId });
    const hasPaid = isOpen && capture.amount === request.amount && !this.paidAt.has(executionContextId);
    if (hasPaid) this.paidAt.set(executionContextId, this.deps.clock.now());
    // Whoever closes the payment later, to settle, to expire or to undo it, asks for what was captured until then.
    if (isOpen && this.deps.faults.strikes("event: never told", `(${capture.pspReference})`)) return;
    this.#tellOfCapture(request, capture);
  }

  #fail(request: ChargeRequest): void {
    this.deps.payments().decline(request.executionContextId, request.attemptId);
    this.#tellOfFailure(request);
  }

  #tellOfCapture(request: ChargeRequest, capture: Capture, delayMs?: number): void {
    this.#tell({ type: "payment_collection_requirement_success", data: this.#notice(request, capture) }, delayMs);
    if (this.deps.faults.strikes("event: contradicted")) this.#tellOfFailure(request);
  }

  #tellOfFailure(request: ChargeRequest): void {
    const { attemptId, amount, currency } = request;
    const notice = this.#notice(request, { pspReference: `psr_${attemptId}`, amount, currency });
    if (this.deps.faults.draw() < EXPIRIES_SHARE) this.#tell({ type: "payment_collection_requirement_expired", data: notice });
    else this.#tell({ type: "payment_collection_requirement_failed", data: { ...notice, code: "DECLINED" } });
  }

  #notice({ pcrId, attemptId }: { readonly pcrId: string; readonly attemptId?: string }, capture: Capture) {
    const eventId = `evt_${++this.#eventsTold}`;
    const occurredAt = new Date(this.deps.clock.now()).toISOString();
    return { eventId, pcrId, ...(attemptId === undefined ? {} : { attemptId }), ...capture, occurredAt };
  }

  #tell(event: PaymentNewsEvent, delayMs?: number): void {
    const { faults } = this.deps;
    const usual = delayMs ?? faults.draw() * EVENT_DELAY_MAX_MS;
    const delay = faults.strikes("event: late") ? usual + faults.draw() * LATE_EVENT_MAX_MS : usual;
    this.#after(delay, () => this.#deliver(event));
    if (!faults.strikes("event: doubled")) return;
    // Under its own id, or as a new event that says the same.
    const again = faults.draw() < 0.5 ? event : renamed(event, `evt_${++this.#eventsTold}`);
    this.#after(delay + faults.draw() * EVENT_DELAY_MAX_MS, () => this.#deliver(again));
  }

  #deliver(event: PaymentNewsEvent): void {
    this.outstanding++;
    void this.deps.deliver(event).then(() => this.outstanding--);
  }

  #after(delayMs: number, happen: () => void): void {
    this.outstanding++;
    this.deps.clock.after(delayMs, () => {
      this.outstanding--;
      happen();
    });
  }
}

function renamed(event: PaymentNewsEvent, eventId: string): PaymentNewsEvent {
  return { ...event, data: { ...event.data, eventId } } as PaymentNewsEvent;
}
