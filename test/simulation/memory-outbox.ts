/** What is committed to be published, and which node publishes it. Of the store in memory. */
import { hash } from "node:crypto";
import type * as contract from "../../persistence/store.ts";
import type { Clock } from "../../steps/ports.ts";
import { read, type OutboxRow, type Tables } from "./memory-rows.ts";

export class MemoryOutbox {
  readonly #clock: Pick<Clock, "now">;
  readonly #tables: Tables;

  constructor(clock: Pick<Clock, "now">, tables: Tables) {
    this.#clock = clock;
    this.#tables = tables;
  }

  async claimShards(nodeId: string): Promise<readonly number[]> {
    const { shards } = this.#tables;
    const isLive = (id: string | null) => id !== null && this.#tables.hasLease(id, this.#clock.now());
    if (!isLive(nodeId)) return this.#shardsOf(nodeId);
    for (const [shard, { owner, wantedBy }] of shards) {
      if (owner === nodeId && wantedBy !== null)
        shards.set(shard, { owner: isLive(wantedBy) ? wantedBy : nodeId, wantedBy: null });
      else if (!isLive(owner)) shards.set(shard, { owner: nodeId, wantedBy: null });
    }
    const publishers = new Set([nodeId, ...[...shards.values()].flatMap(({ owner }) => owner ?? [])]).size;
    const mine = [...shards.values()].filter(({ owner, wantedBy }) => owner === nodeId || wantedBy === nodeId).length;
    const missing = Math.max(0, Math.floor(shards.size / publishers) - mine);
    if (missing === 0) return this.#shardsOf(nodeId);
    const surplus = [...shards].filter(([shard, { owner, wantedBy }]) => {
      const place = [...shards].filter(([other, row]) => row.owner === owner && other <= shard).length;
      return owner !== nodeId && wantedBy === null && place > Math.ceil(shards.size / publishers);
    });
    for (const [shard, { owner }] of surplus.slice(0, missing)) shards.set(shard, { owner, wantedBy: nodeId });
    return this.#shardsOf(nodeId);
  }

  #shardsOf(nodeId: string): readonly number[] {
    return [...this.#tables.shards].flatMap(([shard, { owner }]) => (owner === nodeId ? [shard] : []));
  }

  async unpublished(shards: readonly number[], limit: number): Promise<readonly contract.PublishedEvent[]> {
    const now = this.#clock.now();
    const waiting = [...this.#tables.outboxes.values()]
      .map((rows) => rows.filter(({ acknowledgedAt }) => acknowledgedAt === null))
      .filter(([head]) => head !== undefined && isDue(head, now) && shards.includes(shardOf(head.contextId)));
    return waiting
      .toSorted(([left], [right]) => (left?.committedAt ?? 0) - (right?.committedAt ?? 0))
      .slice(0, limit)
      .flatMap((rows) => rows.map((row) => this.#published(row)));
  }

  async markPublished(marks: readonly contract.PublicationMark[]): Promise<void> {
    const now = this.#clock.now();
    for (const mark of marks) {
      this.#changeEvents(mark.contextId, (row) => (row.eventSeq === mark.eventSeq ? marked(row, mark, now) : row));
    }
  }

  async redrive(contextId: string): Promise<boolean> {
    const rows = this.#tables.outboxes.get(contextId) ?? [];
    const isHeld = (row: OutboxRow) => row.acknowledgedAt === null && (row.parkedReason !== null || row.retryAt !== null);
    this.#changeEvents(contextId, (row) => (isHeld(row) ? { ...row, parkedReason: null, retryAt: null } : row));
    return rows.some(isHeld);
  }

  async backlog(): Promise<contract.OutboxBacklog> {
    const pending = [...this.#tables.outboxes.values()].flat().filter(({ acknowledgedAt }) => acknowledgedAt === null);
    const oldestAt = pending.length === 0 ? null : Math.min(...pending.map(({ committedAt }) => committedAt));
    return { pending: pending.length, parked: pending.filter(({ parkedReason }) => parkedReason !== null).length, oldestAt };
  }

  async acknowledged(
    since: number,
    after: contract.EventCursor | null,
    limit: number,
  ): Promise<readonly contract.PublishedEvent[]> {
    return [...this.#tables.outboxes.values()]
      .flat()
      .filter((row) => row.acknowledgedAt !== null && row.committedAt >= since && (after === null || byKey(row, after) > 0))
      .toSorted(byKey)
      .slice(0, limit)
      .map((row) => this.#published(row));
  }

  #changeEvents(contextId: string, change: (row: OutboxRow) => OutboxRow): void {
    const rows = this.#tables.outboxes.get(contextId);
    if (rows !== undefined) this.#tables.outboxes.set(contextId, rows.map(change));
  }

  async events(contextId: string): Promise<readonly contract.PublishedEvent[]> {
    return (this.#tables.outboxes.get(contextId) ?? []).map((row) => this.#published(row));
  }

  #published(row: OutboxRow): contract.PublishedEvent {
    return { ...row, data: read(row.data), traceparent: this.#tables.contexts.get(row.contextId)?.traceparent ?? null };
  }
}

/** Every seed's checkouts have the same ids. */
const shardsById = new Map<string, number>();

/** As persistence/schema.ts says it. */
function shardOf(contextId: string): number {
  const shard = shardsById.get(contextId) ?? Number.parseInt(hash("md5", contextId).charAt(0), 16);
  shardsById.set(contextId, shard);
  return shard;
}

function isDue({ parkedReason, retryAt }: OutboxRow, now: number): boolean {
  return parkedReason === null && (retryAt === null || retryAt <= now);
}

function marked(row: OutboxRow, mark: contract.PublicationMark, now: number): OutboxRow {
  return {
    ...row,
    tries: row.tries + 1,
    acknowledgedAt: mark.kind === "acknowledged" ? (row.acknowledgedAt ?? now) : row.acknowledgedAt,
    retryAt: mark.kind === "failed" ? now + mark.retryAfterMs : null,
    parkedReason: mark.kind === "parked" ? mark.reason : null,
  };
}

function byKey(left: contract.EventCursor, right: contract.EventCursor): number {
  if (left.contextId !== right.contextId) return left.contextId < right.contextId ? -1 : 1;
  return left.eventSeq - right.eventSeq;
}
