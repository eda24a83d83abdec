/** One checkout and everything around it: its store, participants and time, and the node that runs it. */
import type { CheckoutPolicy } from "../../machines/context.ts";
import type { PaymentEvent, PaymentNotice } from "../../machines/events.ts";
import { acquireLocks } from "../../runtime/acquire-locks.ts";
import { checkoutExecutions, type Executions } from "../../steps/actors.ts";
import type { IdPrefix, Ids } from "../../steps/ports.ts";
import type { CheckoutRequest } from "../../steps/request.ts";
import { FakeParticipants } from "../simulation/fake-participants.ts";
import type { Captured, Requirement } from "../simulation/fake-payments.ts";
import { MemoryCalls } from "../simulation/memory-calls.ts";
import { MemoryStore } from "../simulation/memory-store.ts";
import { MortalNode } from "../simulation/mortal-node.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import type { Letter } from "./alphabet.ts";
import type { CallDesk } from "./call-desk.ts";
import { bringToLife, machine } from "./shared-machine.ts";
import type { Prelude } from "./start-states.ts";
import { oneVersion } from "../support/versions.ts";
import { MACHINE_HASH } from "../../machines/version.ts";

/** Shorter than a step's time, so that a held call doesn't time out at the deadline itself. */
const DEADLINE_MS = 20_000;
/** A checkout that rests is found this late at most: recovery looks that often. */
const SWEEP_MS = 500;
const REST_MAX_MS = 3_600_000;

const POLICY: CheckoutPolicy = {
  stepRetryMax: 5,
  stepRetryBudgetMs: 60_000,
  undoRetryMax: 2,
  paymentDeadlineMs: DEADLINE_MS,
  paymentAttemptsMax: 3,
  paymentPollMs: 8_000,
};

const REQUEST: CheckoutRequest = {
  cart: { cartId: "cart_1", version: 1 },
  user: { userId: "usr_1", cityId: "BLR" },
  lineItems: [{ ref: "l1", sku: "SVC-AC-DEEP", quantity: 2, sellerId: "slr_1", paymentTiming: "NOW" }],
  preferences: [{ ref: "p1", type: "DELIVERY_SLOT", lineItemRefs: ["l1"], payload: { slotId: "slot_0900" } }],
  optIns: [{ ref: "o1", type: "MEMBERSHIP", action: "CREATE", planId: "plus_6m" }],
  payment: { method: "UPI", instrumentId: "ins_async" },
};

/** A checkout that stands still: what is durable, and what its participants hold. */
export interface Fixture {
  readonly id: string;
  readonly store: MemoryStore;
  readonly participants: FakeParticipants;
  readonly now: number;
  readonly idsGiven: number;
  /** What the provider captured and nobody took notice of. */
  readonly unheard: Captured | null;
}

export class World {
  readonly clock: VirtualClock;
  readonly store: MemoryStore;
  readonly participants: FakeParticipants;
  readonly troubles: string[] = [];
  readonly #desk: CallDesk;
  readonly #executions: Executions;
  #node: MortalNode;
  #idsGiven: number;
  #unheard: Captured | null;

  constructor(
    readonly id: string,
    desk: CallDesk,
    fixture: Fixture | null,
  ) {
    this.clock = fixture === null ? new VirtualClock() : new VirtualClock(fixture.now);
    this.store = fixture?.store.clone(this.clock) ?? new MemoryStore(this.clock);
    this.participants = fixture?.participants.clone(this.clock) ?? new FakeParticipants(this.clock);
    this.#idsGiven = fixture?.idsGiven ?? 0;
    this.#unheard = fixture?.unheard ?? null;
    this.#desk = desk;
    const requests = { load: async (id: string) => (await this.store.loadRequest(id)) as CheckoutRequest };
    const { services } = this.participants;
    this.#executions = desk.around(
      checkoutExecutions({ services, requests, clock: this.clock }, (input, signal) =>
        acquireLocks(this.store, this.#node.orchestrator.locks)(input, signal),
      ),
    );
    this.#node = this.#newNode();
  }

  /** Nobody ever comes back to a world once another one lives. */
  async begin(): Promise<void> {
    bringToLife(this.#executions);
    void this.#node.orchestrator.start();
    await this.clock.advance(0);
  }

  async initiate(): Promise<void> {
    const command = {
      caller: "shop",
      idempotencyKey: "key",
      requestHash: "hash",
      request: REQUEST,
      traceparent: null,
      waitMs: 0,
    };
    void this.#node.orchestrator.initiate(command);
    await this.clock.advance(0);
  }

  /** Delivers, and lets everything come to rest that needs no time. */
  async deliver(letter: Letter | Prelude): Promise<void> {
    await this.#happen(letter);
    await this.clock.advance(0);
  }

  /** Lets go what is held, then lets time go on until nothing is left to do; false = something always is. */
  async finish(): Promise<boolean> {
    this.#desk.open();
    const isDone = () => this.isAtRest || this.row.parkedReason !== null;
    const isResting = await this.clock.runUntil(isDone, REST_MAX_MS);
    if (!isResting || this.#unheard === null) return isResting;
    // A provider sends an event again until it is taken.
    await this.#tellOfCapture(this.#unheard);
    await this.clock.advance(0);
    return this.clock.runUntil(isDone, REST_MAX_MS);
  }

  /** The node is gone; what it had in flight goes nowhere. */
  freeze(): Fixture {
    this.#node.kill();
    const { id, store, participants } = this;
    return { id, store, participants, now: this.clock.now(), idsGiven: this.#idsGiven, unheard: this.#unheard };
  }

  get row() {
    const row = this.store.row(this.id);
    if (row === null) throw new Error(`${this.id} was never created`);
    return row;
  }

  get isAtRest(): boolean {
    const { finishedAt, owner, wakeAt, signals, consumed } = this.row;
    return finishedAt !== null && owner === null && wakeAt === null && signals === consumed;
  }

  get isRunaway(): boolean {
    return this.#node.isRunaway;
  }

  get requirement(): Requirement {
    const requirement = this.participants.payments.find(this.id);
    if (requirement === null) throw new Error(`${this.id} has no payment request yet`);
    return requirement;
  }

  async #happen(letter: Letter | Prelude): Promise<void> {
    const { amount, currency, charges, captures, dueAt } = this.requirement;
    const attemptId = charges.at(-1)?.attemptId ?? "";
    const reference = `psr_${attemptId}`;
    const place = captures.length + 1;
    switch (letter) {
      case "success":
        return this.#capture({ attemptId, pspReference: reference, amount, currency });
      case "duplicate": {
        const [first] = captures.filter((capture) => capture.pspReference.startsWith("psr_att"));
        return this.#capture(first ?? { attemptId, pspReference: reference, amount, currency });
      }
      case "second":
        return this.#capture({ attemptId, pspReference: `psr_second_${place}`, amount, currency });
      case "other":
        return this.#capture({ attemptId, pspReference: `psr_other_${place}`, amount: amount + 1, currency });
      case "failed":
        this.participants.payments.decline(this.id, attemptId);
        return this.#tell({
          type: "payment_collection_requirement_failed",
          data: { ...this.#notice({ attemptId, pspReference: reference, amount, currency }), code: "DECLINED" },
        });
      case "deadline":
        return this.clock.advance(this.clock.now() < dueAt ? dueAt + SWEEP_MS - this.clock.now() : DEADLINE_MS);
      case "cancel":
        return this.#cancel();
      case "crash":
        return this.#crash();
      case "attempt":
        return this.#try(this.#node.orchestrator.attemptPayment({ ...ATTEMPT, executionContextId: this.id }));
      case "unheard":
        this.#unheard = { attemptId, pspReference: reference, amount, currency };
        return this.participants.payments.capture(this.id, this.#unheard);
      case "poll":
        return this.clock.advance(POLICY.paymentPollMs + SWEEP_MS);
    }
  }

  async #capture(captured: Captured): Promise<void> {
    this.participants.payments.capture(this.id, captured);
    await this.#tellOfCapture(captured);
  }

  #tellOfCapture(captured: Captured): Promise<void> {
    return this.#tell({ type: "payment_collection_requirement_success", data: this.#notice(captured) });
  }

  #notice({ attemptId, pspReference, amount, currency }: Captured): PaymentNotice {
    const eventId = `evt_${++this.#idsGiven}`;
    const occurredAt = new Date(this.clock.now()).toISOString();
    return { eventId, pcrId: this.requirement.pcrId, attemptId, pspReference, amount, currency, occurredAt };
  }

  /** By the door that every payment event takes. */
  async #tell(event: PaymentEvent): Promise<void> {
    await this.#node.orchestrator.receivePayment("provider", event);
  }

  /** What a client is answered is another test's matter; here it counts what becomes of the checkout. */
  async #try(call: Promise<unknown>): Promise<void> {
    call.catch((error: unknown) => {
      if (!EXPECTED_ANSWERS.has((error as { readonly code?: string }).code ?? "")) this.troubles.push(String(error));
    });
  }

  /** A node that looked a moment too early keeps the request all the same: the checkout itself has to refuse it. */
  async #cancel(): Promise<void> {
    const { orchestrator } = this.#node;
    await this.#try(orchestrator.cancel(this.id, 0));
    await this.clock.advance(0);
    const isNew = await this.store.receiveCommand("api", `${this.id}:cancel`, this.id, { type: "CANCEL" });
    if (isNew) await orchestrator.notify(this.id);
  }

  async #crash(): Promise<void> {
    this.#node.kill();
    this.#node = this.#newNode();
    void this.#node.orchestrator.start();
  }

  #newNode(): MortalNode {
    const record = (fields: Readonly<Record<string, unknown>>, message: string) =>
      void this.troubles.push(`${message}: ${String(fields["err"])}`);
    return new MortalNode({
      versions: oneVersion(MACHINE_HASH, machine),
      store: this.store,
      calls: new MemoryCalls(),
      rules: this.participants.services.rules,
      clock: this.clock,
      ids: this.#ids,
      log: { info: () => {}, warn: () => {}, error: record },
      policy: POLICY,
    });
  }

  readonly #ids: Ids = {
    next: (prefix: IdPrefix) => (prefix === "ctx" ? this.id : `${prefix}_${++this.#idsGiven}`),
    random: () => 0.5,
  };
}

const ATTEMPT = { idempotencyKey: "attempt", method: "CARD", instrumentId: "ins_async", waitMs: 0 };
const EXPECTED_ANSWERS = new Set(["NOT_CANCELLABLE", "RETRY_SCHEDULED"]);
