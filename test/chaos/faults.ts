/** Strikes at the planned moments, and counts what really struck. */
import { setTimeout as sleep } from "node:timers/promises";
import { LEASE_TTL_MS } from "../../runtime/node-lease.ts";
import { Counter } from "./counter.ts";
import type { Fleet, Node } from "./fleet.ts";
import type { Ground } from "./ground.ts";
import { deliverLate, type LateWrites } from "./late-writes.ts";
import type { Fault, Strike } from "./plan.ts";
import type { Tally } from "./tally.ts";

/** From its SIGSTOP until its commit has arrived too late and it wakes. */
const PAUSE_MS = LEASE_TTL_MS + 1_500;
/** A node is only struck while another one serves. */
const SERVING_MIN = 2;
const LOOK_MS = 25;
/** A node that commits nothing is let alone, and another one is taken. */
const TRIES_MAX = 20;
/** A woken node hears that its write was refused, loses its lease, and takes a new identity. */
const AWAKE_MS = 2_000;

class NothingCommitted extends Error {
  constructor(consequence: string) {
    super(`${TRIES_MAX} times no node that was looked at committed anything within its time, ${consequence}`);
  }
}

export interface FaultsDeps {
  readonly ground: Ground;
  readonly fleet: Fleet;
  readonly tally: Tally;
}

export class Faults {
  readonly struck = new Counter();
  readonly lateWrites: LateWrites[] = [];
  /** Faults that could not strike. */
  readonly troubles: string[] = [];
  connectionsCut = 0;

  #share = 0;
  #pauses = 0;
  readonly #left: Strike[] = [];

  constructor(private readonly deps: FaultsDeps) {}

  /** So many shoppers have gone, from 0 to 1 of all. */
  reach(share: number): void {
    this.#share = share;
  }

  /** Where the next one is due that has not struck yet; 1 = there is none. */
  get nextShare(): number {
    return this.#left[0]?.atShare ?? 1;
  }

  /** In their order, as shoppers go. Resolves when the last one has struck and what it stopped goes on. */
  async strike(strikes: readonly Strike[]): Promise<void> {
    this.#left.push(...strikes);
    const underWay: Promise<void>[] = [];
    for (const { fault, atShare } of strikes) {
      while (this.#share < atShare) await sleep(LOOK_MS);
      const struck = this.#strikeOnce(fault);
      underWay.push(struck);
      // Those that only stand still don't hold up the others.
      if (fault !== "node: SIGSTOP past its lease, a commit still in the network") await struck;
      this.#left.shift();
    }
    await Promise.all(underWay);
  }

  async #strikeOnce(fault: Fault): Promise<void> {
    try {
      await this.#strikeBy[fault]();
      this.struck.add(fault);
    } catch (error) {
      if (!(error instanceof NothingCommitted)) throw error;
      this.troubles.push(`I20: ${fault}: ${error.message}`);
    }
  }

  readonly #strikeBy: Readonly<Record<Fault, () => Promise<void>>> = {
    "node: kill -9": async () => this.deps.fleet.kill(await this.#node()),
    "node: SIGSTOP past its lease, a commit still in the network": () => this.#pause(),
    "Postgres: immediate stop in mid-batch, and start": () => this.#restartPostgres(),
    "Postgres: connection cut before the answer to a commit": () => this.#loseAnswer(),
    "Postgres: every connection of a node cut": async () => void (this.connectionsCut += (await this.#node()).proxy.cut()),
    "Redis: FLUSHALL": () => this.deps.ground.flushRedis(),
    "NATS: kill -9, and start": () => this.deps.ground.restartNats(),
    "embedded service: kill -9": () => Promise.reject(new Error("It is struck where it is run.")),
  };

  /** Not while a commit is held up, which would be lost with its connection and refused by nobody. */
  async #restartPostgres(): Promise<void> {
    while (this.#pauses > 0) await sleep(LOOK_MS);
    await (await this.#node()).proxy.nextCommit();
    await this.deps.ground.restartPostgres();
  }

  async #pause(): Promise<void> {
    this.#pauses++;
    try {
      await this.#pauseOne();
    } finally {
      this.#pauses--;
    }
  }

  async #pauseOne(): Promise<void> {
    const { fleet, ground, tally } = this.deps;
    for (let tries = 1; tries <= TRIES_MAX; tries++) {
      const node = await this.#node();
      // From here on no other fault chooses it, and no new request goes there; what it has in hand goes on.
      node.state = "paused";
      const held = await node.proxy.holdCommit();
      if (held === null) {
        node.state = "running";
        continue;
      }
      fleet.pause(node);
      const awakeAt = performance.now() + PAUSE_MS;
      this.lateWrites.push(await deliverLate(ground.database, held, PAUSE_MS));
      await sleep(Math.max(0, awakeAt - performance.now()));
      fleet.resume(node);
      await sleep(AWAKE_MS);
      await tally.look(node);
      return fleet.retire(node);
    }
    throw new NothingCommitted("so none was stopped in the middle of it");
  }

  async #loseAnswer(): Promise<void> {
    for (let tries = 1; tries <= TRIES_MAX; tries++) {
      if (await (await this.#node()).proxy.loseAnswer()) return;
    }
    throw new NothingCommitted("so no answer was lost");
  }

  /** One that serves while others do. */
  async #node(): Promise<Node> {
    for (;;) {
      const { fleet } = this.deps;
      const node = fleet.serving.length >= SERVING_MIN ? fleet.any() : undefined;
      if (node !== undefined) return node;
      await sleep(LOOK_MS);
    }
  }
}
