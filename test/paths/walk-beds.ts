/** What one walk runs on: a store with one checkout that was created and never started, and leases that can end. */
import type { Database } from "../../persistence/connect.ts";
import { SqlStore } from "../../persistence/sql-store.ts";
import type { Store } from "../../persistence/store.ts";
import { MemoryStore } from "../simulation/memory-store.ts";
import { newCheckout, SEEDED_HASH, sqlBed } from "./beds.ts";
import type { Place } from "./places.ts";
import type { WalkClock } from "./walk-clock.ts";

/** Longer than any walk takes. */
const LEASE_MS = 3_600_000;
/** In memory time stands still but for jumps: as short as a lease can be, so that what a crash lasts makes no timer due. */
const MEMORY_LEASE_MS = 1;
/** Owned the checkout when it was created, and died of that. */
const CREATOR = "node_creator";

export interface WalkBed {
  readonly store: Store;
  /** A node's lease, from now until `jumpMs` later and a little longer. */
  lease(nodeId: string, jumpMs: number): Promise<unknown>;
  /** A dead node's lease ends; nothing else does. */
  expire(nodeId: string): Promise<void>;
}

/** Time of its own beyond the nodes' clock, by which it judges leases and due times. */
export class MemoryBed implements WalkBed {
  readonly store: MemoryStore;
  #aheadMs = 0;

  constructor(clock: WalkClock, from?: MemoryBed) {
    this.#aheadMs = from === undefined ? 0 : from.#aheadMs;
    const now = () => clock.now() + this.#aheadMs;
    this.store = from === undefined ? new MemoryStore({ now }) : from.store.clone({ now });
  }

  lease(nodeId: string, jumpMs: number): Promise<unknown> {
    return this.store.heartbeat(nodeId, jumpMs + MEMORY_LEASE_MS, [SEEDED_HASH]);
  }

  async expire(): Promise<void> {
    this.#aheadMs += MEMORY_LEASE_MS;
  }

  async create(id: string, { snapshot }: Place): Promise<void> {
    await this.store.create({ ...newCheckout(id, snapshot), owner: CREATOR });
  }
}

/** For one walk at a time: any node's recovery may take any checkout of a database. */
export class SqlWalkBed implements WalkBed {
  readonly store: Store;

  constructor(private readonly database: Database) {
    this.store = new SqlStore(database);
  }

  lease(nodeId: string): Promise<unknown> {
    return this.store.heartbeat(nodeId, LEASE_MS, [SEEDED_HASH]);
  }

  async expire(nodeId: string): Promise<void> {
    await this.database.rows("update checkoutd.nodes set lease_until = now() - interval '1 second' where id = $1", [nodeId]);
  }

  async create(id: string, { snapshot }: Place): Promise<void> {
    // In the model every payment requirement has one name; it is the newest checkout's.
    await this.database.rows("delete from checkoutd.pcr_contexts");
    await sqlBed(this.database).seed([{ id, snapshot }]);
    await this.database.rows("update checkoutd.contexts set owner = $2 where id = $1", [id, CREATOR]);
  }
}
