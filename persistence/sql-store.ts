import { InvariantError } from "../machines/errors.ts";
import { claimOne, claimRunnable, claimShards, endLease, endOtherLeases, heartbeat, STUCK } from "./claims.ts";
import { commitParameter, commitResult, commitStatement, type CommitRow } from "./commit-statement.ts";
import type { Database } from "./connect.ts";
import { createCheckout, findCartConflict, findClaim, type CartConflict } from "./creation.ts";
import * as inbox from "./inbox-statements.ts";
import { claimPaymentGroups } from "./payment-group-claims.ts";
import * as queries from "./queries.ts";
import type * as contract from "./store.ts";

/** So many wait of most checkouts, when there is a backlog. */
const EVENTS_A_CHECKOUT = 5;
/** Of a shard, however few are asked for: the checkouts that wait longest may all be there. */
const EVENTS_A_SHARD_MIN = 50;

/** The store over SQL, the same on Postgres and PGlite. Almost every method is one statement, hence one transaction. */
export class SqlStore implements contract.Store {
  constructor(private readonly database: Database) {}

  create(checkout: contract.NewCheckout): Promise<contract.CreateResult> {
    return createCheckout(this.database, checkout);
  }

  findClaim(caller: string, idempotencyKey: string): Promise<contract.IdempotencyClaim | null> {
    return findClaim(this.database, caller, idempotencyKey);
  }

  findCartConflict(cartId: string, cartVersion: number): Promise<CartConflict | null> {
    return findCartConflict(this.database, cartId, cartVersion);
  }

  /**
   * Rejects as a whole, with nothing applied, when one payload can't be stored (`\u0000`, a lone surrogate): the
   * committer bisects, so that only the culprit is parked. A rejection by a lost connection says nothing about the
   * outcome: ask `isLastCommit`.
   */
  async commit(batch: readonly contract.Commit[]): Promise<readonly contract.CommitResult[]> {
    if (batch.length === 0) return [];
    const rows = await this.database.rows<CommitRow>(commitStatement(batch), [commitParameter(batch)]);
    const byId = new Map(rows.map((row) => [row.id, row]));
    return batch.map((commit) => commitResult(byId.get(commit.id)));
  }

  async isLastCommit(id: string, commitId: string): Promise<boolean> {
    return (
      (await this.database.rows("select from checkoutd.contexts where id = $1 and last_commit = $2", [id, commitId])).length > 0
    );
  }

  async load(id: string): Promise<contract.StoredCheckout | null> {
    const [row] = await this.database.rows<contract.StoredCheckout>(queries.LOAD, [id]);
    return row ?? null;
  }

  async loadRequest(id: string): Promise<unknown> {
    const [row] = await this.database.rows<{ body: unknown }>("select body from checkoutd.requests where context_id = $1", [id]);
    return row?.body ?? null;
  }

  history(id: string, afterSeq: number, limit: number): Promise<readonly contract.JournalEntry[]> {
    return this.database.rows(queries.HISTORY, [id, afterSeq, limit]);
  }

  list(limit: number): Promise<readonly contract.CheckoutSummary[]> {
    return this.database.rows(queries.LIST, [limit]);
  }

  claimRunnable(nodeId: string, limit: number): Promise<readonly string[]> {
    return claimRunnable(this.database, nodeId, limit);
  }

  claim(id: string, nodeId: string): Promise<number | null> {
    return claimOne(this.database, id, nodeId);
  }

  async park(id: string, fence: number, reason: string): Promise<void> {
    await this.database.rows(queries.PARK, [id, fence, reason]);
  }

  claimPaymentGroups(id: string, paymentGroupIds: readonly string[]): Promise<{ readonly busy: string } | null> {
    return claimPaymentGroups(this.database, id, paymentGroupIds);
  }

  async receivePayment(
    source: string,
    eventId: string,
    pcrId: string | null,
    event: contract.JournaledEvent,
  ): Promise<contract.Receipt> {
    const parameters = [source, eventId, pcrId, JSON.stringify(event)];
    const receipt = await this.keepPayment(parameters);
    const { isContradiction, ...seen } = receipt.isContradiction === null ? await this.keepPayment(parameters) : receipt;
    return { ...seen, isContradiction: isContradiction === true };
  }

  /** Safe to repeat: what was kept is only looked at again. */
  private async keepPayment(parameters: readonly unknown[]): Promise<inbox.KeptPayment> {
    const [kept] = await this.database.rows<inbox.KeptPayment>(inbox.RECEIVE_PAYMENT, parameters);
    if (kept === undefined) throw new InvariantError("The statement that keeps a payment event answers with one row.");
    return kept;
  }

  async receiveCommand(source: string, eventId: string, contextId: string, event: contract.JournaledEvent): Promise<boolean> {
    const parameters = [source, eventId, contextId, JSON.stringify(event)];
    return (await this.database.rows(inbox.RECEIVE_COMMAND, parameters)).length > 0;
  }

  async findReceived(source: string, eventId: string): Promise<contract.ReceivedEvent | null> {
    const [row] = await this.database.rows<contract.ReceivedEvent>(inbox.FIND_RECEIVED, [source, eventId]);
    return row ?? null;
  }

  unconsumed(id: string): Promise<readonly contract.InboxEvent[]> {
    return this.database.rows(inbox.UNCONSUMED, [id]);
  }

  ledger(contextId: string): Promise<readonly contract.LedgerEntry[]> {
    return this.database.rows(queries.LEDGER, [contextId]);
  }

  unsettled(olderThanMs: number, limit: number): Promise<readonly contract.UnsettledMoney[]> {
    return this.database.rows(queries.UNSETTLED, [olderThanMs, limit]);
  }

  stuck(idleMs: number, limit: number): Promise<readonly contract.StuckCheckout[]> {
    return this.database.rows(STUCK, [idleMs, limit]);
  }

  claimShards(nodeId: string): Promise<readonly number[]> {
    return claimShards(this.database, nodeId);
  }

  unpublished(shards: readonly number[], limit: number): Promise<readonly contract.PublishedEvent[]> {
    if (shards.length === 0) return Promise.resolve([]);
    const eventsAShard = Math.max(EVENTS_A_SHARD_MIN, Math.ceil((limit * EVENTS_A_CHECKOUT) / shards.length));
    return this.database.rows(queries.UNPUBLISHED, [shards.join(), eventsAShard, limit]);
  }

  async markPublished(marks: readonly contract.PublicationMark[]): Promise<void> {
    if (marks.length > 0) await this.database.rows(queries.MARK_PUBLISHED, [JSON.stringify(marks)]);
  }

  async redrive(contextId: string): Promise<boolean> {
    return (await this.database.rows(queries.REDRIVE, [contextId])).length > 0;
  }

  async backlog(): Promise<contract.OutboxBacklog> {
    const [backlog] = await this.database.rows<contract.OutboxBacklog>(queries.BACKLOG, []);
    return backlog ?? { pending: 0, parked: 0, oldestAt: null };
  }

  acknowledged(since: number, after: contract.EventCursor | null, limit: number): Promise<readonly contract.PublishedEvent[]> {
    const { contextId = null, eventSeq = null } = after ?? {};
    return this.database.rows(queries.ACKNOWLEDGED, [since, contextId, eventSeq, limit]);
  }

  events(contextId: string): Promise<readonly contract.PublishedEvent[]> {
    return this.database.rows(queries.EVENTS, [contextId]);
  }

  async now(): Promise<number> {
    const [row] = await this.database.rows<{ now: number }>(queries.NOW);
    if (row === undefined) throw new InvariantError("The database answers a question for its time with one row.");
    return row.now;
  }

  heartbeat(nodeId: string, ttlMs: number, machineHashes: readonly string[]): Promise<boolean> {
    return heartbeat(this.database, nodeId, ttlMs, machineHashes);
  }

  unknownVersions(machineHashes: readonly string[]): Promise<readonly contract.UnknownVersion[]> {
    return this.database.rows(queries.UNKNOWN_VERSIONS, [machineHashes.join()]);
  }

  owned(nodeId: string, limit: number): Promise<readonly contract.OwnedCheckout[]> {
    return this.database.rows(queries.OWNED, [nodeId, limit]);
  }

  async giveUp(id: string, fence: number): Promise<void> {
    await this.database.rows(queries.GIVE_UP, [id, fence]);
  }

  endLease(nodeId: string): Promise<void> {
    return endLease(this.database, nodeId);
  }

  endOtherLeases(nodeId: string): Promise<void> {
    return endOtherLeases(this.database, nodeId);
  }
}
