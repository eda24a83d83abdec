/** One run: servers, nodes, shoppers and faults together, then quiet, then the verdict. */
import { setTimeout as sleep } from "node:timers/promises";
import { connect, type NatsConnection } from "@nats-io/transport-node";
import type { CounterName } from "../../runtime/telemetry.ts";
import { systemClock as clock, systemIds as ids } from "../../server/system-ports.ts";
import { SimulatedProvider } from "../../services/provider-simulator.ts";
import { seededChance } from "../support/chance.ts";
import { clientOf, WEBHOOK_SECRET } from "../support/client.ts";
import { compiled, type SourceEdit } from "../support/compiled.ts";
import { HASTY_FLAG_FILE, letShop, type Crowd } from "../support/shoppers.ts";
import { killEmbedded, type EmbeddedRun } from "./embedded.ts";
import { Faults } from "./faults.ts";
import { Fleet } from "./fleet.ts";
import { openGround, type Ground } from "./ground.ts";
import { watchJournal } from "./journal-watch.ts";
import { PatientClient } from "./patient-client.ts";
import { FAULTS, strikesOf, type ChaosPlan, type Fault } from "./plan.ts";
import { Tally } from "./tally.ts";
import { breachesInDatabase, breachesOnStream, breachesToClients, comeToRest } from "./verdict.ts";

const NODES = 3;
/** Enough that those whose node died, who wait for ten seconds, keep few others from coming. */
const IN_FLIGHT_MAX = 80;
/** A part of a small crowd: faults strike as shoppers go, so not all of them may be there from the beginning. */
const IN_FLIGHT_SHARE = 0.3;
/** A part of the crowd: nobody comes who is further ahead of the next fault, so that none strikes when all have gone. */
const AHEAD_MAX = 0.2;
const LOOK_MS = 500;
const ARRIVAL_MS = 20;
const TOLD_EVERY_MS = 5_000;
const MAIN = new URL("../../server/main.ts", import.meta.url);

export interface ChaosReport {
  readonly plan: ChaosPlan;
  readonly seconds: { readonly faults: number; readonly rest: number; readonly verdict: number; readonly total: number };
  readonly struck: Readonly<Record<Fault, number>>;
  /** Of all nodes, those that were killed too. */
  readonly counters: Readonly<Record<CounterName, number>>;
  readonly crowd: Pick<Crowd, "played" | "answers">;
  /** Why clients sent a request again, and how often. */
  readonly repeats: readonly (readonly [reason: string, times: number])[];
  readonly checkouts: number;
  /** Commits that reached Postgres when their checkout was another node's; none of them may be applied. */
  readonly lateWrites: { readonly arrived: number; readonly applied: number };
  readonly connectionsCut: number;
  /** Publications that a plain subscriber of the broker saw, and events that there are. */
  readonly publications: { readonly seen: number; readonly again: number };
  readonly embedded: Pick<EmbeddedRun, "kills" | "checkouts" | "resumed">;
  /** What is wrong, each with its checkout's id; empty = nothing is. */
  readonly breaches: readonly string[];
  /** Of Postgres, kept; null: nothing was wrong, and it was removed. */
  readonly dataDirectory: string | null;
}

export interface ChaosOptions {
  /** What is taken out of the product, to see whether it is missed. */
  readonly removal?: SourceEdit | null;
  readonly say?: (line: string) => void;
}

export async function runChaos(plan: ChaosPlan, { removal = null, say = () => {} }: ChaosOptions = {}): Promise<ChaosReport> {
  const ground = await openGround({ webhookSecret: WEBHOOK_SECRET, flags: HASTY_FLAG_FILE });
  const run = new Run(plan, ground, await compiled(MAIN, removal), say);
  let report: ChaosReport | null = null;
  try {
    report = await run.play();
  } finally {
    await run.end();
    await (report !== null && report.breaches.length === 0 ? ground.discard() : ground.stop());
  }
  return report;
}

class Run {
  readonly #tally = new Tally();
  readonly #fleet: Fleet;
  readonly #faults: Faults;
  readonly #client: PatientClient;
  readonly #begunAt = performance.now();
  #isLooking = true;
  #over = 0;

  constructor(
    private readonly plan: ChaosPlan,
    private readonly ground: Ground,
    entry: URL,
    private readonly say: (line: string) => void,
  ) {
    this.#fleet = new Fleet(ground, entry, this.#tally, seededChance(plan.seed + 1));
    this.#faults = new Faults({ ground, fleet: this.#fleet, tally: this.#tally });
    this.#client = new PatientClient(this.#fleet);
  }

  async play(): Promise<ChaosReport> {
    const { plan, ground } = this;
    await Promise.all(Array.from({ length: NODES }, () => this.#fleet.start()));
    const listener = await this.#listen();
    this.#say(`${NODES} nodes serve; ${plan.checkouts} checkouts and the faults of seed ${plan.seed} begin`);
    void this.#look();
    const begunAt = performance.now();
    const embedded = killEmbedded(plan.seed, plan.times["embedded service: kill -9"]);
    const [crowd, embeddedRun] = await Promise.all([this.#shop(), embedded, this.#faults.strike(strikesOf(plan))]);
    const restAt = performance.now();
    this.#say("the last fault has struck and the last shopper has gone");
    const restless = await comeToRest(ground.database);
    const verdictAt = performance.now();
    this.#say(restless.length === 0 ? "everything is at rest" : "not everything comes to rest");
    // What is asked again from here on no fault was the reason of.
    const repeats = this.#client.counts.entries;
    const told = await breachesToClients(ground.database, this.#client);
    this.#isLooking = false;
    await this.#fleet.stop();
    const [counted] = await ground.database.rows<{ checkouts: number }>(
      "select count(*)::int as checkouts from checkoutd.contexts",
    );
    const checkouts = counted?.checkouts ?? 0;
    const breaches = [
      ...this.#fleet.troubles,
      ...this.#faults.troubles,
      ...crowd.surprises,
      ...restless.map((line) => `I20: ${line}`),
      ...(checkouts === plan.checkouts ? [] : [`I17: ${plan.checkouts} keys began ${checkouts} checkouts`]),
      ...told,
      ...this.#lateApplied(),
      ...(await breachesInDatabase(ground.database)),
      ...(await breachesOnStream(ground.database, ground.natsUrl)),
      ...embeddedRun.breaches,
    ];
    const endedAt = performance.now();
    await listener.connection.close();
    return {
      plan,
      seconds: {
        faults: (restAt - begunAt) / 1_000,
        rest: (verdictAt - restAt) / 1_000,
        verdict: (endedAt - verdictAt) / 1_000,
        total: (endedAt - this.#begunAt) / 1_000,
      },
      struck: this.#struck(embeddedRun),
      counters: this.#tally.sums,
      crowd,
      repeats,
      checkouts,
      lateWrites: {
        arrived: this.#faults.lateWrites.reduce((sum, { late }) => sum + late, 0),
        applied: this.#lateApplied().length,
      },
      connectionsCut: this.#faults.connectionsCut,
      publications: { seen: listener.seen.length, again: listener.seen.length - new Set(listener.seen).size },
      embedded: embeddedRun,
      breaches,
      dataDirectory: breaches.length === 0 ? null : ground.dataDirectory,
    };
  }

  #lateApplied(): readonly string[] {
    const ids = this.#faults.lateWrites.flatMap(({ applied }) => applied);
    return ids.map((id) => `${id}: I16: a late write under an old fence is in its journal`);
  }

  async end(): Promise<void> {
    this.#isLooking = false;
    await this.#fleet.end();
  }

  #struck({ kills }: EmbeddedRun): ChaosReport["struck"] {
    const times = FAULTS.map((fault) => [fault, this.#faults.struck.get(fault)] as const);
    return { ...(Object.fromEntries(times) as ChaosReport["struck"]), "embedded service: kill -9": kills };
  }

  #shop(): Promise<Crowd> {
    const { database } = this.ground;
    const { checkouts, seed } = this.plan;
    return letShop(
      {
        nodes: [{ ...clientOf(this.#client), rows: (text, parameters) => database.rows(text, parameters) }],
        watch: (see) => watchJournal(database, see),
        bank: new SimulatedProvider({ database, ids, clock }),
        chance: seededChance(seed + 2),
        arrival: async (number) => {
          while (number / checkouts > this.#faults.nextShare + AHEAD_MAX) await sleep(ARRIVAL_MS);
        },
      },
      checkouts,
      Math.min(IN_FLIGHT_MAX, Math.ceil(checkouts * IN_FLIGHT_SHARE)),
      (over) => {
        this.#over = over;
        this.#faults.reach(over / checkouts);
      },
    );
  }

  /** Scrapes, and tells how it goes on. */
  async #look(): Promise<void> {
    let toldAt = performance.now();
    let lateTold = 0;
    while (this.#isLooking) {
      await Promise.all(this.#fleet.serving.map((node) => this.#tally.look(node)));
      if (performance.now() - toldAt > TOLD_EVERY_MS) {
        toldAt = performance.now();
        const faults = FAULTS.reduce((sum, fault) => sum + this.#faults.struck.get(fault), 0);
        const { checkouts_resumed: resumed } = this.#tally.sums;
        this.#say(
          `${this.#over} of ${this.plan.checkouts} shoppers have gone, ${faults} faults have struck, ${resumed} checkouts were taken up again, ${this.#fleet.serving.length} nodes serve`,
        );
        for (const line of this.#lateApplied().slice(lateTold)) this.#say(line);
        lateTold = this.#lateApplied().length;
      }
      await sleep(LOOK_MS);
    }
  }

  /** As any subscriber of the broker: what JetStream refuses as a repetition is seen here too. */
  async #listen(): Promise<{ readonly connection: NatsConnection; readonly seen: readonly string[] }> {
    const connection = await connect({ servers: this.ground.natsUrl, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
    const seen: string[] = [];
    connection.subscribe("checkout.v1.>", {
      callback: (_error, message) => void seen.push(message.headers?.get("Nats-Msg-Id") ?? ""),
    });
    return { connection, seen };
  }

  #say(line: string): void {
    this.say(`${((performance.now() - this.#begunAt) / 1_000).toFixed(1).padStart(5)} s  ${line}`);
  }
}
