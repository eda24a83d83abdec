/** Whole nodes over a store in memory: their steps end, their rules agree and their checkouts are answered as the test says. */
import { checkoutMachine } from "../../machines/checkout.ts";
import type { Violation } from "../../machines/errors.ts";
import type { CheckoutView } from "../../machines/view.ts";
import type { Store, StoredAnswer } from "../../persistence/store.ts";
import { Orchestrator } from "../../runtime/orchestrator.ts";
import { Counters } from "../../runtime/telemetry.ts";
import type { InitiateCommand } from "../../runtime/initiation.ts";
import type { CheckoutRequest } from "../../steps/request.ts";
import { MemoryCalls } from "../simulation/memory-calls.ts";
import { MemoryLocks } from "../simulation/memory-locks.ts";
import { MemoryStore } from "../simulation/memory-store.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { newContext } from "../support/checkout-context.ts";
import { countingIds } from "../support/ports.ts";
import { handDriven, type RunningStep } from "./actor-desk.ts";
import { outcomeOf } from "./commands-desk.ts";
import { withStubs } from "./registry-desk.ts";
import { oneVersion } from "../support/versions.ts";

export const WAIT_MS = 2_000;
export const UNDONE: StoredAnswer = { status: 422, body: '{"code":"CANCELLED"}' };

export const REQUEST: CheckoutRequest = {
  cart: { cartId: "cart_1", version: 3 },
  user: { userId: "usr_1", cityId: "blr" },
  lineItems: [{ ref: "l1", sku: "SVC-AC-DEEP", quantity: 1, sellerId: "sel_1", paymentTiming: "NOW" }],
  payment: { method: "CARD", instrumentId: "ins_1" },
};

export const COMMAND: InitiateCommand = {
  caller: "shop",
  idempotencyKey: "key",
  requestHash: "hash",
  request: REQUEST,
  traceparent: "00-1-2-01",
  waitMs: WAIT_MS,
};

export interface NodeOptions {
  readonly residentMax?: number;
  readonly isExclusive?: boolean;
  readonly checkpointEvery?: number;
}

export function setup() {
  const clock = new VirtualClock();
  const store = new MemoryStore(clock);
  const locks = new MemoryLocks(clock);
  const calls = new MemoryCalls();
  const ids = countingIds();

  const node = ({ residentMax = 10, isExclusive = false, checkpointEvery }: NodeOptions = {}) => {
    const stubs: Partial<Store> = {};
    const steps: RunningStep[] = [];
    const counters = new Counters();
    const warnings: string[] = [];
    const controls = {
      check: async (): Promise<readonly Violation[]> => [],
      answerFor: (view: CheckoutView): StoredAnswer | null => (view.state === "ROLLEDBACK" ? UNDONE : null),
      events: 0,
    };
    const orchestrator = new Orchestrator({
      versions: oneVersion(
        "machine_hash",
        checkoutMachine.provide({
          actors: {
            resolveFeatureFlags: handDriven("resolveFeatureFlags", steps),
            createPaymentGroup: handDriven("createPaymentGroup", steps),
            acquireLocks: handDriven("acquireLocks", steps),
          },
        }),
      ),
      store: withStubs(store, stubs),
      calls,
      locks,
      rules: { check: () => controls.check() },
      clock,
      ids,
      log: { info: () => {}, warn: (_fields, message) => warnings.push(message), error: () => {} },
      counters,
      policy: newContext().policy,
      answerFor: (view) => controls.answerFor(view),
      onEvents: () => controls.events++,
      checkpointEvery,
      residentMax,
      isExclusive,
    });
    /** What a request comes to at once. */
    const ask = async (command: InitiateCommand) => {
      const outcome = outcomeOf(orchestrator.initiate(command));
      await clock.advance(0);
      return outcome;
    };
    return { orchestrator, ask, stubs, steps, counters, warnings, controls };
  };

  const started = async (options: NodeOptions = {}) => {
    const one = node(options);
    await one.orchestrator.start();
    return one;
  };
  const settle = () => clock.advance(0);
  return { clock, store, locks, node, started, settle };
}
