/**
 * Runs paths on the real runtime over a real store: real actors, commits, claims, passivation and revival. Only
 * the steps are scripted (they end as the path says) and time jumps. Afterwards the journal is folded again, and
 * every state that it holds is compared with the model's.
 */
import { fromPromise } from "xstate";
import { canonicalJson } from "../../machines/canonical-json.ts";
import { checkoutMachine, type CheckoutMachine } from "../../machines/checkout.ts";
import { TerminalError, TransientError, type StepFailure } from "../../machines/errors.ts";
import type { ActorLogics } from "../../machines/vocabulary.ts";
import { EVENT_SOURCE } from "../../messaging/subjects.ts";
import type { JournaledEvent, JournalEntry, PublishedEvent, Store } from "../../persistence/store.ts";
import { ActorRegistry } from "../../runtime/actor-registry.ts";
import {
  begin,
  decide,
  hashContext,
  statePath,
  type CheckoutSnapshot,
  type StampedEvent,
  type Timers,
} from "../../runtime/engine.ts";
import { toCloudEvent } from "../../runtime/publication.ts";
import { Counters } from "../../runtime/telemetry.ts";
import { orderBreaches } from "../../scripts/invariants/events.ts";
import type { Ids } from "../../steps/ports.ts";
import { modelInput, type Alphabet } from "../../scripts/reachable/alphabet.ts";
import { stateKey } from "../../scripts/reachable/keys.ts";
import { misfitOf } from "../support/misfit.ts";
import { NODE, SEEDED_HASH, type PathBed } from "./beds.ts";
import { eventOfKey, initialKey, targetOf, type Path } from "./generate.ts";
import type { Graph } from "./model.ts";
import { WalkClock } from "./walk-clock.ts";
import { oneVersion } from "../support/versions.ts";

/** What their step answers is what they say, and a scripted step answers nothing; the simulation's answer in earnest. */
const SCRIPTED: ReadonlySet<string> = new Set(["line_items_updated", "line_items_confirmed"]);

const CONCURRENT_PATHS = 96;
const STEP_TIME_MAX_MS = 20_000;

export interface RunReport {
  readonly paths: number;
  readonly events: number;
  /** States of the model's graph that were compared with a durable one, and edges by which they were left. */
  readonly states: number;
  readonly edges: number;
}

/** Runs all paths; throws at the first difference, naming the path. */
export async function runPaths(
  { store, seed }: PathBed,
  graph: Graph,
  alphabet: Alphabet,
  paths: readonly Path[],
): Promise<RunReport> {
  const queue = paths.map((path, index) => ({ path, id: `ctx_path_${String(index).padStart(6, "0")}` }));
  await seed(queue.map(({ id }) => ({ id, snapshot: begin(checkoutMachine, inputOf(alphabet, id)) })));
  const states = new Set<string>();
  const edges = new Set<string>();
  let events = 0;
  const worker = async () => {
    const scripted = scriptedMachine();
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      const { path, id } = next;
      try {
        const keys = await new PathRun(store, graph, alphabet, id, scripted).walk(path);
        for (const key of keys) states.add(key);
        for (const [index, name] of path.entries()) edges.add(`${keys[index]} ${name}`);
      } catch (error) {
        throw new Error(`On the path ${JSON.stringify(path)}`, { cause: error });
      }
      events += path.length;
    }
  };
  await Promise.all(Array.from({ length: CONCURRENT_PATHS }, worker));
  return { paths: paths.length, events, states: states.size, edges: edges.size };
}

export function inputOf({ retries }: Alphabet, executionContextId: string) {
  return { ...modelInput(retries), executionContextId };
}

type Outcome = { readonly resolve: (output: unknown) => void; readonly reject: (error: unknown) => void };

interface ScriptedMachine {
  readonly machine: CheckoutMachine;
  /** The step that runs, of the one path that has this machine. */
  running: Outcome | null;
}

/** For one path after another: to build a machine takes longer than many of their events. */
function scriptedMachine(): ScriptedMachine {
  const names = Object.keys(checkoutMachine.implementations.actors);
  const logic = fromPromise(() => new Promise((resolve, reject) => (scripted.running = { resolve, reject })));
  const actors = Object.fromEntries(names.map((name) => [name, logic])) as unknown as ActorLogics;
  const scripted: ScriptedMachine = { machine: checkoutMachine.provide({ actors }), running: null };
  return scripted;
}

/** One checkout, driven event by event. What it commits is folded as it comes, and read back at the end. */
class PathRun {
  private readonly clock = new WalkClock();
  private readonly registry: ActorRegistry;
  private readonly entries: JournalEntry[] = [];
  private committed: () => void = () => {};
  private fail: (error: unknown) => void = () => {};
  private snapshot: CheckoutSnapshot;
  private timers: Timers = {};
  private readonly emitted: string[] = [];

  constructor(
    private readonly store: Store,
    private readonly graph: Graph,
    private readonly alphabet: Alphabet,
    private readonly id: string,
    private readonly scripted: ScriptedMachine,
  ) {
    scripted.running = null;
    this.snapshot = begin(checkoutMachine, inputOf(alphabet, id));
    this.registry = new ActorRegistry({
      versions: oneVersion(SEEDED_HASH, scripted.machine),
      store,
      clock: this.clock,
      ids: pathIds(id),
      log: { info: () => {}, warn: () => {}, error: (fields) => this.fail(fields["err"]) },
      counters: new Counters(),
      lease: { nodeId: NODE, isHeld: () => true },
      lockKeeper: { hold: async () => ({}), release: async () => {} },
      answerFor: () => null,
      callHolder: async () => {},
      onEvents: () => {},
    });
    this.registry.audience.watch(({ entry }) => {
      this.entries.push(entry);
      this.committed();
    });
  }

  /** The keys of the states that it went through. */
  async walk(path: Path): Promise<readonly string[]> {
    let key = initialKey(this.graph);
    const keys = [key];
    for (const [index, name] of path.entries()) {
      const committed = this.nextCommit(index, name);
      // The first event is START; a checkout that was created and never started gets it when it is adopted.
      if (index === 0) await this.registry.adopt(this.id);
      else await this.send(eventOfKey(this.snapshot, this.alphabet, name), index);
      await committed;
      key = targetOf(this.graph, key, name);
      keys.push(key);
      this.fold(index, key);
    }
    this.registry.haltAll();
    const stored = await this.store.history(this.id, 1, path.length + 1);
    if (canonicalJson(stored) !== canonicalJson(this.entries)) throw new Error("The stored journal is not what was committed");
    this.checkOutbox(await this.store.events(this.id));
    return keys;
  }

  private async send(event: StampedEvent, index: number): Promise<void> {
    const { type } = event;
    if (type.startsWith("xstate.done.actor.")) return this.taken().resolve(event["output"]);
    if (type.startsWith("xstate.error.actor.")) return this.taken().reject(errorOf(event["error"] as StepFailure));
    if (type.startsWith("xstate.after.")) {
      this.clock.jump();
      const actor = await this.registry.actorOf(this.id);
      actor?.tell({ kind: "timer", id: type });
    } else {
      await this.store.receiveCommand("paths", `${this.id}:${index}`, this.id, withoutStamp(event));
      await this.registry.notify(this.id);
    }
  }

  private taken(): Outcome {
    const { running } = this.scripted;
    if (running === null) throw new Error(`No step runs in ${JSON.stringify(this.snapshot.value)}`);
    this.scripted.running = null;
    return running;
  }

  /** The committed entry, folded, must be where the model is. */
  private fold(index: number, key: string): void {
    const entry = this.entries[index];
    if (entry === undefined) throw new Error(`Entry ${index} was not committed`);
    const { snapshot, timers, emitted } = decide(checkoutMachine, this.snapshot, this.timers, entry.event as StampedEvent);
    this.emitted.push(...emitted.map(({ type }) => type));
    this.snapshot = snapshot;
    this.timers = timers;
    const isEqual = entry.seq === index + 2 && entry.to === statePath(snapshot) && entry.contextHash === hashContext(snapshot);
    if (!isEqual || stateKey(snapshot) !== key)
      throw new Error(`${entry.event.type} led to ${entry.to}, ${stateKey(snapshot)}; the model says ${key}`);
  }

  /** What the fold says was told, in that order; and what holds of the events at any moment. */
  private checkOutbox(published: readonly PublishedEvent[]): void {
    const told = published.map(({ type }) => type).join();
    if (told !== this.emitted.join()) throw new Error(`The outbox has ${told}; the fold says ${this.emitted.join()}`);
    const unscripted = published.filter(({ type }) => !SCRIPTED.has(type)).map((event) => toCloudEvent(event, EVENT_SOURCE));
    const breaches = [...orderBreaches(published), ...unscripted.flatMap((event) => misfitOf(event) ?? [])];
    if (breaches.length > 0) throw new Error(`${breaches.join("; ")}: ${told}`);
  }

  private nextCommit(index: number, name: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`${name} was not committed`)), STEP_TIME_MAX_MS);
      const settle = (then: () => void) => {
        clearTimeout(late);
        then();
      };
      this.committed = () => {
        if (this.entries.length === index + 1) settle(resolve);
      };
      this.fail = (error) => settle(() => reject(error));
    });
  }
}

export function pathIds(id: string): Ids {
  let count = 0;
  return { next: (prefix) => `${prefix}_${id}_${++count}`, random: () => 0.5 };
}

export function errorOf({ class: kind, code, message }: StepFailure): Error {
  return kind === "TRANSIENT" ? new TransientError(code, message) : new TerminalError(code, message);
}

export function withoutStamp(event: StampedEvent): JournaledEvent {
  return Object.fromEntries(Object.entries(event).filter(([name]) => name !== "at")) as JournaledEvent;
}
