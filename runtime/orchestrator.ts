/**
 * The specification's OrchestratorManager: manages execution contexts, runs their steps, keeps them
 * resumable. One actor per checkout, created, revived, fed and let go here.
 */
import type { LockManager } from "../locking/lock-manager.ts";
import type { CheckoutMachine } from "../machines/checkout.ts";
import { initialContext, type CheckoutPolicy } from "../machines/context.ts";
import { ConflictError, InvariantError, TransientError, ValidationError, type CheckoutError } from "../machines/errors.ts";
import { documentedStateOf, viewOf, type CheckoutView } from "../machines/view.ts";
import type {
  CheckoutSummary,
  CreateResult,
  IdempotencyClaim,
  JournalEntry,
  Store,
  StoredAnswer,
  StoredCheckout,
} from "../persistence/store.ts";
import type { Clock, Ids } from "../steps/ports.ts";
import type { CheckoutRequest } from "../steps/request.ts";
import type { CheckoutRules } from "../steps/services.ts";
import { ActorRegistry } from "./actor-registry.ts";
import { begin, dehydrate, hashContext, statePath, toPlainJson } from "./engine.ts";
import { LockKeeper } from "./lock-keeper.ts";
import { NodeLease } from "./node-lease.ts";
import { Recovery } from "./recovery.ts";
import { revive } from "./revival.ts";
import type { Counters, Log } from "./telemetry.ts";
import type { TransitionNotice } from "./transition-notice.ts";

/** How often a checkout that another node runs is looked at while a client waits for it. */
const REMOTE_POLL_MS = 250;
const RETRY_AFTER_DEFAULT_MS = 1_000;

export interface InitiateCommand {
  readonly caller: string;
  readonly idempotencyKey: string;
  /** Hash of the canonical body: the same key with another hash is refused. */
  readonly requestHash: string;
  readonly request: CheckoutRequest;
  readonly traceparent: string | null;
  /** How long to wait for a first answer. */
  readonly waitMs: number;
}

/** What a client's initiate, first or repeated, comes to within its waiting time. */
export type InitiateResult =
  /** It waits for payment or has ended: the stored answer, byte for byte. */
  | { readonly kind: "answered"; readonly executionContextId: string; readonly answer: StoredAnswer; readonly replayed: boolean }
  /** It can't go on by itself: an operator is asked, and repeating the request helps nobody. */
  | { readonly kind: "parked"; readonly view: CheckoutView }
  /** It goes on in the background: still retrying, or still undoing. */
  | { readonly kind: "unfinished"; readonly view: CheckoutView; readonly retryAfterMs: number };

export interface StoredView {
  readonly caller: string;
  readonly userId: string;
  readonly createdAt: number;
  readonly parkedReason: string | null;
  readonly view: CheckoutView;
}

/** What the edge needs of the orchestrator. */
export interface CheckoutOrchestrator {
  /**
   * Creates the checkout, or joins the one that this key already started, then waits.
   * ValidationError: every violation, no row. ConflictError: IDEMPOTENCY_KEY_REUSED, CHECKOUT_IN_PROGRESS
   * (details.executionContextId unless it is another user's), CART_ALREADY_CHECKED_OUT, CART_VERSION_STALE.
   */
  initiate(command: InitiateCommand): Promise<InitiateResult>;
  view(executionContextId: string): Promise<StoredView | null>;
  history(executionContextId: string, afterSeq: number, limit: number): Promise<readonly JournalEntry[]>;
  list(limit: number): Promise<readonly CheckoutSummary[]>;
  /** Every transition that this node commits from now on; returns how to stop. */
  watch(listener: (notice: TransitionNotice) => void): () => void;
  /** Readiness of the node's own part: holds its lease and accepts new checkouts. */
  isAccepting(): boolean;
}

export interface OrchestratorDeps {
  readonly machine: CheckoutMachine;
  /** Hash of the machine's sources, stored with every checkout. */
  readonly machineHash: string;
  readonly store: Store;
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
  private isStarted = false;

  constructor(private readonly deps: OrchestratorDeps) {
    this.lockKeeper = new LockKeeper(deps);
    this.lease = new NodeLease({ ...deps, onLost: () => this.dropAll() });
    this.actors = new ActorRegistry({ ...deps, lease: this.lease, lockKeeper: this.lockKeeper });
    this.recovery = new Recovery({
      ...deps,
      lease: this.lease,
      room: () => deps.residentMax - this.actors.size,
      isResident: (id) => this.actors.has(id),
      adopt: (id) => this.actors.adopt(id),
    });
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
    this.isStarted = true;
  }

  /** Takes no new checkout, writes nothing more, and gives the node's lease back, so that others go on at once. Safe twice and before start. */
  async stop(): Promise<void> {
    this.isStarted = false;
    await this.recovery.stop();
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

  async initiate(command: InitiateCommand): Promise<InitiateResult> {
    const claim = await this.findClaim(command);
    if (claim !== null) return this.join(command, claim);
    if (!this.isAccepting()) throw new TransientError("DRAINING", "This node takes no new checkouts. Send the request again.");
    if (this.actors.size >= this.deps.residentMax) {
      throw new TransientError("OVERLOADED", "This node runs as many checkouts as it can. Send the request again later.");
    }
    const { cart, user } = command.request;
    const conflict = await this.deps.store.findCartConflict(cart.cartId, cart.version);
    if (conflict !== null) return this.joinOrThrow(command, cartConflict(conflict, user.userId));
    const violations = await this.deps.rules.check(command.request);
    if (violations.length > 0) return this.joinOrThrow(command, new ValidationError(violations));
    return this.create(command);
  }

  async view(executionContextId: string): Promise<StoredView | null> {
    const stored = await this.deps.store.load(executionContextId);
    if (stored === null) return null;
    const { caller, userId, createdAt, parkedReason } = stored;
    return { caller, userId, createdAt, parkedReason, view: this.viewOfStored(stored) };
  }

  /** One that can't be revived is still told about: its row says where it was, and that an operator is asked. */
  private viewOfStored(stored: StoredCheckout): CheckoutView {
    try {
      const { snapshot, seq } = revive(this.deps.machine, stored);
      return viewOf(snapshot, seq);
    } catch (error) {
      if (!(error instanceof InvariantError)) throw error;
      const { id, userId, cartId, cartVersion, seq, state } = stored;
      const context = initialContext({ executionContextId: id, userId, cartId, cartVersion, policy: this.deps.policy });
      const documented = documentedStateOf(state);
      return { executionContextId: id, seq, path: state, state: documented, status: "NEEDS_ATTENTION", finished: false, context };
    }
  }

  history(executionContextId: string, afterSeq: number, limit: number): Promise<readonly JournalEntry[]> {
    return this.deps.store.history(executionContextId, afterSeq, limit);
  }

  list(limit: number): Promise<readonly CheckoutSummary[]> {
    return this.deps.store.list(limit);
  }

  watch(listener: (notice: TransitionNotice) => void): () => void {
    return this.actors.audience.watch(listener);
  }

  /** Tells a checkout something; wakes it when it rests. False = another node runs it, or it is parked. */
  deliver(executionContextId: string, event: { readonly type: string; readonly [field: string]: unknown }): Promise<boolean> {
    return this.actors.deliver(executionContextId, { kind: "command", event });
  }

  /** Something waits in the inbox of this checkout. Its rows are durable: whoever misses this call finds them by itself. */
  notify(executionContextId: string): Promise<void> {
    return this.actors.notify(executionContextId);
  }

  private async create(command: InitiateCommand): Promise<InitiateResult> {
    const { request } = command;
    const id = this.deps.ids.next("ctx");
    const identity = { executionContextId: id, userId: request.user.userId, cartId: request.cart.cartId };
    const input = { ...identity, cartVersion: request.cart.version, policy: this.deps.policy };
    const snapshot = begin(this.deps.machine, input);
    const path = statePath(snapshot);
    const result = await this.deps.store.create({
      id,
      caller: command.caller,
      userId: input.userId,
      cartId: input.cartId,
      cartVersion: input.cartVersion,
      idempotencyKey: command.idempotencyKey,
      requestHash: command.requestHash,
      request: toPlainJson(request),
      machineVersion: this.deps.machine.version ?? "",
      machineHash: this.deps.machineHash,
      traceparent: command.traceparent,
      state: documentedStateOf(path),
      status: "PROCESSING",
      owner: this.lease.nodeId,
      commitId: this.deps.ids.next("cmt"),
      entry: {
        seq: 1,
        at: this.deps.clock.now(),
        event: { type: "xstate.init", input },
        from: null,
        to: path,
        contextHash: hashContext(snapshot),
      },
      checkpoint: { snapshot: dehydrate(this.deps.machine, snapshot), timers: {} },
    });
    if (result.kind === "exists") return this.join(command, result.claim);
    if (result.kind !== "created") throw cartConflict(result, request.user.userId);
    this.actors.begin(id, { snapshot, timers: {}, seq: 1, fence: result.fence, isReleased: false });
    return this.awaitAnswer(command, id);
  }

  private findClaim({ caller, idempotencyKey }: InitiateCommand): Promise<IdempotencyClaim | null> {
    return this.deps.store.findClaim(caller, idempotencyKey);
  }

  /** What stands in the way may be this key's own first call, which claimed the cart or took the last slot a moment ago. */
  private async joinOrThrow(command: InitiateCommand, refusal: CheckoutError): Promise<InitiateResult> {
    const claim = await this.findClaim(command);
    if (claim === null) throw refusal;
    return this.join(command, claim);
  }

  private async join(command: InitiateCommand, claim: IdempotencyClaim): Promise<InitiateResult> {
    if (claim.requestHash !== command.requestHash) {
      throw new ConflictError(
        "IDEMPOTENCY_KEY_REUSED",
        "This Idempotency-Key was used for another request. Use a new key for a new checkout.",
      );
    }
    if (claim.answer === null) return this.awaitAnswer(command, claim.contextId);
    return { kind: "answered", executionContextId: claim.contextId, answer: claim.answer, replayed: true };
  }

  /** Waits for this node's own commit; where another node runs the checkout, looks at the store now and then. */
  private async awaitAnswer(command: InitiateCommand, id: string): Promise<InitiateResult> {
    const deadline = this.deps.clock.now() + command.waitMs;
    for (;;) {
      const remainingMs = deadline - this.deps.clock.now();
      const answer = await this.actors.audience.nextAnswer(id, Math.max(0, Math.min(remainingMs, this.waitSlice(id))));
      if (answer !== null) return { kind: "answered", executionContextId: id, answer, replayed: false };
      // The claim is read last: an answer that was stored between the two is found here.
      const claim = await this.findClaim(command);
      if (claim?.answer) return { kind: "answered", executionContextId: id, answer: claim.answer, replayed: true };
      if (this.deps.clock.now() >= deadline) return this.unfinished(id);
    }
  }

  private waitSlice(id: string): number {
    return this.actors.has(id) ? Number.POSITIVE_INFINITY : REMOTE_POLL_MS;
  }

  private async unfinished(id: string): Promise<InitiateResult> {
    const stored = await this.view(id);
    if (stored === null) throw new TransientError("RETRY_SCHEDULED", "The checkout goes on. Send the same request again.");
    if (stored.parkedReason !== null) return { kind: "parked", view: stored.view };
    const wakeAt = this.actors.wakeAt(id);
    const retryAfterMs =
      wakeAt === null ? RETRY_AFTER_DEFAULT_MS : Math.max(RETRY_AFTER_DEFAULT_MS, wakeAt - this.deps.clock.now());
    return { kind: "unfinished", view: stored.view, retryAfterMs };
  }
}

type CartConflict = Exclude<CreateResult, { readonly kind: "created" | "exists" }>;

/** The id of the checkout in the way is told only to its own user. */
function cartConflict(conflict: CartConflict, userId: string): CheckoutError {
  switch (conflict.kind) {
    case "cart_busy":
      return new ConflictError(
        "CHECKOUT_IN_PROGRESS",
        "This cart is being checked out. Follow that checkout, or wait until it ends.",
        {
          details: conflict.userId === userId ? { executionContextId: conflict.contextId } : {},
        },
      );
    case "cart_completed":
      return new ConflictError(
        "CART_ALREADY_CHECKED_OUT",
        "This version of the cart was already bought. Change the cart to buy again.",
        { details: conflict.userId === userId ? { executionContextId: conflict.contextId } : {} },
      );
    case "cart_stale":
      return new ConflictError(
        "CART_VERSION_STALE",
        "The cart has changed since. Load it again and check out its newest version.",
        {
          details: { highestSeen: conflict.highestSeen },
        },
      );
  }
}
