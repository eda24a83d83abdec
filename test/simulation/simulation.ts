/**
 * One run: several nodes of the real orchestrator over faulty ports, shoppers, and a provider, in virtual time, all drawn
 * from one seed. First everything may go wrong; then faults end, and everything has to come to rest.
 */
import type { CheckoutPolicy } from "../../machines/context.ts";
import type { PaymentNewsEvent } from "../../machines/events.ts";
import { NatsBus } from "../../messaging/nats-bus.ts";
import type { Store } from "../../persistence/store.ts";
import type { Chance } from "../support/chance.ts";
import type { CheckoutServices } from "../../steps/services.ts";
import type { IdPrefix, Ids } from "../../steps/ports.ts";
import { datedAhead } from "./clock-watch.ts";
import { EffectBook } from "./effect-book.ts";
import { FakeParticipants } from "./fake-participants.ts";
import { FakePayments } from "./fake-payments.ts";
import { Faults, type FaultKind } from "./faults.ts";
import { MemoryCalls } from "./memory-calls.ts";
import { MemoryLocks } from "./memory-locks.ts";
import { MemoryStore } from "./memory-store.ts";
import { Operator } from "./operator.ts";
import type { NodeWorld } from "./node-world.ts";
import type { Plant } from "./plant.ts";
import { SimulatedProvider } from "./provider.ts";
import { describe, drawScenario, streamOf, type Scenario } from "./scenario.ts";
import { Shopper } from "./shopper.ts";
import { SimulatedBroker } from "./simulated-broker.ts";
import { SimulatedNode } from "./simulated-node.ts";
import { Traffic } from "./traffic.ts";
import { notAskedYet } from "./undo-watch.ts";
import { VirtualClock } from "./virtual-clock.ts";

export interface SimulationOptions {
  /** Changes what the seed says, to find out how little of it is needed. */
  readonly scenario?: Scenario;
  /** Numbers of faults that are left out. */
  readonly leftOut?: ReadonlySet<number>;
  readonly trace?: (line: string) => void;
  /** A bug that is planted between the product and its ports. */
  readonly plant?: Plant;
  /** In virtual time: what has not come to rest so long after the last fault never does. */
  readonly restMaxMs?: number;
}

const POLICY: CheckoutPolicy = {
  stepRetryMax: 5,
  stepRetryBudgetMs: 60_000,
  undoRetryMax: 2,
  paymentDeadlineMs: 20_000,
  paymentAttemptsMax: 3,
  paymentPollMs: 8_000,
};
const RESTART_MAX_MS = 8_000;
const PAUSE_MAX_MS = 25_000;
const RESEND_MS = 1_000;
const CALL_MAX_MS = 40;
const CALLS_LOST = 0.3;
const DELIVERY_MAX_MS = 5_000;
/** After faults ended: refunds that the bank sent back wait the longest. */
const REST_MAX_MS = 2 * 3_600_000;

export class Simulation {
  readonly clock = new VirtualClock();
  readonly store = new MemoryStore(this.clock);
  readonly participants: FakeParticipants;
  readonly broker: SimulatedBroker;
  readonly faults: Faults;
  readonly shoppers: readonly Shopper[];
  /** All that ever lived, the dead ones too. */
  readonly nodes: SimulatedNode[] = [];
  /** What nobody may ever see: errors that the product logged, and what shoppers complain about. */
  readonly troubles: string[] = [];
  /** What shoppers and the provider were told, by kind. */
  readonly happened = new Map<string, number>();
  readonly scenario: Scenario;
  readonly provider: SimulatedProvider;
  readonly #locks = new MemoryLocks(this.clock);
  readonly #traffic = new Traffic();
  readonly #operator: Operator | null = null;
  readonly #world: NodeWorld;
  readonly #chance: Chance;
  readonly #began = this.clock.now();
  #idsGiven = 0;

  constructor(
    readonly seed: number,
    private readonly options: SimulationOptions = {},
  ) {
    const { clock, store } = this;
    this.scenario = options.scenario ?? drawScenario(seed);
    this.#chance = streamOf(seed, "world");
    this.faults = new Faults(this.scenario.rates, streamOf(seed, "faults"), options.leftOut ?? new Set(), (kind, number, where) =>
      this.#trace(() => `fault ${number}: ${kind} ${where}`),
    );
    this.provider = new SimulatedProvider({
      clock,
      faults: this.faults,
      payments: () => this.participants.payments,
      deliver: (event) => this.#deliver(event),
      paymentDeadlineMs: POLICY.paymentDeadlineMs,
      trace: this.#trace,
    });
    this.participants = new FakeParticipants(clock, new EffectBook(), new FakePayments(new Map(), this.provider));
    this.broker = new SimulatedBroker(clock, this.faults, streamOf(seed, "late publications"));
    const { services } = this.participants;
    const plain = this.#plainWorld(store, services);
    this.#world = options.plant?.ports?.(plain) ?? plain;
    const world = {
      clock,
      anyNode: () => this.#anyNode(),
      trace: this.#trace,
      count: (what: string) => this.count(what),
      complain: (what: string) => void this.troubles.push(what),
    };
    const findCheckout = (key: string) => this.store.rows.find(({ idempotencyKey }) => idempotencyKey === key)?.id ?? null;
    this.shoppers = this.scenario.shoppers.map((plan) => new Shopper(plan, { ...world, findCheckout }));
    const { operatorAfterMs } = this.scenario;
    if (operatorAfterMs !== null) {
      this.#operator = new Operator({ ...world, participants: this.participants, traffic: this.#traffic }, operatorAfterMs);
    }
  }

  /** True once all is at rest; false when it never comes to it. */
  async run(): Promise<boolean> {
    for (const line of describe(this.scenario)) this.#trace(() => line);
    for (let count = 0; count < this.scenario.nodes; count++) this.#startNode();
    for (const shopper of this.shoppers) void shopper.shop();
    await this.clock.advance(this.scenario.faultsEndMs);
    this.#trace(() => "no more faults");
    this.faults.end();
    this.#traffic.endOutages();
    this.broker.endOutages();
    for (const { life } of this.nodes) life.resume();
    return this.clock.runUntil(() => this.#isAtRest(), this.options.restMaxMs ?? REST_MAX_MS);
  }

  count(what: string): void {
    this.happened.set(what, (this.happened.get(what) ?? 0) + 1);
  }

  get virtualMs(): number {
    return this.clock.now() - this.#began;
  }

  readonly #trace = (what: () => string): void => {
    if (this.options.trace === undefined) return;
    this.options.trace(`${(this.virtualMs / 1_000).toFixed(3).padStart(9)} ${what()}`);
  };

  #plainWorld(store: Store, services: CheckoutServices): NodeWorld {
    const { clock, broker, faults } = this;
    const tell = (fields: Readonly<Record<string, unknown>>, message: string) => {
      const { executionContextId = "", err = "" } = fields as { readonly executionContextId?: string; readonly err?: Error };
      this.#trace(() => `${message} ${executionContextId} ${String(err)}`);
    };
    const locks = new Proxy(this.#locks, {
      get: (target, name) => {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== "function") return member;
        return async (...args: unknown[]) => {
          if (faults.strikes("locks: flushed")) target.forgetAll();
          if (faults.strikes("locks: down")) throw new Error("The lock service does not answer.");
          return member.apply(target, args) as unknown;
        };
      },
    });
    const calls = streamOf(this.seed, "calls");
    return {
      store,
      // Some are lost: whoever runs a checkout looks for what it wasn't called for.
      calls: new MemoryCalls(() => this.#wait(calls() * CALL_MAX_MS).then(() => calls() >= CALLS_LOST)),
      services,
      locks,
      openBus: (life) => new NatsBus(broker.link(life)),
      clock,
      clocks: streamOf(this.seed, "clocks"),
      ids: this.#ids,
      log: { info: () => {}, warn: tell, error: tell },
      policy: POLICY,
      // An embedded database has one process: what an earlier one held is free at once.
      isExclusive: this.scenario.nodes === 1,
      faults,
      traffic: this.#traffic,
    };
  }

  readonly #ids: Ids = {
    next: (prefix: IdPrefix) => `${prefix}_${++this.#idsGiven}`,
    random: () => this.#chance(),
  };

  #startNode(): void {
    const place = this.nodes.length;
    const name = `node ${place + 1}`;
    const events = {
      trace: this.#trace,
      onKill: (node: SimulatedNode) => this.#kill(node),
      onPause: (node: SimulatedNode) => this.#pause(node),
    };
    const node = new SimulatedNode(name, place, this.#world, events, this.options.plant ?? {});
    this.nodes.push(node);
    node.orchestrator.watch((notice) => {
      const troubles = [notAskedYet(notice, this.participants.effects), datedAhead(notice, this.clock.now())];
      this.troubles.push(...troubles.filter((trouble) => trouble !== null));
      this.#operator?.hear(notice);
    });
    this.#trace(() => `${name} starts`);
    node.start().catch(() => this.#kill(node));
  }

  #kill(node: SimulatedNode): void {
    if (node.life.isDead) return;
    this.#trace(() => `${node.name} dies`);
    node.life.kill();
    this.clock.after(this.#chance() * RESTART_MAX_MS, () => this.#startNode());
  }

  #pause(node: SimulatedNode): void {
    // An embedded node's database stands still with it.
    if (!node.life.isActing || this.scenario.nodes === 1) return;
    this.#trace(() => `${node.name} stands still`);
    node.life.pause();
    this.clock.after(this.#chance() * PAUSE_MAX_MS, () => {
      this.#trace(() => `${node.name} goes on`);
      node.life.resume();
    });
  }

  #anyNode(): SimulatedNode | null {
    const acting = this.nodes.filter(({ life }) => life.isActing);
    return acting[Math.floor(this.#chance() * acting.length)] ?? null;
  }

  /** As a provider does: again, until somebody has it for good. */
  async #deliver(event: PaymentNewsEvent): Promise<void> {
    for (;;) {
      const node = this.#anyNode();
      if (node !== null) {
        this.#trace(() => `${event.type} ${event.data.eventId} (${event.data.pspReference}) to ${node.name}`);
        const receipt = node.orchestrator.receivePayment("provider", event).then(
          ({ isNew, contextId }) => {
            this.count(!isNew ? "event heard before" : contextId === null ? "event before its payment request" : "event");
            return true;
          },
          () => false,
        );
        if (await Promise.race([receipt, this.#wait(DELIVERY_MAX_MS).then(() => false)])) return;
      }
      await this.#wait(RESEND_MS);
    }
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resume) => this.clock.after(ms, resume));
  }

  #isAtRest(): boolean {
    if (this.provider.outstanding > 0 || (this.#operator?.outstanding ?? 0) > 0) return false;
    if (this.shoppers.some(({ isDone }) => !isDone)) return false;
    return this.store.isAtRest();
  }

  /** So often each kind of fault struck. */
  get struck(): ReadonlyMap<FaultKind, number> {
    return this.faults.counts;
  }
}
