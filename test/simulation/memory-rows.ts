/** What the memory store keeps: immutable rows, replaced and never changed, so that a copy of a store shares them. */
import type { CheckoutIdentity, JournalEntry, LedgerEntry, PublishedEvent, StoredAnswer } from "../../persistence/store.ts";

/** A value as a database holds it: serialised when it is written, read back as a copy each time. */
export type JsonText<Value> = string & { readonly written?: Value };

export interface ContextRow extends CheckoutIdentity {
  readonly seq: number;
  readonly fence: number;
  readonly owner: string | null;
  readonly state: string;
  readonly status: string;
  readonly lastCommit: string;
  readonly eventSeq: number;
  readonly signals: number;
  readonly consumed: number;
  readonly wakeAt: number | null;
  readonly claimsWithoutProgress: number;
  readonly parkedReason: string | null;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly finishedAt: number | null;
}

export interface CheckpointRow {
  readonly seq: number;
  readonly snapshot: JsonText<unknown>;
  readonly timers: JsonText<Readonly<Record<string, number>>>;
}

export interface KeyRow {
  readonly contextId: string;
  readonly requestHash: string;
  readonly answer: StoredAnswer | null;
}

export interface CartVersionRow {
  readonly highestSeen: number;
  readonly completedVersion: number | null;
  readonly completedContextId: string | null;
}

export interface InboxRow {
  readonly source: string;
  readonly eventId: string;
  /** Null for a payment event: its payment requirement says whose it is. */
  readonly contextId: string | null;
  readonly pcrId: string | null;
  readonly event: JsonText<JournalEntry["event"]>;
  readonly consumedSeq: number | null;
}

/** A payment requirement, and who knows it. */
export interface PcrRow {
  readonly contextId: string | null;
  /** Events that arrived while nobody knew it. */
  readonly arrived: number;
}

export type OutboxRow = Omit<PublishedEvent, "data" | "traceparent"> & { readonly data: JsonText<PublishedEvent["data"]> };

export interface SuspenseRow {
  readonly contextId: string;
  readonly currency: string;
  readonly amount: number;
  readonly since: number;
}

interface ShardRow {
  readonly owner: string | null;
  readonly wantedBy: string | null;
}

const FREE: ShardRow = { owner: null, wantedBy: null };

/** Every table, by its primary key. Rows of a journal, an outbox and a ledger are in order; inbox rows by arrival. */
export class Tables {
  /** Of the outbox: who publishes them, and who asked for them. */
  shards = new Map(Array.from({ length: 16 }, (_, shard) => [shard, FREE] as const));
  contexts = new Map<string, ContextRow>();
  requests = new Map<string, JsonText<unknown>>();
  checkpoints = new Map<string, CheckpointRow>();
  journals = new Map<string, readonly JsonText<JournalEntry>[]>();
  outboxes = new Map<string, readonly OutboxRow[]>();
  ledgers = new Map<string, readonly LedgerEntry[]>();
  suspense = new Map<string, SuspenseRow>();
  keys = new Map<string, KeyRow>();
  liveCarts = new Map<string, string>();
  cartVersions = new Map<string, CartVersionRow>();
  liveGroups = new Map<string, string>();
  inbox = new Map<string, InboxRow>();
  pcrs = new Map<string, PcrRow>();
  /** When the lease of a node ends. */
  leases = new Map<string, number>();
  /** The versions of the machine that a node runs. */
  machineHashes = new Map<string, readonly string[]>();

  /** Shares the rows: none of them ever changes. */
  copy(): Tables {
    const copy = new Tables();
    for (const [name, rows] of Object.entries(this)) Object.assign(copy, { [name]: new Map(rows as Map<string, unknown>) });
    return copy;
  }

  hasLease(nodeId: string, now: number): boolean {
    return (this.leases.get(nodeId) ?? Number.NEGATIVE_INFINITY) > now;
  }

  knows(nodeId: string, { machineHash }: ContextRow): boolean {
    return this.machineHashes.get(nodeId)?.includes(machineHash) === true;
  }

  /** A command names its checkout; a payment event names its requirement, which one checkout knows. */
  isInboxOf(row: InboxRow, contextId: string): boolean {
    return row.contextId === contextId || (row.pcrId !== null && this.pcrs.get(row.pcrId)?.contextId === contextId);
  }
}

/** A primary key of several columns. */
export function keyOf(...columns: readonly string[]): string {
  return columns.join("\n");
}

/** As the driver's error: `isUnstorable` (machines/errors.ts) knows it by its SQLSTATE. */
export class Unstorable extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** JSON.stringify escapes NUL, and of surrogates only those that are alone; an escaped backslash before them is text. */
const UNSTORABLE = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;

export function written<Value>(value: Value): JsonText<Value> {
  const text = JSON.stringify(value ?? null) as JsonText<Value>;
  if (text.includes("\\u") && UNSTORABLE.test(text)) {
    throw new Unstorable("22P05", "No jsonb holds NUL, or half of a surrogate pair.");
  }
  return text;
}

export function read<Value>(text: JsonText<Value>): Value {
  return JSON.parse(text) as Value;
}
