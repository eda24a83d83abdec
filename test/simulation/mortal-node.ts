/** A node that can be killed: it stops acting at once, and what it had in flight elsewhere goes on without it. */
import type { LockManager } from "../../locking/lock-manager.ts";
import type { Store } from "../../persistence/store.ts";
import { Orchestrator, type OrchestratorDeps } from "../../runtime/orchestrator.ts";
import { Counters } from "../../runtime/telemetry.ts";
import type { Clock } from "../../steps/ports.ts";

/** Far more than a node ever asks of its store in one instant: one that asks more goes round in a circle, and would for ever. */
const CALLS_AT_ONCE_MAX = 1_000;

export class MortalNode {
  readonly orchestrator: Orchestrator;
  #isDead = false;
  #callsAtOnce = { at: 0, count: 0 };

  constructor(deps: Omit<OrchestratorDeps, "locks" | "counters" | "answerFor" | "onEvents" | "residentMax" | "isExclusive">) {
    const isDead = () => this.#isDead;
    this.orchestrator = new Orchestrator({
      ...deps,
      store: mortalStore(deps.store, () => this.#isDead || this.#goesRound(deps.clock.now())),
      clock: mortalClock(deps.clock, isDead),
      locks: FREE_LOCKS,
      counters: new Counters(),
      answerFor: () => null,
      onEvents: () => {},
      residentMax: 1_000,
      // What an earlier node held is free at once.
      isExclusive: true,
    });
  }

  /** It was stopped for going round in a circle. */
  get isRunaway(): boolean {
    return this.#callsAtOnce.count > CALLS_AT_ONCE_MAX;
  }

  #goesRound(now: number): boolean {
    if (this.isRunaway) return true;
    if (this.#callsAtOnce.at !== now) this.#callsAtOnce = { at: now, count: 0 };
    this.#callsAtOnce.count++;
    return this.isRunaway;
  }

  /** From now on its timers don't ring and its store never answers; it learns nothing more and writes nothing. */
  kill(): void {
    this.#isDead = true;
  }
}

function mortalStore(store: Store, isDead: () => boolean): Store {
  const methods = new Map<PropertyKey, unknown>();
  return new Proxy(store, {
    get: (target, name) => {
      const known = methods.get(name);
      if (known !== undefined) return known;
      const call = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
      const mortal = async (...args: unknown[]) => {
        if (isDead()) return never();
        const result = await call.apply(target, args);
        return isDead() ? never() : result;
      };
      methods.set(name, mortal);
      return mortal;
    },
  });
}

function mortalClock(clock: Clock, isDead: () => boolean): Clock {
  return {
    now: () => clock.now(),
    monotonic: () => clock.monotonic(),
    after: (delayMs, run) =>
      clock.after(delayMs, () => {
        if (!isDead()) run();
      }),
  };
}

/** One for each call: a shared one would keep everything that ever waited for it. */
function never(): Promise<never> {
  return new Promise(() => {});
}

/** One checkout has nobody to wait for. */
const FREE_LOCKS: LockManager = {
  acquire: async (keys) => ({ kind: "acquired", tokens: Object.fromEntries(keys.map((key) => [key, 1])) }),
  renew: async () => true,
  release: async (keys) => keys.length,
  ping: async () => undefined,
  stop: async () => undefined,
};
