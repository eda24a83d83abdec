/**
 * What survives. Tables of the runtime; the participants' own tables are in service-schema.ts.
 * Who writes: the owner of a checkout writes through `Store.commit` only, checked by seq and fence.
 */
import { sql } from "drizzle-orm";
import {
  bigint,
  check,
  index,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  smallint,
  text,
  timestamp,
  uniqueIndex,
} from "drizzle-orm/pg-core";

export const checkoutd = pgSchema("checkoutd");

const instant = (name: string) => timestamp(name, { withTimezone: true, mode: "date" });

/** One row per checkout. Narrow, so that a happy-path commit is a HOT update: no indexed column changes. */
export const contexts = checkoutd.table(
  "contexts",
  {
    id: text("id").primaryKey(),
    caller: text("caller").notNull(),
    userId: text("user_id").notNull(),
    cartId: text("cart_id").notNull(),
    cartVersion: integer("cart_version").notNull(),
    idempotencyKey: text("idempotency_key").notNull(),
    /** The version that it stands at: that which began it, or the one that migrated it last. */
    machineVersion: text("machine_version").notNull(),
    /** Hash of the machine's sources: guards and assigns too, not only its structure. */
    machineHash: text("machine_hash").notNull(),
    traceparent: text("traceparent"),
    /** The documented state and the public status, as the API names them; for people and lists, never read back to decide. */
    state: text("state").notNull(),
    status: text("status").notNull(),
    /** Number of the last committed transition; the first is 1. */
    seq: integer("seq").notNull(),
    /** Issued by Postgres at each claim. A write with an older one is refused. */
    fence: bigint("fence", { mode: "number" }).notNull(),
    /** Number of the last outbox event of this checkout. */
    eventSeq: integer("event_seq").notNull().default(0),
    /** Resolves a commit whose answer was lost. */
    lastCommit: text("last_commit").notNull(),
    /** The node that acts, or null: passivated or finished. */
    owner: text("owner"),
    /** The earliest timer of a checkout that waits. Written by the owner's commits, only when it changes. */
    wakeAt: instant("wake_at"),
    /**
     * Inbox rows that arrived, and how many of them were consumed: unequal = there is something to do. `signals` is written
     * by whoever puts a row into the inbox, and by the owner's commit that learns a PCR, for what had arrived before it.
     */
    signals: integer("signals").notNull().default(0),
    consumed: integer("consumed").notNull().default(0),
    /** Why it is parked; a parked checkout is never claimed. */
    parkedReason: text("parked_reason"),
    /** Claims since the last commit: a checkout that crashes its node is parked after five. */
    claimsWithoutProgress: integer("claims_without_progress").notNull().default(0),
    createdAt: instant("created_at").notNull().defaultNow(),
    updatedAt: instant("updated_at").notNull().defaultNow(),
    finishedAt: instant("finished_at"),
    /** Of the events that retention removed, the last number of each type: the next ones count on from it. Null = none was removed. */
    typeSeqs: jsonb("type_seqs").$type<Readonly<Record<string, number>>>(),
    /** `signals` when retention came by. Another number: something arrived since, which is removed in its turn. */
    retainedSignals: integer("retained_signals"),
  },
  (table) => [
    index("contexts_owner")
      .on(table.owner)
      .where(sql`${table.owner} is not null`),
    index("contexts_wake_at")
      .on(table.wakeAt)
      .where(sql`${table.wakeAt} is not null`),
    index("contexts_user").on(table.userId),
    index("contexts_created_at").on(table.createdAt),
    // The oldest first, without those that retention has been at. What its condition reads is in an index as it is.
    index("contexts_removable")
      .on(table.finishedAt, table.id)
      .where(sql`${table.finishedAt} is not null and ${table.signals} is distinct from ${table.retainedSignals}`),
    // Exactly those that nobody owns and that have something to do besides a timer: short, whatever waits for payment.
    index("contexts_runnable")
      .on(table.id)
      .where(
        sql`${table.owner} is null and ${table.parkedReason} is null and (${table.signals} > ${table.consumed} or (${table.finishedAt} is null and ${table.wakeAt} is null))`,
      ),
  ],
);

/** The log: every event with its payload, in order. State = the last snapshot + a fold of the later entries. */
export const journal = checkoutd.table(
  "journal",
  {
    contextId: text("context_id").notNull(),
    seq: integer("seq").notNull(),
    at: instant("at").notNull(),
    event: jsonb("event").notNull(),
    /** State values before and after, as XState writes them joined by dots. */
    fromState: text("from_state"),
    toState: text("to_state").notNull(),
    /** Hash of the machine's context after the event; a fold checks it. */
    contextHash: text("context_hash").notNull(),
  },
  (table) => [primaryKey({ columns: [table.contextId, table.seq] })],
);

/** Checkpoints of the log: XState's own persisted snapshot, the newest one per checkout. Retention removes the log before it. */
export const snapshots = checkoutd.table("snapshots", {
  contextId: text("context_id").primaryKey(),
  seq: integer("seq").notNull(),
  snapshot: jsonb("snapshot").notNull(),
  /** The timers that were set at that moment: id → due, in milliseconds since the epoch. */
  timers: jsonb("timers").notNull(),
});

/** The request as the client sent it. Personal data stands here, in a preference's payload and in an attempt's return URL, nowhere else. */
export const requests = checkoutd.table("requests", {
  contextId: text("context_id").primaryKey(),
  body: jsonb("body").notNull(),
});

export const idempotencyKeys = checkoutd.table(
  "idempotency_keys",
  {
    caller: text("caller").notNull(),
    key: text("key").notNull(),
    contextId: text("context_id").notNull(),
    requestHash: text("request_hash").notNull(),
    /** Written with the transition that first waits for payment or ends; replayed byte for byte. */
    answerStatus: integer("answer_status"),
    answerBody: text("answer_body"),
    createdAt: instant("created_at").notNull().defaultNow(),
  },
  (table) => [primaryKey({ columns: [table.caller, table.key] }), uniqueIndex("idempotency_keys_context").on(table.contextId)],
);

/** Exclusivity, durable and without a TTL, because people pay for minutes or hours. */
export const liveCarts = checkoutd.table("live_carts", {
  cartId: text("cart_id").primaryKey(),
  contextId: text("context_id").notNull(),
});

export const livePaymentGroups = checkoutd.table(
  "live_payment_groups",
  {
    paymentGroupId: text("payment_group_id").primaryKey(),
    contextId: text("context_id").notNull(),
  },
  (table) => [index("live_payment_groups_context").on(table.contextId)],
);

/** What is known of a cart over all its checkouts: so that a fresh key after COMPLETED doesn't sell twice. */
export const cartVersions = checkoutd.table("cart_versions", {
  cartId: text("cart_id").primaryKey(),
  /** The checkout that wrote this row last. */
  contextId: text("context_id").notNull(),
  highestSeen: integer("highest_seen").notNull(),
  completedVersion: integer("completed_version"),
  completedContextId: text("completed_context_id"),
});

export const outbox = checkoutd.table(
  "outbox",
  {
    contextId: text("context_id").notNull(),
    /** Of sixteen, by the first hexadecimal digit of its checkout's MD5. */
    shard: smallint("shard")
      .notNull()
      .generatedAlwaysAs(sql`(('x' || left(md5(context_id), 1))::bit(4)::integer)::smallint`),
    /** Gapless per checkout. */
    eventSeq: integer("event_seq").notNull(),
    type: text("type").notNull(),
    /** Gapless per checkout and type. */
    typeSeq: integer("type_seq").notNull(),
    data: jsonb("data").notNull(),
    committedAt: instant("committed_at").notNull(),
    acknowledgedAt: instant("acknowledged_at"),
    tries: integer("tries").notNull().default(0),
    /** After a failure: not before then. */
    retryAt: instant("retry_at"),
    /** The bus will never take it as it is: an operator is asked. */
    parkedReason: text("parked_reason"),
  },
  (table) => [
    primaryKey({ columns: [table.contextId, table.eventSeq] }),
    // Each shard from its oldest end, however long the backlog is.
    index("outbox_pending")
      .on(table.shard, table.committedAt)
      .where(sql`${table.acknowledgedAt} is null`),
    // What is parked or waits for its next try is skipped: a poison event holds nobody up.
    index("outbox_waiting")
      .on(table.contextId)
      .where(sql`${table.acknowledgedAt} is null and (${table.parkedReason} is not null or ${table.retryAt} is not null)`),
  ],
);

/**
 * What arrived, before a checkout consumed it. A payment event finds its checkout by its PCR alone; one that names none is
 * kept for people. A client's command names its checkout.
 */
export const inbox = checkoutd.table(
  "inbox",
  {
    source: text("source").notNull(),
    eventId: text("event_id").notNull(),
    /** Of commands only; written on arrival, as everything here but `consumed_seq`. */
    contextId: text("context_id"),
    /** Of payment events only; null when the event names none. */
    pcrId: text("pcr_id"),
    event: jsonb("event").notNull(),
    /** The order of arrival: PGlite's clock counts milliseconds, in which several events may arrive. */
    arrival: bigint("arrival", { mode: "number" }).notNull().generatedAlwaysAsIdentity(),
    receivedAt: instant("received_at").notNull().defaultNow(),
    /** Written by the owner's commit that consumes the row. */
    consumedSeq: integer("consumed_seq"),
  },
  (table) => [
    primaryKey({ columns: [table.source, table.eventId] }),
    index("inbox_context")
      .on(table.contextId)
      .where(sql`${table.consumedSeq} is null and ${table.contextId} is not null`),
    index("inbox_pcr")
      .on(table.pcrId)
      .where(sql`${table.consumedSeq} is null and ${table.pcrId} is not null`),
    // For retention: what it removes with a checkout.
    index("inbox_consumed")
      .on(sql`coalesce(${table.contextId}, ${table.pcrId})`)
      .where(sql`${table.consumedSeq} is not null`),
    check("inbox_finds_one_way", sql`${table.contextId} is null or ${table.pcrId} is null`),
  ],
);

/** Which checkout knows a payment collection requirement (PCR). The row is the meeting point of arrivals and the commit that learns it. */
export const pcrContexts = checkoutd.table(
  "pcr_contexts",
  {
    pcrId: text("pcr_id").primaryKey(),
    /** Null = nobody knows it yet. Written once, by the commit of the first checkout that does, and never changed. */
    contextId: text("context_id"),
    /** Payment events so far. Written by whoever puts one into the inbox, in the same transaction. */
    arrived: integer("arrived").notNull(),
  },
  (table) => [
    index("pcr_contexts_context")
      .on(table.contextId)
      .where(sql`${table.contextId} is not null`),
  ],
);

/** The checkout's money, double-entry and append-only. Written by the owner's commits. */
export const ledger = checkoutd.table(
  "ledger",
  {
    contextId: text("context_id").notNull(),
    /** The journal entry that moved it, and the transfer's place in that entry, from 1. */
    seq: integer("seq").notNull(),
    line: integer("line").notNull(),
    at: instant("at").notNull(),
    debit: text("debit").notNull(),
    credit: text("credit").notNull(),
    /** Minor units. */
    amount: bigint("amount", { mode: "number" }).notNull(),
    currency: text("currency").notNull(),
    pspReference: text("psp_reference").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.contextId, table.seq, table.line] }),
    check("ledger_moves_something", sql`${table.amount} > 0`),
    check("ledger_between_two_accounts", sql`${table.debit} <> ${table.credit}`),
    check("ledger_debit_is_known", sql`${table.debit} in ('PROVIDER', 'SUSPENSE', 'ORDER', 'BY_HAND')`),
    check("ledger_credit_is_known", sql`${table.credit} in ('PROVIDER', 'SUSPENSE', 'ORDER', 'BY_HAND')`),
  ],
);

/** The balance of SUSPENSE as the ledger says: captured, and neither confirmed nor given back. Written with the ledger's rows. */
export const suspense = checkoutd.table(
  "suspense",
  {
    contextId: text("context_id").notNull(),
    currency: text("currency").notNull(),
    amount: bigint("amount", { mode: "number" }).notNull(),
    /** When it last became non-zero, by the database's clock. */
    since: instant("since").notNull(),
  },
  (table) => [
    primaryKey({ columns: [table.contextId, table.currency] }),
    // Only what is open: short, however much was ever sold.
    index("suspense_open")
      .on(table.since)
      .where(sql`${table.amount} <> 0`),
  ],
);

/** A node's lease. One per process, not per checkout. */
export const nodes = checkoutd.table("nodes", {
  id: text("id").primaryKey(),
  leaseUntil: instant("lease_until").notNull(),
  /** The versions of the machine that it runs, its own first; written when it starts. It claims no other checkouts. */
  machineHashes: text("machine_hashes").array().notNull(),
  startedAt: instant("started_at").notNull().defaultNow(),
});

/** Which node publishes which part of the outbox. Sixteen rows; a checkout's shard follows from its id. */
export const relayShards = checkoutd.table("relay_shards", {
  shard: smallint("shard").primaryKey(),
  /** A node, or null. */
  owner: text("owner"),
  /** A node that has less than its share: the owner hands it over at its next look. */
  wantedBy: text("wanted_by"),
});

/** The SQL implementation of the distributed lock manager. Tokens grow per key across release and expiry. */
export const locks = checkoutd.table("locks", {
  key: text("key").primaryKey(),
  /** The context that holds it, or null. */
  contextId: text("context_id"),
  token: bigint("token", { mode: "number" }).notNull(),
  expiresAt: instant("expires_at").notNull(),
});
