/**
 * The store contract: the only way in which the runtime reads and writes durable state. One
 * implementation over SQL (Postgres and PGlite), one in the simulator; one conformance suite for both.
 */
import type { Transfer } from "../machines/ledger.ts";

export interface JournalEntry {
  readonly seq: number;
  /** Milliseconds since the epoch, by the clock of the node that decided. */
  readonly at: number;
  readonly event: JournaledEvent;
  /** State value before the event, dotted (`PROCESSING.STEP_3.running`); null on the first entry. */
  readonly from: string | null;
  readonly to: string;
  readonly contextHash: string;
}

export interface JournaledEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

/** The version of the machine that runs a checkout, and the hash of its sources. */
export interface MachineIdentity {
  readonly machineVersion: string;
  readonly machineHash: string;
}

/** The client's identity, fixed when the checkout is created, and the version that it stands at. */
export interface CheckoutIdentity extends MachineIdentity {
  readonly id: string;
  readonly caller: string;
  readonly userId: string;
  readonly cartId: string;
  readonly cartVersion: number;
  readonly idempotencyKey: string;
  readonly traceparent: string | null;
}

export interface NewCheckout extends CheckoutIdentity {
  readonly requestHash: string;
  readonly request: unknown;
  readonly state: string;
  readonly status: string;
  readonly owner: string;
  readonly commitId: string;
  readonly entry: JournalEntry;
  readonly checkpoint: Checkpoint;
}

/** Why a new checkout was not created. Nothing was written. */
export type CreateResult =
  | { readonly kind: "created"; readonly fence: number }
  | { readonly kind: "exists"; readonly claim: IdempotencyClaim }
  /** Another live checkout holds the cart; `userId` tells whether the caller may learn its id. */
  | { readonly kind: "cart_busy"; readonly contextId: string; readonly userId: string }
  | { readonly kind: "cart_completed"; readonly contextId: string; readonly userId: string }
  | { readonly kind: "cart_stale"; readonly highestSeen: number };

export interface IdempotencyClaim {
  readonly contextId: string;
  readonly requestHash: string;
  readonly answer: StoredAnswer | null;
  /** Nothing answers it until an operator acts. */
  readonly isParked: boolean;
}

export interface StoredAnswer {
  readonly status: number;
  readonly body: string;
}

export interface OutboxEvent {
  readonly type: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** One transition of one checkout. Applied only where seq and fence still match. */
export interface Commit {
  readonly id: string;
  readonly expectedSeq: number;
  readonly fence: number;
  readonly commitId: string;
  readonly state: string;
  readonly status: string;
  readonly entry: JournalEntry;
  readonly events: readonly OutboxEvent[];
  /** Absolute milliseconds; null = no timer; undefined = unchanged (keeps the update HOT). */
  readonly wakeAt?: number | null;
  /** Present when this transition is a checkpoint: it waits, ends or is handed over. */
  readonly checkpoint?: Checkpoint;
  /** Stored as the answer of the idempotency key unless there is one already. */
  readonly answer?: StoredAnswer;
  /** Frees the cart and the payment groups; the cart's version is completed when `completed`. */
  readonly release?: { readonly completed: boolean };
  /** Gives the checkout up in the same transaction: nobody owns it until it is claimed again. */
  readonly passivate?: boolean;
  /** The transition that enters a finished state for the first time. */
  readonly finished?: boolean;
  /** Inbox rows that this transition consumes. */
  readonly consumes?: readonly InboxKey[];
  /** The payment requirement that this transition is the first to know. What arrived for it before is signalled now. */
  readonly pcrId?: string;
  /** The version that takes the checkout over, with a checkpoint in its words. Undefined = the version stays. */
  readonly machine?: MachineIdentity;
  /** Money that this transition moves between the checkout's accounts. */
  readonly transfers?: readonly Transfer[];
}

/** XState's own persisted snapshot, and the timers that were set at that moment (id → due, ms since the epoch). */
export interface Checkpoint {
  readonly snapshot: unknown;
  readonly timers: Readonly<Record<string, number>>;
}

export interface InboxKey {
  readonly source: string;
  readonly eventId: string;
}

export type CommitResult =
  /** `signals` = inbox rows that wait, seen on the row that this commit locked. */
  | { readonly kind: "applied"; readonly signals: number }
  /** Somebody else moved on, or holds a newer fence. The writer must drop what it holds and reload. */
  | { readonly kind: "refused"; readonly seq: number; readonly fence: number; readonly owner: string | null }
  | { readonly kind: "unknown_checkout" };

/** A checkout as it can be brought back: the newest checkpoint and what came after it. */
export interface StoredCheckout extends CheckoutIdentity {
  readonly seq: number;
  readonly fence: number;
  readonly owner: string | null;
  readonly state: string;
  readonly status: string;
  readonly wakeAt: number | null;
  readonly signals: number;
  readonly parkedReason: string | null;
  readonly createdAt: number;
  /** The answer to its request is stored; no other one is given. */
  readonly isAnswered: boolean;
  readonly checkpoint: Checkpoint & { readonly seq: number };
  /** From the checkpoint's own entry on: that one says what the checkpoint must be. */
  readonly entries: readonly JournalEntry[];
}

/** A version of the machine that a node doesn't know, and that has live checkouts. */
export interface UnknownVersion extends MachineIdentity {
  readonly checkouts: number;
  /** The oldest of them, five at most. */
  readonly ids: readonly string[];
  /** For each live node that runs this version: all the versions that it runs. */
  readonly servedWith: readonly (readonly string[])[];
}

export interface OwnedCheckout {
  readonly id: string;
  /** Inbox rows that wait for it. */
  readonly signals: number;
}

export interface CheckoutSummary {
  readonly id: string;
  readonly userId: string;
  readonly caller: string;
  readonly state: string;
  readonly status: string;
  readonly seq: number;
  readonly parkedReason: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
}

export interface InboxEvent extends InboxKey {
  readonly event: JournaledEvent;
}

export interface ReceivedEvent {
  readonly event: JournaledEvent;
  /** The journal entry that consumed it; null = it waits. */
  readonly consumedSeq: number | null;
}

/** What became of a payment event at the door. */
export interface Receipt {
  /** False: seen before, nothing changed. */
  readonly isNew: boolean;
  /** Seen before under this id, with another content: the one that is stored stands. */
  readonly isContradiction: boolean;
  /** The checkout that it was signalled to; null = nobody knows its payment requirement yet, so it waits. */
  readonly contextId: string | null;
}

export interface LedgerEntry extends Transfer {
  /** The journal entry that moved it. */
  readonly seq: number;
  readonly at: number;
}

/** A balance of SUSPENSE that is not zero. */
export interface UnsettledMoney {
  readonly contextId: string;
  readonly currency: string;
  /** Below zero: captured, and neither confirmed nor given back. Above: given back more than was captured. */
  readonly amount: number;
  /** Since when there is any, in milliseconds since the epoch. */
  readonly since: number;
}

/** It has something to do, and has not moved for too long. */
export interface StuckCheckout {
  readonly contextId: string;
  readonly state: string;
  readonly seq: number;
  /** The node that holds it; null = nobody took it up. */
  readonly owner: string | null;
  /** Its last move, or the time for which it had set itself an alarm. In milliseconds since the epoch. */
  readonly since: number;
}

export interface PublishedEvent extends OutboxEvent {
  readonly contextId: string;
  readonly eventSeq: number;
  readonly typeSeq: number;
  readonly committedAt: number;
  readonly acknowledgedAt: number | null;
  /** How often the bus had its chance: what failed while there was no bus doesn't count. */
  readonly tries: number;
  /** After a failure: not before then. In milliseconds since the epoch. */
  readonly retryAt: number | null;
  /** The bus will never take it as it is: it, and what follows it in its checkout, waits for an operator. */
  readonly parkedReason: string | null;
  readonly traceparent: string | null;
}

/** Where a page of events ended. */
export type EventCursor = Pick<PublishedEvent, "contextId" | "eventSeq">;

/** What became of one event that was offered to the bus. */
export type PublicationMark = { readonly contextId: string; readonly eventSeq: number } & (
  | { readonly kind: "acknowledged" }
  | { readonly kind: "failed"; readonly retryAfterMs: number }
  | { readonly kind: "parked"; readonly reason: string }
);

/** What is committed and not acknowledged. */
export interface OutboxBacklog {
  /** Counted to 100,000. */
  readonly pending: number;
  /** Checkouts whose next event is parked. */
  readonly parked: number;
  /** When the oldest of the pending was committed, in milliseconds since the epoch. */
  readonly oldestAt: number | null;
}

export interface Store {
  /** The claim of the key, the context, the request, the cart row and the first journal entry, in ONE transaction. */
  create(checkout: NewCheckout): Promise<CreateResult>;

  findClaim(caller: string, idempotencyKey: string): Promise<IdempotencyClaim | null>;

  /** Reads only, before the claim: what would refuse this cart now. Null = nothing. */
  findCartConflict(cartId: string, cartVersion: number): Promise<Exclude<CreateResult, { kind: "created" | "exists" }> | null>;

  /** All in one statement; conflicting commits are reported and skipped, the others are applied. At most one per checkout. */
  commit(batch: readonly Commit[]): Promise<readonly CommitResult[]>;

  /** True when `commitId` is the last commit of the checkout: resolves a commit whose answer was lost. */
  isLastCommit(id: string, commitId: string): Promise<boolean>;

  load(id: string): Promise<StoredCheckout | null>;

  loadRequest(id: string): Promise<unknown>;

  /** Entries after `afterSeq`, in order, at most `limit`. */
  history(id: string, afterSeq: number, limit: number): Promise<readonly JournalEntry[]>;

  /** The newest first. */
  list(limit: number): Promise<readonly CheckoutSummary[]>;

  /**
   * Takes checkouts that need an actor and have none whose lease is valid: orphans of dead nodes (finished ones too: a
   * refund may have been in flight), due timers, waiting signals. Only of the versions that the node named with its lease:
   * another node runs the others. Issues a new fence for each. `FOR UPDATE SKIP LOCKED`, at most `limit`.
   * Timers and leases are judged by the database's clock. Parked checkouts are left alone.
   */
  claimRunnable(nodeId: string, limit: number): Promise<readonly string[]>;

  /** Checkouts that this node owns and that nobody parked, at most `limit`: each should have an actor here. */
  owned(nodeId: string, limit: number): Promise<readonly OwnedCheckout[]>;

  /** Gives a checkout up without a transition: nothing is to be done for now. Its claims so far count as no crash. */
  giveUp(id: string, fence: number): Promise<void>;

  /** Takes this one for `nodeId` if nobody with a valid lease owns it and the node knows its version; the new fence, or null. */
  claim(id: string, nodeId: string): Promise<number | null>;

  /** Takes a checkout out of the traffic until an operator acts. */
  park(id: string, fence: number, reason: string): Promise<void>;

  /** Claims the payment groups durably for one live checkout; the busy group, or null. Idempotent by context. TerminalError once it has ended. */
  claimPaymentGroups(id: string, paymentGroupIds: readonly string[]): Promise<{ readonly busy: string } | null>;

  /**
   * Keeps a payment event, idempotent by (source, event id), and raises the signals of the checkout that knows its
   * payment requirement, in one transaction. Nobody knows it yet: kept, and signalled by the commit that learns it.
   * `pcrId` null = it names none: kept for people, never matched.
   */
  receivePayment(source: string, eventId: string, pcrId: string | null, event: JournaledEvent): Promise<Receipt>;

  /** Keeps something that a client asks of this checkout, idempotent by (source, event id): false = seen before. */
  receiveCommand(source: string, eventId: string, contextId: string, event: JournaledEvent): Promise<boolean>;

  findReceived(source: string, eventId: string): Promise<ReceivedEvent | null>;

  /** Inbox rows of a checkout that no transition consumed, oldest first; some hundreds, if there are more. */
  unconsumed(id: string): Promise<readonly InboxEvent[]>;

  /** The checkout's transfers, in order. */
  ledger(contextId: string): Promise<readonly LedgerEntry[]>;

  /** Checkouts that hold captured money in suspense for longer than `olderThanMs` (database's clock), the oldest first. */
  unsettled(olderThanMs: number, limit: number): Promise<readonly UnsettledMoney[]>;

  /**
   * Checkouts that could go on and have not for longer than `idleMs` (database's clock), the oldest first: due or signalled
   * and nobody's, a dead node's, or a live one's that waits for no timer. Parked ones are an operator's, and left out.
   */
  stuck(idleMs: number, limit: number): Promise<readonly StuckCheckout[]>;

  /**
   * The shards of the outbox that this node publishes from now on, until it asks again. It takes what nobody publishes,
   * asks those who have more than their share for the rest of its own, and hands over what it was asked for. Two nodes
   * may publish one for a moment: that costs work, and breaks nothing.
   */
  claimShards(nodeId: string): Promise<readonly number[]>;

  /**
   * Of at most `limit` checkouts in these shards, everything that may be published now, in order per checkout. One whose
   * next event is parked or waits for its next try is left out.
   */
  unpublished(shards: readonly number[], limit: number): Promise<readonly PublishedEvent[]>;

  /** Counts a try of each. What is acknowledged stays so. */
  markPublished(marks: readonly PublicationMark[]): Promise<void>;

  /** The parked event of this checkout is tried again at once, and so is one that waits for its next try. False: there is none. */
  redrive(contextId: string): Promise<boolean>;

  backlog(): Promise<OutboxBacklog>;

  /** Events committed since then (milliseconds since the epoch) that were acknowledged, in order per checkout. */
  acknowledged(since: number, after: EventCursor | null, limit: number): Promise<readonly PublishedEvent[]>;

  events(contextId: string): Promise<readonly PublishedEvent[]>;

  /** The time of the clock that judges leases and timers, in milliseconds since the epoch. */
  now(): Promise<number>;

  /**
   * Starts or prolongs a node's lease by the database's clock; false = it had expired, take a new identity. The versions of
   * the machine that the node can run are those that it named when it started.
   */
  heartbeat(nodeId: string, ttlMs: number, machineHashes: readonly string[]): Promise<boolean>;

  /**
   * Live checkouts, by version, whose version is none of these: unfinished ones, and finished ones that still have something
   * to do. Parked ones are left out: nobody claims them. The one with the most checkouts comes first.
   */
  unknownVersions(machineHashes: readonly string[]): Promise<readonly UnknownVersion[]>;

  /** Ends a lease in good order: others take over at once, and no claim so far counts as a crash. */
  endLease(nodeId: string): Promise<void>;

  /** Ends every lease but this node's. Only for a database that provably has one process: an embedded one. */
  endOtherLeases(nodeId: string): Promise<void>;
}
