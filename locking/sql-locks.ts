import { and, asc, eq, gt, inArray, sql } from "drizzle-orm";
import type { Database, Orm } from "../persistence/connect.ts";
import { locks } from "../persistence/schema.ts";
import { checkTtl, inLockOrder } from "./lock-keys.ts";
import type { AcquireResult, LockManager } from "./lock-manager.ts";

/** The database's clock decides, at the moment of asking: `now()` is the start of the transaction, before any wait for a row. */
const DATABASE_NOW = sql`clock_timestamp()`;

/**
 * Locks as rows of `checkoutd.locks`. Every method is one short transaction, which first locks its
 * rows in key order; without that order, also on release, they deadlock (seen: 21 in 720 rounds).
 * A row outlives its lease, because it carries the token that the next one must exceed.
 */
export class SqlLocks implements LockManager {
  constructor(private readonly database: Database) {}

  async acquire(keys: readonly string[], owner: string, ttlMs: number): Promise<AcquireResult> {
    checkTtl(ttlMs);
    const ordered = inLockOrder(keys);
    if (ordered.length === 0) return { kind: "acquired", tokens: {} };
    return this.database.transaction(async (tx) => {
      await insertMissing(tx, ordered);
      await lockRows(tx, ordered);
      return (await findBusy(tx, ordered, owner)) ?? (await take(tx, ordered, owner, ttlMs));
    });
  }

  async renew(keys: readonly string[], owner: string, ttlMs: number): Promise<boolean> {
    checkTtl(ttlMs);
    const ordered = inLockOrder(keys);
    if (ordered.length === 0) return true;
    return this.database.transaction(async (tx) => {
      await lockRows(tx, ordered);
      const held = await tx.select({ key: locks.key }).from(locks).where(heldBy(ordered, owner));
      if (held.length < ordered.length) return false;
      await tx
        .update(locks)
        .set({ expiresAt: leaseEnd(ttlMs) })
        .where(inArray(locks.key, ordered));
      return true;
    });
  }

  async release(keys: readonly string[], owner: string): Promise<number> {
    const ordered = inLockOrder(keys);
    if (ordered.length === 0) return 0;
    return this.database.transaction(async (tx) => {
      await lockRows(tx, ordered);
      const released = await tx
        .update(locks)
        .set({ contextId: null })
        .where(heldBy(ordered, owner))
        .returning({ key: locks.key });
      return released.length;
    });
  }

  async ping(): Promise<void> {
    await this.database.ping();
  }

  /** The database belongs to whoever connected it. */
  async stop(): Promise<void> {}
}

/** A row must exist before it can be locked. In key order: two inserters of the same new keys wait for each other otherwise. */
async function insertMissing(tx: Orm, keys: readonly string[]): Promise<void> {
  await tx
    .insert(locks)
    .values(keys.map((key) => ({ key, contextId: null, token: 0, expiresAt: DATABASE_NOW })))
    .onConflictDoNothing();
}

/** Separate from every check: a statement that waited for a row may still judge the others by the time before its wait. */
async function lockRows(tx: Orm, keys: readonly string[]): Promise<void> {
  await tx.select({ key: locks.key }).from(locks).where(inArray(locks.key, keys)).orderBy(asc(locks.key)).for("update");
}

async function findBusy(tx: Orm, keys: readonly string[], owner: string): Promise<AcquireResult | null> {
  const [busy] = await tx
    .select({
      key: locks.key,
      remainingMs: sql<number>`ceil(extract(epoch from ${locks.expiresAt} - ${DATABASE_NOW}) * 1000)::double precision`,
    })
    .from(locks)
    .where(and(inArray(locks.key, keys), sql`${locks.contextId} <> ${owner}`, gt(locks.expiresAt, DATABASE_NOW)))
    .orderBy(asc(locks.key))
    .limit(1);
  return busy === undefined ? null : { kind: "busy", key: busy.key, remainingMs: Math.max(0, busy.remainingMs) };
}

/** The token grows unless the owner's lease never lapsed: whoever held the key in between may still be writing. */
async function take(tx: Orm, keys: readonly string[], owner: string, ttlMs: number): Promise<AcquireResult> {
  const isStillOurs = sql`${locks.contextId} = ${owner} and ${locks.expiresAt} > ${DATABASE_NOW}`;
  const taken = await tx
    .update(locks)
    .set({
      contextId: owner,
      expiresAt: leaseEnd(ttlMs),
      token: sql`${locks.token} + case when ${isStillOurs} then 0 else 1 end`,
    })
    .where(inArray(locks.key, keys))
    .returning({ key: locks.key, token: locks.token });
  return { kind: "acquired", tokens: Object.fromEntries(taken.map(({ key, token }) => [key, token])) };
}

function heldBy(keys: readonly string[], owner: string) {
  return and(inArray(locks.key, keys), eq(locks.contextId, owner), gt(locks.expiresAt, DATABASE_NOW));
}

function leaseEnd(ttlMs: number) {
  return sql`${DATABASE_NOW} + ${ttlMs}::double precision * interval '1 millisecond'`;
}
