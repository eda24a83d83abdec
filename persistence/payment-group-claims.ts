import { and, eq, inArray, ne } from "drizzle-orm";
import { TerminalError } from "../machines/errors.ts";
import type { Database, Orm } from "./connect.ts";
import { contexts, liveCarts, livePaymentGroups } from "./schema.ts";

/** Another live checkout has a group that this one needs. Thrown to roll back the groups that were free. */
class GroupBusy extends Error {
  constructor(readonly paymentGroupId: string) {
    super();
  }
}

/** All of them or none. Inserted in the order of their ids, so that two checkouts that share some never deadlock. */
export async function claimPaymentGroups(
  database: Database,
  contextId: string,
  paymentGroupIds: readonly string[],
): Promise<{ readonly busy: string } | null> {
  if (paymentGroupIds.length === 0) return null;
  try {
    await database.transaction((tx) => insertAll(tx, contextId, paymentGroupIds.toSorted()));
    return null;
  } catch (error) {
    if (error instanceof GroupBusy) return { busy: error.paymentGroupId };
    throw error;
  }
}

async function insertAll(tx: Orm, contextId: string, paymentGroupIds: readonly string[]): Promise<void> {
  // A call that comes when its checkout has given its cart back (at its end, or when it owes only money) would hold the
  // groups for ever. The lock keeps that from overtaking us.
  const [holding] = await tx
    .select({ id: contexts.id })
    .from(contexts)
    .innerJoin(liveCarts, and(eq(liveCarts.cartId, contexts.cartId), eq(liveCarts.contextId, contexts.id)))
    .where(eq(contexts.id, contextId))
    .for("update");
  if (holding === undefined)
    throw new TerminalError("CHECKOUT_RELEASED", `${contextId} holds no cart any more; it claims no payment groups.`);
  await tx
    .insert(livePaymentGroups)
    .values(paymentGroupIds.map((paymentGroupId) => ({ paymentGroupId, contextId })))
    .onConflictDoNothing();
  const [foreign] = await tx
    .select({ id: livePaymentGroups.paymentGroupId })
    .from(livePaymentGroups)
    .where(and(inArray(livePaymentGroups.paymentGroupId, [...paymentGroupIds]), ne(livePaymentGroups.contextId, contextId)))
    .orderBy(livePaymentGroups.paymentGroupId)
    .limit(1);
  if (foreign !== undefined) throw new GroupBusy(foreign.id);
  const own = await tx
    .select({ id: livePaymentGroups.paymentGroupId })
    .from(livePaymentGroups)
    .where(eq(livePaymentGroups.contextId, contextId));
  // The holder freed a group between our insert and our look: it is neither ours nor anybody's, so ask again.
  const missing = paymentGroupIds.find((id) => !own.some((row) => row.id === id));
  if (missing !== undefined) throw new GroupBusy(missing);
}
