/**
 * The specification's OrchestratorManager: manages execution contexts, runs their steps, keeps them
 * resumable. What a node does, from its start to its hand-over; one actor per checkout underneath.
 */
import type { LockManager } from "../locking/lock-manager.ts";
import type { CheckoutPolicy } from "../machines/context.ts";
import type { PaymentNewsEvent } from "../machines/events.ts";
import type { MachineVersions } from "../machines/released/registry.ts";
import type { CheckoutView } from "../machines/view.ts";
import type {
  CheckoutSummary,
  JournalEntry,
  LedgerEntry,
  PublishedEvent,
  Receipt,
  Store,
  StoredAnswer,
} from "../persistence/store.ts";
import type { InboxCalls } from "../persistence/inbox-calls.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import type { CheckoutRules } from "../steps/services.ts";
import { ActorRegistry } from "./actor-registry.ts";
import { Commands, type AttemptCommand, type AttemptResult, type ResolveCommand } from "./commands.ts";
import { Initiation, type InitiateCommand, type InitiateResult } from "./initiation.ts";
import { HolderCalls } from "./holder-calls.ts";
import { LockKeeper } from "./lock-keeper.ts";
import { knownHashes } from "./machine-versions.ts";
import { NodeLease } from "./node-lease.ts";
import { Recovery } from "./recovery.ts";
import { StoredViews, type PastView, type StoredView } from "./stored-views.ts";
import type { Counters, Log } from "./telemetry.ts";
import type { TransitionNotice } from "./transition-notice.ts";

/** What the edge needs of the orchestrator. */
export interface CheckoutOrchestrator {
  /**
   * Creates the checkout, or joins the one that this key already started, then waits.
   * ValidationError: every violation, no row. ConflictError: IDEMPOTENCY_KEY_REUSED, CHECKOUT_IN_PROGRESS
   * (details.executionContextId unless it is another user's), CART_ALREADY_CHECKED_OUT, CART_VERSION_STALE.
   */
  initiate(command: InitiateCommand): Promise<InitiateResult>;
  view(executionContextId: string): Promise<StoredView | null>;
  /** As it was after that entry of its journal; null = there is no such entry; "removed" = by retention. */
  viewAt(executionContextId: string, seq: number): Promise<PastView | "removed" | null>;
  history(executionContextId: string, afterSeq: number, limit: number): Promise<readonly JournalEntry[]>;
  list(limit: number): Promise<readonly CheckoutSummary[]>;
  /** Its events, in order, and what became of each on its way to the bus. */
  events(executionContextId: string): Promise<readonly PublishedEvent[]>;
  /** What could not be published is tried again at once. False: nothing waits for that. */
  redrive(executionContextId: string): Promise<boolean>;
  /** Its money, double-entry, in order. */
  ledger(executionContextId: string): Promise<readonly LedgerEntry[]>;
  /**
   * Undoes a checkout before its pivot; on one that is undone or being undone a no-op. The checkout once it is undone,
   * or as it stands after `waitMs`. ConflictError NOT_CANCELLABLE past the pivot; TransientError RETRY_SCHEDULED when
   * it was not heard in time: the request is kept, and the same call joins it.
   */
  cancel(executionContextId: string, waitMs: number): Promise<CheckoutView>;
  /**
   * Another attempt on the same payment request, once per (checkout, key). The checkout once it waits again or has
   * ended, or as it stands after `waitMs`: the last attempt declined reads as a rollback with PAYMENT_DECLINED.
   * ConflictError PAYMENT_NOT_EXPECTED, ALREADY_PAID, IDEMPOTENCY_KEY_REUSED; TransientError RETRY_SCHEDULED as above.
   */
  attemptPayment(command: AttemptCommand): Promise<AttemptResult>;
  /**
   * An operator took care by hand of one undo that can't be done, or of one capture that can't be given back, once per
   * (checkout, key). ConflictError NOTHING_TO_RESOLVE, IDEMPOTENCY_KEY_REUSED; TransientError RETRY_SCHEDULED as above.
   */
  resolve(command: ResolveCommand): Promise<CheckoutView>;
  /** Keeps a payment event in the inbox, then tells its checkout. Resolves when it is durable, whoever applies it. */
  receivePayment(source: string, event: PaymentNewsEvent): Promise<Receipt>;
  /** Every transition that this node commits from now on; returns how to stop. */
  watch(listener: (notice: TransitionNotice) => void): () => void;
  /** Readiness of the node's own part: holds its lease and accepts new checkouts. */
  isAccepting(): boolean;
}

export interface OrchestratorDeps {
  /** With their actors. New checkouts are begun by the current one; those of versions that are not here are left alone. */
  readonly versions: MachineVersions;
  readonly store: Store;
  /** From node to node. */
  readonly calls: InboxCalls;
  readonly locks: LockManager;
  readonly rules: CheckoutRules;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly log: Log;
  readonly counters: Counters;
  readonly policy: CheckoutPolicy;
  /** The client's answer for a state that first waits for payment or ends; null for every other state. Pure. */
  readonly answerFor: (view: CheckoutView) => StoredAnswer | null;
  /** New events may be in the outbox. */
  readonly onEvents: () => void;
  /** In journal entries, 50 unless told: no fold is longer. */
  readonly checkpointEvery?: number | undefined;
  /** Checkouts in memory at once. */
  readonly residentMax: number;
  /** True when the database provably has this one process: what an earlier process held is free at once. */
  readonly isExclusive: boolean;
}

export class Orchestrator implements CheckoutOrchestrator {
  private readonly lease: NodeLease;
  private readonly recovery: Recovery;
  private readonly actors: ActorRegistry;
  private readonly lockKeeper: LockKeeper;
  private readonly holderCalls: HolderCalls;
  private readonly initiation: Initiation;
  private readonly commands: Commands;
  private readonly storedViews: StoredViews;
  private isStarted = false;

  constructor(private readonly deps: OrchestratorDeps) {
    this.lockKeeper = new LockKeeper(deps);
    this.lease = new NodeLease({ ...deps, machineHashes: knownHashes(deps.versions), onLost: () => this.dropAll() });
    this.holderCalls = new HolderCalls({ ...deps, heard: (id) => void this.actors.hear(id) });
    const callHolder = (id: string) => this.holderCalls.call(id);
    this.actors = new ActorRegistry({ ...deps, lease: this.lease, lockKeeper: this.lockKeeper, callHolder });
    this.recovery = new Recovery({
      ...deps,
      lease: this.lease,
      room: () => deps.residentMax - this.actors.size,
      isResident: (id) => this.actors.has(id),
      adopt: (id) => this.actors.adopt(id),
      notify: (id) => this.actors.notify(id),
    });
    this.storedViews = new StoredViews(deps);
    const waiting = { ...deps, actors: this.actors, view: (id: string) => this.view(id) };
    this.initiation = new Initiation({
      ...waiting,
      nodeId: () => this.lease.nodeId,
      isAccepting: () => this.isAccepting(),
    });
    this.commands = new Commands(waiting);
  }

  /** Who acts here, and for how long others leave it alone. */
  get node(): Pick<NodeLease, "nodeId" | "isHeld"> {
    return this.lease;
  }

  /** The part of the acquireLocks step that only the runtime can do: the DLM's locks, held and renewed by this node. */
  get locks(): Pick<LockKeeper, "hold"> {
    return this.lockKeeper;
  }

  async start(): Promise<void> {
    if (this.deps.isExclusive) await this.deps.store.endOtherLeases(this.lease.nodeId);
    await this.lease.start();
    this.lockKeeper.start();
    this.recovery.start();
    this.holderCalls.start();
    this.isStarted = true;
  }

  /** Takes no new checkout, writes nothing more, and gives the node's lease back, so that others go on at once. Safe twice and before start. */
  async stop(): Promise<void> {
    this.isStarted = false;
    await this.recovery.stop();
    await this.holderCalls.stop();
    await this.actors.handOver();
    this.lockKeeper.stop();
    await this.lease.stop();
  }

  /** The lease is gone: another node may run these checkouts already. */
  private dropAll(): void {
    this.actors.haltAll();
    this.lockKeeper.forgetAll();
  }

  isAccepting(): boolean {
    return this.isStarted && this.lease.isHeld();
  }

  initiate(command: InitiateCommand): Promise<InitiateResult> {
    return this.initiation.initiate(command);
  }

  cancel(executionContextId: string, waitMs: number): Promise<CheckoutView> {
    return this.commands.cancel(executionContextId, waitMs);
  }

  attemptPayment(command: AttemptCommand): Promise<AttemptResult> {
    return this.commands.attemptPayment(command);
  }

  resolve(command: ResolveCommand): Promise<CheckoutView> {
    return this.commands.resolve(command);
  }

  async receivePayment(source: string, event: PaymentNewsEvent): Promise<Receipt> {
    const { data } = event;
    const receipt = await this.deps.store.receivePayment(source, data.eventId, data.pcrId, { ...event });
    if (receipt.isNew && receipt.contextId !== null) this.wake(receipt.contextId);
    return receipt;
  }

  view(executionContextId: string): Promise<StoredView | null> {
    return this.storedViews.of(executionContextId);
  }

  viewAt(executionContextId: string, seq: number): Promise<PastView | "removed" | null> {
    return this.storedViews.at(executionContextId, seq);
  }

  events(executionContextId: string): Promise<readonly PublishedEvent[]> {
    return this.deps.store.events(executionContextId);
  }

  async redrive(executionContextId: string): Promise<boolean> {
    const isWaiting = await this.deps.store.redrive(executionContextId);
    if (isWaiting) this.deps.onEvents();
    return isWaiting;
  }

  history(executionContextId: string, afterSeq: number, limit: number): Promise<readonly JournalEntry[]> {
    return this.deps.store.history(executionContextId, afterSeq, limit);
  }

  ledger(executionContextId: string): Promise<readonly LedgerEntry[]> {
    return this.deps.store.ledger(executionContextId);
  }

  list(limit: number): Promise<readonly CheckoutSummary[]> {
    return this.deps.store.list(limit);
  }

  watch(listener: (notice: TransitionNotice) => void): () => void {
    return this.actors.audience.watch(listener);
  }

  /** Something waits in the inbox of this checkout. Its rows are durable: whoever misses this call finds them by itself. */
  notify(executionContextId: string): Promise<void> {
    return this.actors.notify(executionContextId);
  }

  /** Whoever brought the event has done its part once it is durable; recovery finds what this call can't reach. */
  private wake(executionContextId: string): void {
    this.notify(executionContextId).catch((error: unknown) => {
      this.deps.log.warn({ executionContextId, err: error }, "A checkout could not be told of its event; recovery tells it");
    });
  }
}
