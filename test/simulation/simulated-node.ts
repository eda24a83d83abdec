/** One node of the product: the real orchestrator and relay over ports that fail. It can be killed, and stand still for a while. */
import { acquireLocks } from "../../runtime/acquire-locks.ts";
import { checkoutMachine, type CheckoutMachine } from "../../machines/checkout.ts";
import type { JournalEntry } from "../../persistence/store.ts";
import type { ActorName } from "../../machines/step-inputs.ts";
import { Orchestrator } from "../../runtime/orchestrator.ts";
import { OutboxRelay } from "../../runtime/outbox-relay.ts";
import { StoreClock } from "../../runtime/store-clock.ts";
import { Counters } from "../../runtime/telemetry.ts";
import { answerFor } from "../../server/answer.ts";
import { checkoutActors, checkoutExecutions, type Executions } from "../../steps/actors.ts";
import type { CheckoutRequest } from "../../steps/request.ts";
import type { CheckoutServices } from "../../steps/services.ts";
import { Life } from "./life.ts";
import type { NodeWorld } from "./node-world.ts";
import type { Plant } from "./plant.ts";
import { unreliable, type Way } from "./unreliable.ts";
import { oneVersion } from "../support/versions.ts";
import { MACHINE_HASH } from "../../machines/version.ts";

/** Journals here are short: so there is one in the middle of most. */
const CHECKPOINT_EVERY = 7;
const OFFSET_MAX_MS = 600_000;
/** One way. */
const LOOK_MAX_MS = 40;

export interface NodeEvents {
  readonly trace: (what: () => string) => void;
  readonly onKill: (node: SimulatedNode) => void;
  readonly onPause: (node: SimulatedNode) => void;
}

export class SimulatedNode {
  readonly life = new Life();
  readonly counters = new Counters();
  readonly orchestrator: Orchestrator;
  readonly #clock: StoreClock;
  readonly #relay: OutboxRelay;

  constructor(
    readonly name: string,
    /** No two nodes of a run have the same. */
    place: number,
    world: NodeWorld,
    events: NodeEvents,
    plant: Plant,
  ) {
    const { life, counters } = this;
    const { faults, traffic, ids, log, policy, isExclusive } = world;
    this.#clock = clockOf(world, life);
    const clock = this.#clock;
    const way = {
      faults,
      traffic,
      life,
      clock: world.clock,
      node: name,
      onKill: () => events.onKill(this),
      onPause: () => events.onPause(this),
    };
    const reached = unreliable(world.store, { ...way, site: "store", port: "store" });
    const store = plant.store?.(reached) ?? reached;
    const services = unreliableServices(world.services, { ...way, site: "participant" });
    const requests = { load: async (id: string) => (await store.loadRequest(id)) as CheckoutRequest };
    const real = checkoutExecutions({ services, requests, clock }, (input, signal) =>
      acquireLocks(store, this.orchestrator.locks)(input, signal),
    );
    const executions = plant.executions?.(real) ?? real;
    this.orchestrator = new Orchestrator({
      versions: oneVersion(MACHINE_HASH, machineOf(place, plant.machine ?? checkoutMachine, executions)),
      store,
      calls: {
        call: (id) => world.calls.call(id),
        listen: (heard) => world.calls.listen((id) => void life.turn().then(() => heard(id))),
      },
      locks: world.locks,
      rules: services.rules,
      clock,
      ids,
      log,
      counters,
      policy,
      answerFor,
      onEvents: () => this.#relay.kick(),
      checkpointEvery: CHECKPOINT_EVERY,
      residentMax: 1_000,
      isExclusive,
    });
    this.#relay = new OutboxRelay({
      store,
      bus: world.openBus(life),
      lease: this.orchestrator.node,
      clock,
      log,
      counters,
      source: "/simulation",
    });
    this.orchestrator.watch(({ executionContextId, entry }) =>
      events.trace(() => `${executionContextId} #${entry.seq} ${brief(entry.event.type)}: ${wayOf(entry)}`),
    );
  }

  /** Rejects when the store can't be reached: then the process ends. */
  async start(): Promise<void> {
    await this.#clock.start();
    await this.orchestrator.start();
    this.#relay.start();
  }
}

/** Of every other machine the clock is minutes wrong. Its way to the database is slow at times, and no other faults strike on it. */
function clockOf({ clock, clocks, store, log }: NodeWorld, life: Life): StoreClock {
  const own = life.clock(clock);
  const offsetMs = clocks() < 0.5 ? 0 : (2 * clocks() - 1) * OFFSET_MAX_MS;
  const travel = () => new Promise<void>((resume) => own.after(clocks() * LOOK_MAX_MS, resume));
  const now = async () => {
    await travel();
    const told = await store.now();
    await travel();
    return told;
  };
  return new StoreClock({ store: { now }, clock: { ...own, now: () => own.now() + offsetMs }, log });
}

/** Where it led; of what stayed where it was, what it left. */
function wayOf({ from, to, event }: JournalEntry): string {
  const { pspReference } = (event["data"] ?? {}) as { readonly pspReference?: string };
  const capture = pspReference === undefined ? "" : ` (${pspReference})`;
  return from === to ? `stays in ${brief(to)}${capture}` : `${brief(from ?? "")} -> ${brief(to)}${capture}`;
}

/** Names as people say them. */
function brief(name: string): string {
  return name
    .replace(/^xstate\.done\.actor\.(.*)$/, "$1 is done")
    .replace(/^xstate\.error\.actor\.(.*)$/, "$1 failed")
    .replace(/^xstate\.after\.(\w+)\..*$/, "$1 is over")
    .replace(/^PROCESSING\./, "")
    .replace(/^payment_collection_requirement_/, "payment ");
}

function unreliableServices(services: CheckoutServices, way: Omit<Way, "port">): CheckoutServices {
  const wrapped = Object.entries(services).map(([name, service]) => [
    name,
    unreliable(service as object, { ...way, port: name }),
  ]);
  return Object.fromEntries(wrapped) as CheckoutServices;
}

/** To build a machine takes longer than many runs need, so each place has one, whose steps are those of its last node. */
const machines = new Map<CheckoutMachine, { readonly machine: CheckoutMachine; executions: Executions }[]>();

function machineOf(place: number, base: CheckoutMachine, executions: Executions): CheckoutMachine {
  const slots = machines.get(base) ?? [];
  machines.set(base, slots);
  const known = slots[place];
  if (known !== undefined) {
    known.executions = executions;
    return known.machine;
  }
  const names = Object.keys(executions) as ActorName[];
  const current = names.map((name) => {
    const run = (input: unknown, signal: AbortSignal) =>
      (slot.executions[name] as (input: unknown, signal: AbortSignal) => Promise<unknown>)(input, signal);
    return [name, run];
  });
  const actors = checkoutActors(Object.fromEntries(current) as Executions);
  const slot = { machine: base.provide({ actors }), executions };
  slots[place] = slot;
  return slot.machine;
}
