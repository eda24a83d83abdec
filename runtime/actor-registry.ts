/** The checkouts in this node's memory: begun, adopted, told things and let go, each under its claim. */
import type { CheckoutView } from "../machines/view.ts";
import type { CheckoutMachine } from "../machines/checkout.ts";
import { InvariantError, LeaseLostError } from "../machines/errors.ts";
import type { MachineVersions } from "../machines/released/registry.ts";
import type { Store, StoredAnswer, StoredCheckout } from "../persistence/store.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import { Audience } from "./audience.ts";
import { CheckoutActor, type Message, type StopReason } from "./checkout-actor.ts";
import { Committer } from "./committer.ts";
import type { LockKeeper } from "./lock-keeper.ts";
import type { NodeLease } from "./node-lease.ts";
import { wayOf, type VersionWay } from "./machine-versions.ts";
import { migrationCommit } from "./migration.ts";
import { revive, translated, type RevivedState } from "./revival.ts";
import type { Counters, Log } from "./telemetry.ts";
import type { ActorState } from "./transition-commit.ts";

/** Another checkout's lock is waited for this often; then the fence alone decides. */
const LOCK_TRIES_MAX = 3;

export interface ActorRegistryDeps {
  readonly versions: MachineVersions;
  readonly store: Store;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly counters: Counters;
  readonly lease: Pick<NodeLease, "nodeId" | "isHeld">;
  readonly lockKeeper: Pick<LockKeeper, "hold" | "release">;
  readonly answerFor: (view: CheckoutView) => StoredAnswer | null;
  readonly onEvents: () => void;
  /** Something waits in the inbox of a checkout that another node runs, perhaps. */
  readonly callHolder: (id: string) => Promise<void>;
  /** In journal entries, 50 unless told: no fold is longer. */
  readonly checkpointEvery?: number | undefined;
}

export class ActorRegistry {
  private readonly actors = new Map<string, CheckoutActor>();
  private readonly turns = new Map<string, Promise<void>>();
  private isClosed = false;
  readonly audience: Audience;
  private readonly committer: Committer;

  constructor(private readonly deps: ActorRegistryDeps) {
    this.audience = new Audience(deps);
    const { store, clock, log, counters } = deps;
    this.committer = new Committer({ store, clock, log, counters, mayWrite: () => deps.lease.isHeld() });
  }

  get size(): number {
    return this.actors.size;
  }

  has(id: string): boolean {
    return this.actors.has(id);
  }

  wakeAt(id: string): number | null {
    return this.actors.get(id)?.wakeAt ?? null;
  }

  /** The first actor of a checkout that this node just created. */
  begin(id: string, state: ActorState): void {
    this.add(id, this.deps.versions.current.machine, state).tell({ kind: "start" });
  }

  /** Brings a checkout that this node has claimed back to life. One that can't be is parked; the others go on. */
  adopt(id: string): Promise<void> {
    return this.inTurn(id, () => this.takeUp(id));
  }

  /** The checkout's actor, woken if it rests. Null = it runs elsewhere, or is parked. */
  async actorOf(id: string): Promise<CheckoutActor | null> {
    if (!this.actors.has(id)) await this.wake(id);
    return this.actors.get(id) ?? null;
  }

  /** Wakes the checkout for its inbox; where another node runs it, that one is called. */
  async notify(id: string): Promise<void> {
    const actor = await this.actorOf(id);
    if (actor === null) await this.deps.callHolder(id);
    else await actor.pullInbox();
  }

  /** Another node put something into this inbox. */
  async hear(id: string): Promise<void> {
    await this.actors.get(id)?.pullInbox();
  }

  /** Stops every actor at once; nothing more is written. Another node, or this one anew, goes on from the journal. */
  haltAll(): void {
    for (const actor of this.actors.values()) actor.halt();
    this.actors.clear();
  }

  /** Stops every actor once what it is writing is written, and gives its locks back. The node's lease ends next: then others go on. */
  async handOver(): Promise<void> {
    this.isClosed = true;
    const leaving = [...this.actors.values()];
    this.actors.clear();
    await Promise.all(leaving.map((actor) => actor.leave().then(() => this.deps.lockKeeper.release(actor.id))));
    await Promise.all(this.turns.values());
  }

  private wake(id: string): Promise<void> {
    return this.inTurn(id, async () => {
      if (this.actors.has(id) || this.isClosed) return;
      if ((await this.deps.store.claim(id, this.deps.lease.nodeId)) !== null) await this.takeUp(id);
    });
  }

  private async takeUp(id: string): Promise<void> {
    const stored = await this.deps.store.load(id);
    if (stored === null || !this.mayHold(stored.owner)) return;
    const present = this.actors.get(id);
    if (present?.fence === stored.fence) return;
    // A newer fence was issued since: what this actor would write is refused.
    present?.halt();
    try {
      const way = wayOf(this.deps.versions, stored.machineHash);
      if (way === null) throw new InvariantError(`${id} was claimed here, and its version ${stored.machineHash} is not known.`);
      const revived = revive(way.machine, translated(stored, way.migration));
      const held = way.kind === "migrated" ? await this.migrate(stored, way, revived) : { ...revived, signals: stored.signals };
      // Somebody else holds it by now.
      if (held === null) return;
      const { snapshot, timers, seq, signals } = held;
      const isReleased = snapshot.hasTag("finished");
      if (!isReleased && !snapshot.matches("INITIALIZED")) await this.retakeLocks(id, snapshot.context.paymentGroups);
      if (!this.mayHold(stored.owner)) return await this.deps.lockKeeper.release(id);
      const { fence, isAnswered } = stored;
      const actor = this.add(id, way.machine, { snapshot, timers, seq, fence, isReleased, isAnswered });
      this.deps.counters.add("checkouts_resumed");
      // Created but never started: its node died between the two.
      if (snapshot.matches("INITIALIZED")) actor.tell({ kind: "start" });
      actor.resume(signals);
    } catch (error) {
      // It stays as it was, for whoever claims it next.
      if (error instanceof LeaseLostError) return;
      await this.park(id, stored.fence, error);
    }
  }

  /** Durable before anything acts by it, so that no other node migrates it again. Null = the commit was refused. */
  private async migrate(
    stored: StoredCheckout,
    { machine }: VersionWay,
    revived: RevivedState,
  ): Promise<(RevivedState & { readonly signals: number }) | null> {
    const { clock, ids, counters, versions } = this.deps;
    const stamp = { commitId: ids.next("cmt"), at: clock.now(), machine, machineHash: versions.current.hash };
    const commit = migrationCommit(stored, revived, stamp);
    const result = await this.committer.commit(commit);
    if (result.kind !== "applied") return null;
    counters.add("checkouts_migrated");
    const { id, entry, state, status } = commit;
    this.audience.announce({ executionContextId: id, entry, state, status }, null);
    return { ...revived, seq: entry.seq, signals: result.signals };
  }

  /** The lease may have been lost, or the node told to stop, while the store was asked. */
  private mayHold(owner: string | null): boolean {
    return !this.isClosed && owner === this.deps.lease.nodeId;
  }

  /** One claim, revival or retirement of a checkout at a time: two wake-ups at once would raise the fence over each other's actor. */
  private inTurn(id: string, work: () => Promise<void>): Promise<void> {
    const turn = (this.turns.get(id) ?? Promise.resolve()).then(work);
    const ended = turn.catch(() => {}).then(() => void (this.turns.get(id) === ended && this.turns.delete(id)));
    this.turns.set(id, ended);
    return turn;
  }

  private add(id: string, machine: CheckoutMachine, state: ActorState): CheckoutActor {
    const { clock, ids, log, counters, answerFor, store, checkpointEvery } = this.deps;
    const actor = new CheckoutActor(
      id,
      {
        machine,
        clock,
        ids,
        log,
        counters,
        answerFor,
        checkpointEvery,
        committer: this.committer,
        loadInbox: (contextId) => store.unconsumed(contextId),
        onTransition: (notice, view, answer) => {
          this.deps.onEvents();
          if (view.finished) void this.deps.lockKeeper.release(id);
          this.audience.announce(notice, answer);
        },
        onStop: (stopped, reason, unread) => void this.retire(stopped, reason, unread),
      },
      state,
    );
    this.actors.set(id, actor);
    return actor;
  }

  private async retire(actor: CheckoutActor, reason: StopReason, unread: readonly Message[]): Promise<void> {
    const { id } = actor;
    if (this.actors.get(id) === actor) this.actors.delete(id);
    this.audience.interrupt(id);
    try {
      await this.inTurn(id, async () => {
        // Its next actor here holds them already.
        if (!this.actors.has(id)) await this.deps.lockKeeper.release(id);
        if (reason.kind === "idle") await this.deps.store.giveUp(id, actor.fence);
      });
      if (reason.kind === "parked") await this.park(id, actor.fence, reason.error);
      // Still this node's own, under a newer fence: then it goes on with that.
      if (reason.kind === "refused") await this.adopt(id);
      // It rests, and something came in at the last moment: durable, so recovery would find it, but later.
      const isCalled = reason.kind === "passivated" && (reason.signals > 0 || unread.some((message) => message.kind === "inbox"));
      if (isCalled) await this.notify(id);
    } catch (error) {
      this.lost(id, error);
    }
  }

  private async park(id: string, fence: number, error: unknown): Promise<void> {
    this.deps.counters.add("checkouts_parked");
    this.deps.log.error({ executionContextId: id, err: error }, "The checkout is parked until an operator acts");
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
    await this.deps.store.park(id, fence, reason).catch((cause: unknown) => this.lost(id, cause));
  }

  private async retakeLocks(id: string, groups: readonly { readonly paymentGroupId: string }[]): Promise<void> {
    const keys = groups.map((group) => group.paymentGroupId);
    for (let tries = 1; tries <= LOCK_TRIES_MAX; tries++) {
      try {
        await this.deps.lockKeeper.hold(id, keys);
        return;
      } catch (error) {
        const waitMs = (error as { readonly retryAfterMs?: number }).retryAfterMs ?? 0;
        await new Promise<void>((resume) => this.deps.clock.after(waitMs, resume));
      }
    }
    this.deps.log.warn({ executionContextId: id }, "A lock stays busy; the checkout goes on under its fence alone");
  }

  private lost(id: string, error: unknown): void {
    this.deps.log.error(
      { executionContextId: id, err: error },
      "The store did not answer; recovery takes this checkout up again",
    );
  }
}
