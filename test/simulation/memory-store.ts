/**
 * The store in memory: one thread, no chance, time from a clock. Each method does its work before it
 * first awaits, so each is one transaction. Values are serialised on the way in and on the way out.
 */
import { canonicalJson } from "../../machines/canonical-json.ts";
import { TerminalError } from "../../machines/errors.ts";
import type * as contract from "../../persistence/store.ts";
import type { Clock } from "../../steps/ports.ts";
import { applyCommit, writeBatch } from "./memory-commit.ts";
import { MemoryOutbox } from "./memory-outbox.ts";
import { keyOf, read, Tables, written, type ContextRow } from "./memory-rows.ts";

const CLAIMS_WITHOUT_PROGRESS_MAX = 5;
const FIRST_FENCE = 1;
const DAY_MS = 86_400_000;

type CartConflict = Exclude<contract.CreateResult, { kind: "created" | "exists" }>;

export class MemoryStore implements contract.Store {
  readonly #clock: Pick<Clock, "now">;
  readonly #tables: Tables;
  readonly #outbox: MemoryOutbox;
  /** Commits that came too late, under an old fence or after another's. */
  refusedCommits = 0;

  constructor(clock: Pick<Clock, "now">, tables = new Tables()) {
    this.#clock = clock;
    this.#tables = tables;
    this.#outbox = new MemoryOutbox(clock, tables);
  }

  /** A store of its own with the same rows, and another clock. */
  clone(clock: Pick<Clock, "now">): MemoryStore {
    return new MemoryStore(clock, this.#tables.copy());
  }

  /** The row of a checkout as it stands, for those who drive the store. */
  row(id: string): ContextRow | null {
    return this.#tables.contexts.get(id) ?? null;
  }

  /** Every checkout, for those who drive the store. */
  get rows(): readonly ContextRow[] {
    return [...this.#tables.contexts.values()];
  }

  /** Nobody has anything to do: every checkout ended, nobody owns it, everything was heard and told. */
  isAtRest(): boolean {
    const isResting = this.rows.every(
      (row) =>
        row.parkedReason !== null ||
        (row.finishedAt !== null && row.owner === null && row.wakeAt === null && row.signals === row.consumed),
    );
    return isResting && [...this.#tables.outboxes.values()].every((rows) => rows.every((row) => row.acknowledgedAt !== null));
  }

  /** Brings a checkpoint up to date without a commit: the same checkout, with less to fold. */
  refreshCheckpoint(id: string, { seq, snapshot, timers }: contract.StoredCheckout["checkpoint"]): void {
    this.#tables.checkpoints.set(id, { seq, snapshot: written(snapshot), timers: written(timers) });
  }

  async create(checkout: contract.NewCheckout): Promise<contract.CreateResult> {
    const { contexts, keys, liveCarts, cartVersions, requests, checkpoints, journals } = this.#tables;
    const { id, caller, idempotencyKey, cartId, cartVersion, requestHash, entry, checkpoint } = checkout;
    const claim = this.#claimOf(caller, idempotencyKey);
    if (claim !== null) return { kind: "exists", claim };
    const conflict = this.#cartConflict(cartId, cartVersion);
    if (conflict !== null) return conflict;
    const [request, snapshot, timers, first] = [
      written(checkout.request),
      written(checkpoint.snapshot),
      written(checkpoint.timers),
      written(entry),
    ];
    const version = cartVersions.get(cartId) ?? { completedVersion: null, completedContextId: null };
    keys.set(keyOf(caller, idempotencyKey), { contextId: id, requestHash, answer: null });
    liveCarts.set(cartId, id);
    cartVersions.set(cartId, { ...version, highestSeen: cartVersion });
    requests.set(id, request);
    checkpoints.set(id, { seq: entry.seq, snapshot, timers });
    journals.set(id, [first]);
    contexts.set(id, this.#newRow(checkout));
    return { kind: "created", fence: FIRST_FENCE };
  }

  #newRow(checkout: contract.NewCheckout): ContextRow {
    const now = this.#clock.now();
    return {
      ...identityOf(checkout),
      seq: checkout.entry.seq,
      fence: FIRST_FENCE,
      owner: checkout.owner,
      state: checkout.state,
      status: checkout.status,
      lastCommit: checkout.commitId,
      eventSeq: 0,
      signals: 0,
      consumed: 0,
      wakeAt: null,
      claimsWithoutProgress: 0,
      parkedReason: null,
      createdAt: now,
      updatedAt: now,
      finishedAt: null,
    };
  }

  async findClaim(caller: string, idempotencyKey: string): Promise<contract.IdempotencyClaim | null> {
    return this.#claimOf(caller, idempotencyKey);
  }

  #claimOf(caller: string, idempotencyKey: string): contract.IdempotencyClaim | null {
    const { keys, contexts } = this.#tables;
    const key = keys.get(keyOf(caller, idempotencyKey));
    if (key === undefined) return null;
    return { ...key, isParked: (contexts.get(key.contextId)?.parkedReason ?? null) !== null };
  }

  async findCartConflict(cartId: string, cartVersion: number): Promise<CartConflict | null> {
    return this.#cartConflict(cartId, cartVersion);
  }

  #cartConflict(cartId: string, cartVersion: number): CartConflict | null {
    const { contexts, liveCarts, cartVersions } = this.#tables;
    const userOf = (id: string) => contexts.get(id)?.userId ?? "";
    const live = liveCarts.get(cartId);
    if (live !== undefined) return { kind: "cart_busy", contextId: live, userId: userOf(live) };
    const version = cartVersions.get(cartId);
    if (version === undefined) return null;
    const { completedVersion, completedContextId, highestSeen } = version;
    if (completedVersion !== null && cartVersion <= completedVersion) {
      const contextId = completedContextId ?? "";
      return { kind: "cart_completed", contextId, userId: userOf(contextId) };
    }
    return cartVersion < highestSeen ? { kind: "cart_stale", highestSeen } : null;
  }

  async commit(batch: readonly contract.Commit[]): Promise<readonly contract.CommitResult[]> {
    const now = this.#clock.now();
    const writes = writeBatch(batch);
    // In the order of their ids, as a database locks them: of two that learn one payment requirement the first has it.
    const byId = writes.toSorted((left, right) => (left.commit.id < right.commit.id ? -1 : 1));
    const results = new Map(byId.map((write) => [write, applyCommit(this.#tables, write, now)]));
    const answers = writes.map((write) => results.get(write) ?? { kind: "unknown_checkout" as const });
    this.refusedCommits += answers.filter(({ kind }) => kind === "refused").length;
    return answers;
  }

  async isLastCommit(id: string, commitId: string): Promise<boolean> {
    return this.#tables.contexts.get(id)?.lastCommit === commitId;
  }

  async load(id: string): Promise<contract.StoredCheckout | null> {
    const row = this.#tables.contexts.get(id);
    const checkpoint = this.#tables.checkpoints.get(id);
    if (row === undefined || checkpoint === undefined) return null;
    const { seq, fence, owner, state, status, wakeAt, signals, consumed, parkedReason, createdAt } = row;
    return {
      ...identityOf(row),
      seq,
      fence,
      owner,
      state,
      status,
      wakeAt,
      signals: signals - consumed,
      parkedReason,
      createdAt,
      isAnswered: (this.#tables.keys.get(keyOf(row.caller, row.idempotencyKey))?.answer ?? null) !== null,
      checkpoint: { seq: checkpoint.seq, snapshot: read(checkpoint.snapshot), timers: read(checkpoint.timers) },
      entries: this.#entries(id, checkpoint.seq - 1),
    };
  }

  async loadRequest(id: string): Promise<unknown> {
    const request = this.#tables.requests.get(id);
    return request === undefined ? null : read(request);
  }

  async history(id: string, afterSeq: number, limit: number): Promise<readonly contract.JournalEntry[]> {
    return this.#entries(id, afterSeq, limit);
  }

  /** A journal begins with 1 and has no gaps. */
  #entries(id: string, afterSeq: number, limit = Number.POSITIVE_INFINITY): readonly contract.JournalEntry[] {
    return (this.#tables.journals.get(id) ?? []).slice(afterSeq, afterSeq + limit).map((text) => read(text));
  }

  async list(limit: number): Promise<readonly contract.CheckoutSummary[]> {
    const newestFirst = (left: ContextRow, right: ContextRow) =>
      right.createdAt - left.createdAt || (left.id < right.id ? 1 : -1);
    return [...this.#tables.contexts.values()]
      .toSorted(newestFirst)
      .slice(0, limit)
      .map(({ id, userId, caller, state, status, seq, parkedReason, createdAt, updatedAt }) => {
        return { id, userId, caller, state, status, seq, parkedReason, createdAt, updatedAt };
      });
  }

  async claimRunnable(nodeId: string, limit: number): Promise<readonly string[]> {
    if (!this.#tables.hasLease(nodeId, this.#clock.now())) return [];
    const known = [...this.#tables.contexts.values()].filter((row) => this.#tables.knows(nodeId, row));
    const runnable = known.filter((row) => this.#isRunnable(row)).slice(0, limit);
    return runnable.filter((row) => this.#claim(row, nodeId) !== null).map(({ id }) => id);
  }

  /** An orphan, a timer that is due, a signal that nobody heard; what was given up finished has left nothing to do. */
  #isRunnable(row: ContextRow): boolean {
    const { owner, parkedReason, finishedAt, wakeAt } = row;
    if (parkedReason !== null || this.#hasLiveOwner(row)) return false;
    if (row.signals > row.consumed || (wakeAt !== null && wakeAt <= this.#clock.now())) return true;
    return owner !== null || (finishedAt === null && wakeAt === null);
  }

  async owned(nodeId: string, limit: number): Promise<readonly contract.OwnedCheckout[]> {
    const owned = [...this.#tables.contexts.values()].filter((row) => row.owner === nodeId && row.parkedReason === null);
    return owned.slice(0, limit).map(({ id, signals, consumed }) => ({ id, signals: signals - consumed }));
  }

  async giveUp(id: string, fence: number): Promise<void> {
    const row = this.#tables.contexts.get(id);
    if (row === undefined || row.fence !== fence || row.owner === null) return;
    this.#tables.contexts.set(id, { ...row, owner: null, claimsWithoutProgress: 0 });
  }

  async claim(id: string, nodeId: string): Promise<number | null> {
    const row = this.#tables.contexts.get(id);
    if (row === undefined || row.parkedReason !== null || !this.#tables.hasLease(nodeId, this.#clock.now())) return null;
    if (!this.#tables.knows(nodeId, row)) return null;
    return row.owner !== nodeId && this.#hasLiveOwner(row) ? null : this.#claim(row, nodeId);
  }

  /** The new fence; null = it was claimed too often without a commit, and is parked. */
  #claim(row: ContextRow, nodeId: string): number | null {
    const { claimsWithoutProgress: claims, owner } = row;
    const fence = row.fence + 1;
    const isPoisonous = claims >= CLAIMS_WITHOUT_PROGRESS_MAX;
    const parkedReason = `claimed ${claims} times without progress; the last owner was ${owner ?? "nobody"}`;
    this.#tables.contexts.set(row.id, {
      ...row,
      fence,
      claimsWithoutProgress: claims + 1,
      owner: isPoisonous ? null : nodeId,
      parkedReason: isPoisonous ? parkedReason : null,
    });
    return isPoisonous ? null : fence;
  }

  async park(id: string, fence: number, reason: string): Promise<void> {
    const row = this.#tables.contexts.get(id);
    if (row === undefined || row.fence !== fence || row.owner === null) return;
    this.#tables.contexts.set(id, { ...row, parkedReason: reason, owner: null, updatedAt: this.#clock.now() });
  }

  async claimPaymentGroups(id: string, paymentGroupIds: readonly string[]): Promise<{ readonly busy: string } | null> {
    if (paymentGroupIds.length === 0) return null;
    const { contexts, liveCarts, liveGroups } = this.#tables;
    if (liveCarts.get(contexts.get(id)?.cartId ?? "") !== id) {
      throw new TerminalError("CHECKOUT_RELEASED", `${id} holds no cart any more; it claims no payment groups.`);
    }
    const busy = paymentGroupIds.toSorted().find((group) => (liveGroups.get(group) ?? id) !== id);
    if (busy !== undefined) return { busy };
    for (const group of paymentGroupIds) liveGroups.set(group, id);
    return null;
  }

  /** The live carts and payment groups that nobody else may take. */
  heldBy(id: string): readonly string[] {
    const { liveCarts, liveGroups } = this.#tables;
    return [...liveCarts, ...liveGroups].filter(([, holder]) => holder === id).map(([held]) => held);
  }

  async receivePayment(
    source: string,
    eventId: string,
    pcrId: string | null,
    event: contract.JournaledEvent,
  ): Promise<contract.Receipt> {
    const { pcrs } = this.#tables;
    const stored = this.#tables.inbox.get(keyOf(source, eventId));
    const isContradiction = stored !== undefined && canonicalJson(read(stored.event)) !== canonicalJson(event);
    const isNew = this.#receive(source, eventId, null, pcrId, event);
    const pcr = (pcrId === null ? undefined : pcrs.get(pcrId)) ?? { contextId: null, arrived: 0 };
    if (isNew && pcr.contextId !== null) this.#signal(pcr.contextId);
    else if (isNew && pcrId !== null) pcrs.set(pcrId, { ...pcr, arrived: pcr.arrived + 1 });
    return { isNew, isContradiction, contextId: pcr.contextId };
  }

  async receiveCommand(source: string, eventId: string, contextId: string, event: contract.JournaledEvent): Promise<boolean> {
    const isNew = this.#receive(source, eventId, contextId, null, event);
    if (isNew) this.#signal(contextId);
    return isNew;
  }

  #receive(
    source: string,
    eventId: string,
    contextId: string | null,
    pcrId: string | null,
    event: contract.JournaledEvent,
  ): boolean {
    const { inbox } = this.#tables;
    const key = keyOf(source, eventId);
    if (inbox.has(key)) return false;
    inbox.set(key, { source, eventId, contextId, pcrId, event: written(event), consumedSeq: null });
    return true;
  }

  #signal(contextId: string): void {
    const row = this.#tables.contexts.get(contextId);
    if (row !== undefined) this.#tables.contexts.set(contextId, { ...row, signals: row.signals + 1 });
  }

  async findReceived(source: string, eventId: string): Promise<contract.ReceivedEvent | null> {
    const row = this.#tables.inbox.get(keyOf(source, eventId));
    return row === undefined ? null : { event: read(row.event), consumedSeq: row.consumedSeq };
  }

  async unconsumed(id: string): Promise<readonly contract.InboxEvent[]> {
    return [...this.#tables.inbox.values()]
      .filter((row) => row.consumedSeq === null && this.#tables.isInboxOf(row, id))
      .map(({ source, eventId, event }) => ({ source, eventId, event: read(event) }));
  }

  async ledger(contextId: string): Promise<readonly contract.LedgerEntry[]> {
    return this.#tables.ledgers.get(contextId) ?? [];
  }

  async unsettled(olderThanMs: number, limit: number): Promise<readonly contract.UnsettledMoney[]> {
    const before = this.#clock.now() - olderThanMs;
    return [...this.#tables.suspense.values()]
      .filter(({ since }) => since < before)
      .toSorted((left, right) => left.since - right.since)
      .slice(0, limit);
  }

  async stuck(idleMs: number, limit: number): Promise<readonly contract.StuckCheckout[]> {
    const before = this.#clock.now() - idleMs;
    const idle = [...this.#tables.contexts.values()].filter((row) => row.parkedReason === null);
    return idle
      .flatMap(({ id, state, seq, owner, wakeAt, updatedAt, signals, consumed, finishedAt }) => {
        const isDue = wakeAt !== null && wakeAt < before;
        const isCalled = signals > consumed || (finishedAt === null && wakeAt === null);
        const isStill = wakeAt === null || isDue || !this.#tables.hasLease(owner ?? "", before);
        const owned = owner !== null && isStill ? [Math.max(updatedAt, isDue ? wakeAt : 0)] : [];
        const nobodys =
          owner === null ? [...(isDue ? [wakeAt] : []), ...(isCalled && updatedAt < before ? [updatedAt] : [])] : [];
        const since = Math.min(...(updatedAt < before ? owned : []), ...nobodys);
        return Number.isFinite(since) ? [{ contextId: id, state, seq, owner, since }] : [];
      })
      .toSorted((left, right) => left.since - right.since)
      .slice(0, limit);
  }

  claimShards(nodeId: string): Promise<readonly number[]> {
    return this.#outbox.claimShards(nodeId);
  }

  unpublished(shards: readonly number[], limit: number): Promise<readonly contract.PublishedEvent[]> {
    return this.#outbox.unpublished(shards, limit);
  }

  markPublished(marks: readonly contract.PublicationMark[]): Promise<void> {
    return this.#outbox.markPublished(marks);
  }

  redrive(contextId: string): Promise<boolean> {
    return this.#outbox.redrive(contextId);
  }

  backlog(): Promise<contract.OutboxBacklog> {
    return this.#outbox.backlog();
  }

  acknowledged(since: number, after: contract.EventCursor | null, limit: number): Promise<readonly contract.PublishedEvent[]> {
    return this.#outbox.acknowledged(since, after, limit);
  }

  events(contextId: string): Promise<readonly contract.PublishedEvent[]> {
    return this.#outbox.events(contextId);
  }

  async now(): Promise<number> {
    return this.#clock.now();
  }

  async heartbeat(nodeId: string, ttlMs: number, machineHashes: readonly string[]): Promise<boolean> {
    const { leases } = this.#tables;
    const now = this.#clock.now();
    for (const [id, until] of leases) if (until < now - DAY_MS && id !== nodeId) leases.delete(id);
    if ((leases.get(nodeId) ?? Number.POSITIVE_INFINITY) <= now) return false;
    if (!leases.has(nodeId)) this.#tables.machineHashes.set(nodeId, machineHashes);
    leases.set(nodeId, now + ttlMs);
    return true;
  }

  async unknownVersions(machineHashes: readonly string[]): Promise<readonly contract.UnknownVersion[]> {
    const live = [...this.#tables.contexts.values()].filter((row) => !machineHashes.includes(row.machineHash) && isLive(row));
    return [...new Set(live.map(({ machineHash }) => machineHash))]
      .map((hash) => this.#unknownVersion(live.filter(({ machineHash }) => machineHash === hash)))
      .toSorted((left, right) => right.checkouts - left.checkouts || (left.machineHash < right.machineHash ? -1 : 1));
  }

  #unknownVersion(rows: readonly ContextRow[]): contract.UnknownVersion {
    const { machineVersion = "", machineHash = "" } = rows[0] ?? {};
    const now = this.#clock.now();
    const servedWith = [...this.#tables.machineHashes]
      .filter(([node, hashes]) => this.#tables.hasLease(node, now) && hashes.includes(machineHash))
      .map(([, hashes]) => hashes);
    const ids = rows.map(({ id }) => id).toSorted();
    return { machineVersion, machineHash, checkouts: rows.length, ids: ids.slice(0, 5), servedWith };
  }

  async endLease(nodeId: string): Promise<void> {
    this.#endLeases((id) => id === nodeId);
    for (const row of this.#tables.contexts.values()) {
      if (row.owner === nodeId) this.#tables.contexts.set(row.id, { ...row, claimsWithoutProgress: 0 });
    }
  }

  async endOtherLeases(nodeId: string): Promise<void> {
    this.#endLeases((id) => id !== nodeId);
  }

  #endLeases(isEnded: (nodeId: string) => boolean): void {
    const now = this.#clock.now();
    for (const [id, until] of this.#tables.leases) if (isEnded(id)) this.#tables.leases.set(id, Math.min(until, now));
  }

  #hasLiveOwner({ owner }: ContextRow): boolean {
    return owner !== null && this.#tables.hasLease(owner, this.#clock.now());
  }
}

/** Unfinished, or finished with something left to do. */
function isLive({ parkedReason, finishedAt, owner, wakeAt, signals, consumed }: ContextRow): boolean {
  if (parkedReason !== null) return false;
  return finishedAt === null || owner !== null || wakeAt !== null || signals > consumed;
}

function identityOf(checkout: contract.CheckoutIdentity): contract.CheckoutIdentity {
  const { id, caller, userId, cartId, cartVersion, idempotencyKey, machineVersion, machineHash, traceparent } = checkout;
  return { id, caller, userId, cartId, cartVersion, idempotencyKey, machineVersion, machineHash, traceparent };
}
