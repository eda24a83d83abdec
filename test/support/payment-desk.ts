/** One checkout's payment service over the simulator, with a provider that a test can break at any call. */
import type { Database } from "../../persistence/connect.ts";
import type { PaymentProvider, ProviderEvent } from "../../services/payment-provider.ts";
import { SqlPayments } from "../../services/payments.ts";
import { SimulatedProvider } from "../../services/provider-simulator.ts";
import { takeBackRefund } from "../../services/simulator-refunds.ts";
import type { Ids } from "../../steps/ports.ts";
import { ManualClock } from "./ports.ts";

type Operation = "create" | "confirm" | "cancel" | "retrieve" | "refund" | "listCharges";

/** Passes calls on and records them; `before` and `after` run around each and may throw or wait. */
class BreakableProvider implements PaymentProvider {
  readonly name = "breakable";
  readonly calls: Operation[] = [];
  before: (operation: Operation) => Promise<void> = async () => undefined;
  after: (operation: Operation) => Promise<void> = async () => undefined;

  constructor(private readonly inner: PaymentProvider) {}

  create: PaymentProvider["create"] = (request) => this.#around("create", () => this.inner.create(request));
  confirm: PaymentProvider["confirm"] = (reference) => this.#around("confirm", () => this.inner.confirm(reference));
  cancel: PaymentProvider["cancel"] = (reference) => this.#around("cancel", () => this.inner.cancel(reference));
  retrieve: PaymentProvider["retrieve"] = (reference) => this.#around("retrieve", () => this.inner.retrieve(reference));
  refund: PaymentProvider["refund"] = (request) => this.#around("refund", () => this.inner.refund(request));

  listCharges: PaymentProvider["listCharges"] = (page) => this.#around("listCharges", () => this.inner.listCharges(page));

  async #around<Result>(operation: Operation, call: () => Promise<Result>): Promise<Result> {
    await this.before(operation);
    this.calls.push(operation);
    const result = await call();
    await this.after(operation);
    return result;
  }
}

export function openPaymentDesk(database: Database, ids: Ids, instrumentId: string, amount = 249900) {
  const executionContextId = ids.next("ctx");
  const clock = new ManualClock();
  const simulator = new SimulatedProvider({ database, ids, clock });
  const provider = new BreakableProvider(simulator);
  const payments = new SqlPayments({ database, ids, provider });
  const request = {
    executionContextId,
    key: `${executionContextId}:STEP_5:1`,
    payerId: "usr_42",
    checkoutOrderId: "co_1",
    amount,
    currency: "INR",
    method: "UPI",
    instrumentId,
    dueAt: clock.now() + 900_000,
    round: 1,
  };
  const ledger = async () => {
    const all = await simulator.listCharges();
    return all.filter((charge) => charge.executionContextId === executionContextId);
  };
  return {
    executionContextId,
    clock,
    simulator,
    provider,
    payments,
    request,
    /** The same service after a restart of the process: nothing in memory is left. */
    restarted: () => new SqlPayments({ database, ids, provider: simulator }),
    undo: { executionContextId, key: request.key, owed: [], byHand: [] },
    attempt: (pcrId: string, round: number, instrument: string) => ({
      ...request,
      pcrId,
      round,
      instrumentId: instrument,
      key: `${executionContextId}:STEP_5:${round}`,
    }),
    ledger,
    /** Lets this much time pass, and the simulator do what is due by then; what it tells of this checkout. */
    pass: async (ms: number) => {
      clock.advance(ms);
      const told: ProviderEvent[] = [];
      await simulator.deliverDue(async (event) => void told.push(event));
      const mine = new Set((await ledger()).map(({ pcrId }) => pcrId));
      return told.filter(({ data }) => mine.has(data.pcrId));
    },
    /** The bank sends back the refund that stands, and nobody is told; its id at the provider. */
    bounce: async () => {
      const [standing] = await database.rows<{ id: string }>(
        "select id from checkoutd.provider_refunds where context_id = $1 and failed_at is null",
        [executionContextId],
      );
      if (standing === undefined) throw new Error("expected a refund that stands");
      await database.transaction((tx) => takeBackRefund(tx, standing.id, clock.now()));
      return standing.id;
    },
    /** From now on the provider's reads show its charge as it stands now. */
    freezeReads: async () => {
      const [charge] = await ledger();
      if (charge === undefined) throw new Error("expected a charge");
      const seen = await simulator.retrieve({ chargeId: charge.chargeId });
      provider.cancel = provider.retrieve = async () => seen;
    },
    /** What the customer has paid and not got back, by the provider's books. */
    net: async () => (await ledger()).reduce((sum, charge) => sum + charge.captured - charge.refunded, 0),
    books: async () =>
      database.rows<{ captured: number; refunded: number }>(
        `select captured_amount::int as captured, refunded_amount::int as refunded
           from checkoutd.payment_collection_requirements where context_id = $1`,
        [executionContextId],
      ),
  };
}

export function successEvent(pcrId: string, pspReference: string, amount = 249900, attemptId?: string): ProviderEvent {
  const occurredAt = "2027-01-08T10:05:00.000Z";
  const data = { eventId: `evt_${pcrId}_${pspReference}`, pcrId, pspReference, amount, currency: "INR", occurredAt };
  return {
    type: "payment_collection_requirement_success",
    timestamp: occurredAt,
    data: attemptId === undefined ? data : { ...data, attemptId },
  };
}

/** A named moment: `reached` resolves when somebody waits at it, `open` lets them go on. */
export function gate() {
  let open = () => {};
  let arrive = () => {};
  const opened = new Promise<void>((resolve) => (open = resolve));
  const reached = new Promise<void>((resolve) => (arrive = resolve));
  return {
    reached,
    open: () => open(),
    pass: async () => {
      arrive();
      await opened;
    },
  };
}
