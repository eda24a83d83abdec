/** One process of a subscriber: the product's own parts, as subscribe() puts them together, over a simulated broker. */
import type { JsMsg } from "@nats-io/jetstream";
import type { Bucket } from "../../subscribe/bucket.ts";
import { DeadLetters } from "../../subscribe/dead-letters.ts";
import { GapWatch } from "../../subscribe/gaps.ts";
import { Lease } from "../../subscribe/lease.ts";
import { settingsOf } from "../../subscribe/options.ts";
import { NatsProgress, type Progress } from "../../subscribe/progress.ts";
import { Subscriber } from "../../subscribe/subscriber.ts";
import { Turns } from "../../subscribe/turns.ts";
import { Workers } from "../../subscribe/workers.ts";
import { Life } from "../simulation/life.ts";
import type { VirtualClock } from "../simulation/virtual-clock.ts";
import type { SimulatedBucket } from "./simulated-bucket.ts";
import type { SimulatedConsumer } from "./simulated-consumer.ts";
import type { SimulatedDatabase } from "./simulated-database.ts";
import type { Faults } from "./simulated-faults.ts";
import { handlerOf } from "./simulated-handler.ts";
import type { Ledger, Member } from "./simulated-ledger.ts";
import { linkOf } from "./simulated-link.ts";
import type { PlannedEvent, Scenario } from "./simulated-scenario.ts";
import { Way, type Fate } from "./simulated-way.ts";

/** What a bug may be planted in, anew for each process. What is left out is as it should be. */
export interface Plant {
  readonly bucket?: (bucket: Bucket) => Bucket;
  readonly progress?: (progress: Progress) => Progress;
  readonly message?: (message: JsMsg) => JsMsg;
  readonly database?: (database: SimulatedDatabase) => Pick<SimulatedDatabase, "by" | "commit">;
  readonly lease?: typeof Lease;
  readonly gaps?: typeof GapWatch;
  readonly deadLetters?: typeof DeadLetters;
}

export interface World {
  readonly scenario: Scenario;
  readonly planned: ReadonlyMap<string, PlannedEvent>;
  readonly clock: VirtualClock;
  readonly faults: Faults;
  readonly bucket: SimulatedBucket;
  readonly consumer: SimulatedConsumer;
  readonly database: SimulatedDatabase;
  readonly ledger: Ledger;
}

const DURABLE = "warehouse";
const PAUSE_MAX_MS = 40_000;

export class SimulatedProcess implements Member {
  readonly life = new Life();
  readonly lease: Lease;
  readonly #subscriber: Subscriber;

  constructor(
    readonly name: string,
    world: World,
    fate: Fate,
    plant: Plant,
  ) {
    const { scenario, ledger, consumer } = world;
    const { interest, effects, onLoss } = scenario;
    const clock = this.life.clock(world.clock);
    const way = new Way(this.life, world.clock, world.faults, PAUSE_MAX_MS, fate);
    const bury = (_: string, data: Uint8Array) => ledger.letter(this, eventIdIn(data));
    const askedAt = new Map<string, number>();
    const asked = (subject: string) => void askedAt.set(subject, world.clock.monotonic());
    const { manager, connection } = linkOf({ way, consumer, bury, asked, seen: plant.message ?? ((message) => message) });
    const database = effects === "transaction" ? (plant.database?.(world.database) ?? world.database) : null;
    const handler = handlerOf({ way, ledger, member: this, planned: world.planned, database });
    const settings = settingsOf({
      ...scenario.limits,
      durable: DURABLE,
      types: scenario.types,
      afterAttempts: scenario.afterAttempts,
      connection,
      handler,
      onError: (error) => this.life.isDead || ledger.error(this, error),
      onDeadLetter: (letter) => this.life.isDead || ledger.tell(this, letter),
      onGap: (gap) => {
        ledger.tellGap(this, gap, askedAt.get(interest.subjectOf(gap.checkout)) ?? 0);
        if (onLoss === "wait" || gap.isStored || gap.times === 1) return "wait";
        ledger.skip(gap.checkout, gap);
        return "skip";
      },
    });
    const bucket = plant.bucket?.(world.bucket.by(way)) ?? world.bucket.by(way);
    this.lease = new (plant.lease ?? Lease)(bucket, clock, `lease.${DURABLE}`, settings.leaseMs, settings.onError);
    const progress = this.#watched(database?.by(way) ?? new NatsProgress(bucket, DURABLE), plant, ledger);
    const deadLetters = new (plant.deadLetters ?? DeadLetters)(manager, DURABLE, 1);
    const [ending, closed] = [new AbortController(), new AbortController()];
    const gaps = new (plant.gaps ?? GapWatch)(manager, clock, interest, settings);
    const turns = new Turns({ settings, clock, interest, progress, gaps, deadLetters, lease: this.lease, closed: closed.signal });
    const workers = new Workers({ settings, clock, interest, turns, deadLetters, lease: this.lease, ending: ending.signal });
    this.#subscriber = new Subscriber({
      connection,
      manager,
      settings,
      clock,
      lease: this.lease,
      workers,
      ensure: async () => {},
      ending,
      closed,
    });
  }

  stop(): Promise<void> {
    return this.#subscriber.stop();
  }

  #watched(inner: Progress, plant: Plant, ledger: Ledger): Progress {
    const progress = plant.progress?.(inner) ?? inner;
    return {
      last: async (checkout) => {
        const stands = await progress.last(checkout);
        ledger.stands(checkout, stands);
        return stands;
      },
      advance: async (checkout, from, to) => {
        const stands = await progress.advance(checkout, from, to);
        ledger.recorded(this, checkout, stands);
        return stands;
      },
    };
  }
}

function eventIdIn(data: Uint8Array): string | null {
  const text = new TextDecoder().decode(data);
  return text.startsWith("{") ? (JSON.parse(text) as { readonly id: string }).id : null;
}
