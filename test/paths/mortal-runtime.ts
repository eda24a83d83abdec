/**
 * A node's runtime as a walk needs it: the real registry and relay over ports at which it can die or stand still, and
 * steps that end when they are told to.
 */
import { fromPromise } from "xstate";
import { canonicalJson } from "../../machines/canonical-json.ts";
import { checkoutMachine, type CheckoutMachine } from "../../machines/checkout.ts";
import type { ActorLogics } from "../../machines/vocabulary.ts";
import type { Bus } from "../../messaging/bus.ts";
import type { Commit, PublicationMark, Store } from "../../persistence/store.ts";
import { ActorRegistry } from "../../runtime/actor-registry.ts";
import type { StampedEvent } from "../../runtime/engine.ts";
import { OutboxRelay } from "../../runtime/outbox-relay.ts";
import { Counters } from "../../runtime/telemetry.ts";
import type { Clock } from "../../steps/ports.ts";
import { Life } from "../simulation/life.ts";
import type { Chronicle } from "./chronicle.ts";
import type { Boundary } from "./interruptions.ts";
import { stepText, type Place } from "./places.ts";
import { errorOf, pathIds } from "./runner.ts";
import { oneVersion } from "../support/versions.ts";
import { SEEDED_HASH } from "./beds.ts";

export interface RuntimeWorld {
  readonly id: string;
  readonly store: Store;
  readonly clock: Clock;
  readonly chronicle: Chronicle;
  /** The place that the newest durable entry leads to. */
  readonly place: () => Place | undefined;
  /** Whoever took the checkout over last: nobody else may begin anything. */
  readonly newest: () => string;
  readonly onBoundary: (boundary: Boundary) => void;
}

interface RunningStep {
  readonly text: string;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const EVERY_SHARD = Array.from({ length: 16 }, (_, shard) => shard);
const NOTHING_WAITS = { pending: 0, parked: 0, oldestAt: null };

export class MortalRuntime {
  readonly life = new Life();
  readonly counters = new Counters();
  readonly registry: ActorRegistry;
  readonly store: Store;
  readonly #relay: OutboxRelay;
  readonly #startedAt = new Set<number>();
  /** The step in flight here. */
  running: RunningStep | null = null;

  constructor(
    readonly name: string,
    number: number,
    private readonly world: RuntimeWorld,
  ) {
    const { chronicle } = world;
    const clock = this.life.clock(world.clock);
    const log = { info: () => {}, warn: () => {}, error: (fields: object) => chronicle.breach(`${name}: ${reasonOf(fields)}`) };
    this.store = this.#mortal(world.store);
    const { counters, store } = this;
    const relayClock = { ...clock, after: (delayMs: number, run: () => void) => this.#soon(delayMs, run) };
    const lease = { nodeId: name, isHeld: () => true };
    const outbox = {
      // Who publishes what is another matter: here each node publishes all.
      claimShards: async () => EVERY_SHARD,
      backlog: async () => NOTHING_WAITS,
      unpublished: (shards: readonly number[], limit: number) => store.unpublished(shards, limit),
      markPublished: (marks: readonly PublicationMark[]) => store.markPublished(marks),
    };
    this.#relay = new OutboxRelay({ store: outbox, bus: this.#bus(), lease, clock: relayClock, log, counters, source: "/paths" });
    this.registry = new ActorRegistry({
      versions: oneVersion(
        SEEDED_HASH,
        scriptedMachine(number, (src, input, signal) => this.#start(stepText(src, input), signal)),
      ),
      store,
      clock,
      ids: pathIds(name),
      log,
      counters,
      lease,
      lockKeeper: { hold: async () => ({}), release: async () => {} },
      answerFor: () => null,
      callHolder: async () => {},
      onEvents: () => this.#relay.kick(),
    });
    this.registry.audience.watch(({ entry }) => {
      if (entry.seq > chronicle.seq) chronicle.breach(`entry ${entry.seq} was announced before its commit`);
      if (world.newest() !== name) chronicle.breach(`entry ${entry.seq} was announced by ${name}, which had been overtaken`);
    });
    this.#relay.start();
  }

  /** Ends the running step as that event says. */
  end({ type, output, error }: StampedEvent): void {
    const { running } = this;
    this.running = null;
    if (running === null) return this.world.chronicle.breach(`${type}: no step runs on ${this.name}`);
    if (type.startsWith("xstate.done.actor.")) running.resolve(output);
    else running.reject(errorOf(error as Parameters<typeof errorOf>[0]));
  }

  #start(text: string, signal: AbortSignal): Promise<unknown> {
    const { chronicle, place, newest } = this.world;
    const { seq } = chronicle;
    if (newest() !== this.name) chronicle.breach(`${text} was started by ${this.name}, which had been overtaken`);
    if (text !== place()?.step) chronicle.breach(`${text} acts at entry ${seq}, which asks for ${place()?.step}`);
    if (this.#startedAt.has(seq)) chronicle.breach(`${text} was started twice by one node at entry ${seq}`);
    this.#startedAt.add(seq);
    return new Promise((resolve, reject) => {
      const step = { text, resolve, reject };
      this.running = step;
      signal.addEventListener("abort", () => void (this.running === step && (this.running = null)));
    });
  }

  #mortal(store: Store): Store {
    const { chronicle, onBoundary } = this.world;
    const methods = new Map<PropertyKey, unknown>();
    const commit = async (batch: readonly Commit[]) => {
      onBoundary("before commit");
      await this.life.turn();
      const results = await chronicle.track(
        store.commit(batch).then((answers) => {
          for (const [index, one] of batch.entries()) chronicle.applied(one, answers[index]);
          return answers;
        }),
      );
      onBoundary("after commit");
      await this.life.turn();
      return results;
    };
    methods.set("commit", commit);
    methods.set("load", async (id: string) => {
      await this.life.turn();
      const stored = await chronicle.track(store.load(id));
      if (stored !== null) chronicle.fence = Math.max(chronicle.fence, stored.fence);
      await this.life.turn();
      return stored;
    });
    return new Proxy(store, {
      get: (target, name) => {
        const known = methods.get(name);
        if (known !== undefined) return known;
        const call = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
        const mortal = async (...args: unknown[]) => {
          await this.life.turn();
          const result = await chronicle.track(call.apply(target, args));
          await this.life.turn();
          return result;
        };
        methods.set(name, mortal);
        return mortal;
      },
    });
  }

  #bus(): Bus {
    const { chronicle, onBoundary } = this.world;
    return {
      publish: async (event) => {
        onBoundary("before publish");
        await this.life.turn();
        chronicle.published(event);
        onBoundary("after publish");
        await this.life.turn();
      },
      ping: async () => {},
      stop: async () => {},
    };
  }

  /** A relay that was kicked while it ended runs again at once; its sweeps, which find nothing more, never come. */
  #soon(delayMs: number, run: () => void): () => void {
    let isCancelled = delayMs > 0;
    queueMicrotask(() => {
      if (!isCancelled && this.life.isActing) run();
    });
    return () => {
      isCancelled = true;
    };
  }
}

function reasonOf(fields: object): string {
  const { err } = fields as { readonly err?: unknown };
  return err instanceof Error ? err.message : canonicalJson(fields);
}

type Start = (src: string, input: unknown, signal: AbortSignal) => Promise<unknown>;

interface ScriptedMachine {
  readonly machine: CheckoutMachine;
  start: Start;
}

/** To build a machine takes longer than many a walk, so nodes take turns with two: of no more than two, both act. */
const machines = new Map<number, ScriptedMachine>();

function scriptedMachine(number: number, start: Start): CheckoutMachine {
  const slot = machines.get(number % 2) ?? newMachine(start);
  machines.set(number % 2, slot);
  slot.start = start;
  return slot.machine;
}

function newMachine(start: Start): ScriptedMachine {
  const names = Object.keys(checkoutMachine.implementations.actors);
  const act = (src: string, input: unknown, signal: AbortSignal): Promise<unknown> => slot.start(src, input, signal);
  const logics = names.map((name) => [name, fromPromise(({ input, signal }) => act(name, input, signal))]);
  const slot: ScriptedMachine = {
    machine: checkoutMachine.provide({ actors: Object.fromEntries(logics) as ActorLogics }),
    start,
  };
  return slot;
}
