/** One run: from a seed to what was wrong in it. */
import { subjectOf } from "../../messaging/subjects.ts";
import { seededChance } from "../support/chance.ts";
import { VirtualClock } from "../simulation/virtual-clock.ts";
import { SimulatedBucket } from "./simulated-bucket.ts";
import { SimulatedConsumer } from "./simulated-consumer.ts";
import { SimulatedDatabase } from "./simulated-database.ts";
import { Faults } from "./simulated-faults.ts";
import { Ledger } from "./simulated-ledger.ts";
import { SimulatedProcess, type Plant, type World } from "./simulated-process.ts";
import { drawScenario, FAULTS_MS } from "./simulated-scenario.ts";
import { breachesOf, hasCome } from "./simulated-verdict.ts";

/** A poisoned event's attempts, a lost message's wait, and a process that stands still are over long before. */
const REST_MAX_MS = 400_000;
/** What is at rest stays so. */
const CALM_MS = 30_000;
const LOOK_MS = 500;
const STOP_MAX_MS = 120_000;
const RESTART_MAX_MS = 15_000;
const encoder = new TextEncoder();

export interface Report {
  readonly breaches: readonly string[];
  readonly world: World;
}

export interface RunOptions {
  readonly plant?: () => Plant;
  readonly trace?: ((line: string) => void) | null;
}

export async function runSubscribers(seed: number, { plant = () => ({}), trace = null }: RunOptions = {}): Promise<Report> {
  const crew = new Crew(
    worldOf(seed, () => crew.running, trace),
    plant,
  );
  const { world } = crew;
  const { clock, faults, bucket, consumer, scenario, ledger } = world;
  publishAll(world);
  for (let number = 1; number <= scenario.processes; number++) crew.start();
  await clock.advance(FAULTS_MS);
  ledger.note("faults end");
  faults.end();
  bucket.endOutages();
  const isRested = await clock.runUntil(restOf(world), REST_MAX_MS);
  if (isRested) await clock.advance(CALM_MS);
  ledger.note("stopped");
  const isIdle = await crew.end();
  const breaches = [...ledger.breaches, ...breachesOf(world)];
  if (!isRested) breaches.push(`did not come to rest: ${consumer.unacknowledged.size} are not acknowledged`);
  if (!isIdle) breaches.push("something still rings after every process was stopped");
  for (const breach of breaches) ledger.note(`BREACH ${breach}`);
  return { breaches, world };
}

/** Once it is at rest, it is; before, it is looked at now and then: that takes longer than most of what happens in between. */
function restOf(world: World): () => boolean {
  let [isRested, lookAtMs] = [false, 0];
  return () => {
    const now = world.clock.monotonic();
    if (isRested || now < lookAtMs) return isRested;
    lookAtMs = now + LOOK_MS;
    return (isRested = hasCome(world));
  };
}

function worldOf(seed: number, members: () => readonly SimulatedProcess[], trace: ((line: string) => void) | null): World {
  const chance = seededChance(seed);
  const faults = new Faults(chance);
  const scenario = drawScenario(chance, faults);
  const clock = new VirtualClock();
  const planned = [...scenario.checkouts.values()].flat().map((event) => [event.event.id, event] as const);
  return {
    scenario,
    planned: new Map(planned),
    clock,
    faults,
    bucket: new SimulatedBucket(clock, faults),
    consumer: new SimulatedConsumer(clock, scenario.interest.filter, scenario.limits.ackWaitMs ?? 0),
    database: new SimulatedDatabase(),
    ledger: new Ledger(clock, members, trace),
  };
}

function publishAll({ clock, consumer, planned, scenario, ledger }: World): void {
  const publish = (subject: string, text: string, what: string) => {
    ledger.note(`published ${what}`);
    consumer.publish(subject, encoder.encode(text));
  };
  for (const { event, publishedAtMs } of planned.values()) {
    for (const atMs of publishedAtMs) clock.after(atMs, () => publish(subjectOf(event), JSON.stringify(event), event.id));
  }
  for (const atMs of scenario.malformedAtMs) {
    clock.after(atMs, () => publish("checkout.v1.note.ctx_0", "not an event", "what is no event"));
  }
}

/** The processes that run; whichever ends is followed by another after a while. */
class Crew {
  running: SimulatedProcess[] = [];
  readonly #gone = new Set<string>();
  #started = 0;
  #isOver = false;

  constructor(
    readonly world: World,
    private readonly plant: () => Plant,
  ) {}

  start(): void {
    if (this.#isOver) return;
    const { ledger } = this.world;
    const name = `P${++this.#started}`;
    const process: SimulatedProcess = new SimulatedProcess(
      name,
      this.world,
      {
        killed: () => {
          ledger.note(`${name} is killed`);
          this.#replace(name);
        },
        asked: () => {
          ledger.note(`${name} is asked to stop`);
          void process.stop().then(() => this.#replace(name));
        },
      },
      this.plant(),
    );
    ledger.note(`${name} starts`);
    // It may have been killed by what it asked first.
    if (!this.#gone.has(name)) this.running.push(process);
  }

  /** False: not everything was over in time. */
  async end(): Promise<boolean> {
    const { clock } = this.world;
    this.#isOver = true;
    let isStopped = false;
    void Promise.all(this.running.map((process) => process.stop())).then(() => (isStopped = true));
    const isIdle = await clock.runUntilIdle(STOP_MAX_MS);
    return isIdle && isStopped;
  }

  #replace(name: string): void {
    if (this.#gone.has(name)) return;
    this.#gone.add(name);
    const { clock, faults, ledger } = this.world;
    ledger.note(`${name} is gone`);
    this.running = this.running.filter((process) => process.name !== name);
    clock.after(faults.draw() * RESTART_MAX_MS, () => this.start());
  }
}
