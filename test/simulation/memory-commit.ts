/** One commit on the memory store's tables: what persistence/commit-statement.ts says in SQL. */
import { InvariantError } from "../../machines/errors.ts";
import type { Account, Transfer } from "../../machines/ledger.ts";
import type { Commit, CommitResult, InboxKey } from "../../persistence/store.ts";
import { keyOf, Unstorable, written, type ContextRow, type JsonText, type Tables } from "./memory-rows.ts";

type Event = Commit["events"][number];

/** A commit whose parts are serialised: from here on nothing can be refused for what it holds. */
export interface WrittenCommit {
  readonly commit: Commit;
  readonly entry: JsonText<Commit["entry"]>;
  readonly events: readonly { readonly type: string; readonly data: JsonText<Event["data"]> }[];
  readonly snapshot: JsonText<unknown>;
  readonly timers: JsonText<Readonly<Record<string, number>>>;
}

/** Throws for the whole batch, before anything is applied. */
export function writeBatch(batch: readonly Commit[]): readonly WrittenCommit[] {
  if (new Set(batch.map(({ id }) => id)).size < batch.length) {
    throw new InvariantError("Two commits of one checkout in a batch: the second depends on the first.");
  }
  return batch.map((commit) => {
    const { entry, events, checkpoint, expectedSeq, transfers = [] } = commit;
    if (entry.seq !== expectedSeq + 1) {
      throw new InvariantError(`Journal entry ${entry.seq} can't follow seq ${expectedSeq}.`);
    }
    for (const one of transfers) requireTransfer(one);
    return {
      commit: withoutUndefined(commit),
      entry: written(entry),
      events: events.map(({ type, data }) => ({ type, data: written(data) })),
      snapshot: written(checkpoint?.snapshot),
      timers: written(checkpoint?.timers ?? {}),
    };
  });
}

const ACCOUNTS: ReadonlySet<Account> = new Set<Account>(["PROVIDER", "SUSPENSE", "ORDER", "BY_HAND"]);

/** What the ledger's table checks. */
function requireTransfer(transfer: Transfer): void {
  const { debit, credit, amount } = transfer;
  const isSound = Number.isSafeInteger(amount) && amount > 0 && debit !== credit;
  if (isSound && ACCOUNTS.has(debit) && ACCOUNTS.has(credit)) return;
  throw new Unstorable("23514", `The ledger takes no such transfer: ${JSON.stringify(transfer)}`);
}

/** The small parts, checked and copied in one go. */
function withoutUndefined(commit: Commit): Commit {
  const { entry: _, events: __, checkpoint, ...rest } = commit;
  const small = JSON.parse(written(rest)) as typeof rest;
  return { ...small, entry: commit.entry, events: [], ...(checkpoint === undefined ? {} : { checkpoint }) };
}

/** Applied only where seq and fence still match and somebody owns the checkout. */
export function applyCommit(tables: Tables, write: WrittenCommit, now: number): CommitResult {
  const { commit } = write;
  const row = tables.contexts.get(commit.id);
  if (row === undefined) return { kind: "unknown_checkout" };
  const { seq, fence, owner } = row;
  if (seq !== commit.expectedSeq || fence !== commit.fence || owner === null) return { kind: "refused", seq, fence, owner };
  // Of a payment requirement that it learns only now, it can have consumed nothing.
  const consumed = consume(tables, row, commit.consumes ?? []);
  const learned = commit.pcrId === undefined ? 0 : learnPcr(tables, commit.id, commit.pcrId);
  const after: ContextRow = {
    ...row,
    ...commit.machine,
    seq: commit.expectedSeq + 1,
    state: commit.state,
    status: commit.status,
    lastCommit: commit.commitId,
    claimsWithoutProgress: 0,
    updatedAt: now,
    eventSeq: row.eventSeq + write.events.length,
    signals: row.signals + learned,
    consumed: row.consumed + consumed,
    wakeAt: commit.wakeAt === undefined ? row.wakeAt : commit.wakeAt,
    owner: commit.passivate === true ? null : owner,
    finishedAt: commit.finished === true ? (row.finishedAt ?? now) : row.finishedAt,
  };
  tables.contexts.set(row.id, after);
  append(tables.journals, row.id, [write.entry]);
  publish(tables, row, write.events, now);
  if (commit.checkpoint !== undefined) {
    tables.checkpoints.set(row.id, { seq: after.seq, snapshot: write.snapshot, timers: write.timers });
  }
  answer(tables, row, commit);
  if (commit.release !== undefined) release(tables, row, commit.release.completed);
  transfer(tables, row.id, commit, now);
  return { kind: "applied", signals: after.signals - after.consumed };
}

/** How many events had arrived for it. A requirement that somebody knows already stays theirs. */
function learnPcr(tables: Tables, contextId: string, pcrId: string): number {
  const pcr = tables.pcrs.get(pcrId) ?? { contextId: null, arrived: 0 };
  if (pcr.contextId !== null) return 0;
  tables.pcrs.set(pcrId, { ...pcr, contextId });
  return pcr.arrived;
}

/** How many of `keys` this checkout consumed just now: another's rows, and rows consumed before, are left alone. */
function consume(tables: Tables, { id, seq }: ContextRow, keys: readonly InboxKey[]): number {
  let count = 0;
  for (const { source, eventId } of keys) {
    const key = keyOf(source, eventId);
    const row = tables.inbox.get(key);
    if (row === undefined || row.consumedSeq !== null || !tables.isInboxOf(row, id)) continue;
    tables.inbox.set(key, { ...row, consumedSeq: seq + 1 });
    count++;
  }
  return count;
}

function publish(tables: Tables, row: ContextRow, events: WrittenCommit["events"], committedAt: number): void {
  const published = [...(tables.outboxes.get(row.id) ?? [])];
  for (const { type, data } of events) {
    const typeSeq = 1 + published.filter((earlier) => earlier.type === type).length;
    const eventSeq = published.length + 1;
    const untried = { acknowledgedAt: null, tries: 0, retryAt: null, parkedReason: null };
    published.push({ contextId: row.id, eventSeq, type, typeSeq, data, committedAt, ...untried });
  }
  if (events.length > 0) tables.outboxes.set(row.id, published);
}

/** The first answer stays. */
function answer(tables: Tables, { caller, idempotencyKey }: ContextRow, commit: Commit): void {
  const key = keyOf(caller, idempotencyKey);
  const row = tables.keys.get(key);
  if (row !== undefined && row.answer === null && commit.answer !== undefined) {
    tables.keys.set(key, { ...row, answer: commit.answer });
  }
}

function release(tables: Tables, { id, cartId, cartVersion }: ContextRow, isCompleted: boolean): void {
  if (tables.liveCarts.get(cartId) === id) tables.liveCarts.delete(cartId);
  for (const [group, holder] of tables.liveGroups) if (holder === id) tables.liveGroups.delete(group);
  const version = tables.cartVersions.get(cartId);
  if (!isCompleted || version === undefined || (version.completedVersion ?? cartVersion - 1) >= cartVersion) return;
  tables.cartVersions.set(cartId, { ...version, completedVersion: cartVersion, completedContextId: id });
}

function transfer(tables: Tables, id: string, { entry, transfers = [] }: Commit, now: number): void {
  const { seq, at } = entry;
  append(
    tables.ledgers,
    id,
    transfers.map((one) => ({ seq, at, ...one })),
  );
  for (const currency of new Set(transfers.map((one) => one.currency))) {
    const ofCurrency = transfers.filter((one) => one.currency === currency);
    const change = ofCurrency.reduce((sum, one) => sum + suspended(one), 0);
    const key = keyOf(id, currency);
    const held = tables.suspense.get(key) ?? { contextId: id, currency, amount: 0, since: now };
    const amount = held.amount + change;
    if (amount === 0) tables.suspense.delete(key);
    else tables.suspense.set(key, { ...held, amount });
  }
}

function suspended({ debit, credit, amount }: Transfer): number {
  return debit === "SUSPENSE" ? amount : credit === "SUSPENSE" ? -amount : 0;
}

function append<Row>(table: Map<string, readonly Row[]>, id: string, rows: readonly Row[]): void {
  if (rows.length > 0) table.set(id, [...(table.get(id) ?? []), ...rows]);
}
