/**
 * This node's lease: one per process, not per checkout. The database's clock judges it; local time only
 * decides when to stop trusting it, counted from before the request that prolonged it.
 */
import type { Store } from "../persistence/store.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import type { Counters, Log } from "./telemetry.ts";

export const LEASE_TTL_MS = 10_000;
const HEARTBEAT_MS = LEASE_TTL_MS / 4;
/** Stop this long before others may take over. */
const MARGIN_MS = 1_000;

export interface NodeLeaseDeps {
  readonly store: Pick<Store, "heartbeat" | "endLease">;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly counters: Counters;
  /** The versions of the machine whose checkouts this node can run. */
  readonly machineHashes: readonly string[];
  /** The lease is gone: drop everything held under it. A new identity follows. */
  readonly onLost: () => void;
}

export class NodeLease {
  private id: string;
  private trustedUntil = 0;
  private cancelBeat: () => void = () => {};
  private isStopped = false;

  constructor(private readonly deps: NodeLeaseDeps) {
    this.id = deps.ids.next("node");
  }

  get nodeId(): string {
    return this.id;
  }

  isHeld(): boolean {
    return !this.isStopped && this.deps.clock.monotonic() < this.trustedUntil;
  }

  /** Resolves when the first heartbeat is stored. */
  async start(): Promise<void> {
    await this.beat();
    this.schedule();
  }

  /** Ends the lease, so that others take over at once. Safe twice and before start. */
  async stop(): Promise<void> {
    if (this.isStopped) return;
    this.isStopped = true;
    this.cancelBeat();
    if (this.trustedUntil > 0) await this.deps.store.endLease(this.id);
  }

  private schedule(): void {
    if (this.isStopped) return;
    this.cancelBeat = this.deps.clock.after(HEARTBEAT_MS, () => {
      this.beat()
        .catch((error: unknown) => this.deps.log.warn({ nodeId: this.id, err: error }, "The heartbeat failed; it is tried again"))
        .finally(() => this.schedule());
    });
  }

  private async beat(): Promise<void> {
    const askedAt = this.deps.clock.monotonic();
    const wasTrusted = askedAt < this.trustedUntil;
    if (this.trustedUntil > 0 && !wasTrusted) return this.renew();
    const isHeld = await this.deps.store.heartbeat(this.id, LEASE_TTL_MS, this.deps.machineHashes);
    // It was given back while this beat was under way: nothing is lost, and no new identity follows.
    if (this.isStopped) return;
    if (!isHeld) return this.renew();
    this.trustedUntil = askedAt + LEASE_TTL_MS - MARGIN_MS;
  }

  /** The old identity may already have been taken over from: its checkouts are dropped, a new one begins. */
  private async renew(): Promise<void> {
    this.deps.counters.add("lease_lost");
    this.deps.log.error({ nodeId: this.id }, "This node lost its lease; it drops its checkouts and takes a new identity");
    this.trustedUntil = 0;
    this.deps.onLost();
    this.id = this.deps.ids.next("node");
    const askedAt = this.deps.clock.monotonic();
    if (await this.deps.store.heartbeat(this.id, LEASE_TTL_MS, this.deps.machineHashes))
      this.trustedUntil = askedAt + LEASE_TTL_MS - MARGIN_MS;
  }
}
